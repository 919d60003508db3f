from __future__ import annotations

import importlib.util
import re
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from coloured import PLAN, Small, scenes  # noqa: E402
from safetensors.torch import load, save_file  # noqa: E402

from sightline.errors import DataError, MissingExtraError, UsageError  # noqa: E402
from sightline.learn.detect import names  # noqa: E402
from sightline.learn.detect.data import found_in  # noqa: E402
from sightline.learn.detect.export import certify, detector_graph, found_by  # noqa: E402
from sightline.learn.detect.names import DETECTORS, Wish, named  # noqa: E402
from sightline.learn.detect.network import FLOOR, MOST, Target  # noqa: E402
from sightline.learn.loop import train_network  # noqa: E402
from sightline.learn.network import depth_groups  # noqa: E402
from sightline.runtime.engines import open_session  # noqa: E402
from sightline.settings import settings  # noqa: E402
from sightline.types import InputSpec  # noqa: E402

pytestmark = pytest.mark.deep
SPEC = InputSpec(size=64, fit="pad")
FAMILIES = ("rt-detr", "d-fine")
installed = pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs the extra 'transformers'")


def detector(family, seed=0):
    from sightline.learn.detect.transformer import on_body

    torch.manual_seed(seed)
    return on_body(family, Small(), 2, SPEC)


def targets(data, rows):
    return [
        Target(torch.from_numpy(one.boxes), torch.from_numpy(one.labels), torch.zeros(0, 4))
        for one in (data.truth[row] for row in rows)
    ]


NOTHING = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4))


@installed
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_a_loss_and_answers(family):
    network, data = detector(family), scenes(3, 2)
    pixels = torch.from_numpy(np.array(data.images)).float()
    found_in(network, data.val_images)  # as the loop: validation in between must leave nothing behind
    with torch.autocast("cpu", torch.bfloat16):
        losses = network.train().loss(pixels, [*targets(data, (0, 1)), NOTHING])
    sum(losses.values()).backward()
    assert {"vfl", "bbox", "giou"} <= set(losses)
    assert all(torch.isfinite(loss) and loss.dtype == torch.float32 for loss in losses.values())
    assert next(network.backbone.parameters()).grad is not None
    assert all(torch.isfinite(loss) for loss in network.loss(pixels, [NOTHING] * 3).values())
    with torch.no_grad():
        found = network.eval().find(pixels)
    assert len(found) == 3
    for one in found:
        assert len(one.boxes) == len(one.scores) == len(one.labels) <= MOST
        assert (one.scores >= FLOOR).all()
        assert (one.scores.diff() <= 0).all()
        assert ((one.labels >= 0) & (one.labels < 2)).all()
        assert ((one.boxes >= 0) & (one.boxes <= 64)).all()
        assert (one.boxes[:, 2:] > one.boxes[:, :2]).all()


@installed
@pytest.mark.parametrize("family", FAMILIES)
def test_it_learns_and_the_exported_file_finds_the_same(family):
    network, data = detector(family).train(), scenes(4, 3)
    pixels, truth = torch.from_numpy(np.array(data.images)).float(), targets(data, range(4))
    optimiser = torch.optim.AdamW([one for one in network.parameters() if one.requires_grad], 2e-3)
    losses = []
    for _ in range(12):
        loss = sum(network.loss(pixels, truth).values())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.85 * losses[0]
    onnx = detector_graph(network.eval(), ("red", "blue"), SPEC)
    parity = certify(found_by(onnx, data.val_images), found_in(network, data.val_images, batch=1))
    assert parity.agreement == 1.0
    assert parity.largest_difference < 1e-3
    assert (parity.largest_shift or 0.0) < 0.05
    assert [output.name for output in open_session(onnx).get_outputs()] == list(network.outputs)


@installed
@pytest.mark.parametrize("family", FAMILIES)
def test_the_loop_trains_it_and_every_weight_has_one_name(family, tmp_path):
    network = detector(family)
    names_ = [name for name, _ in network.named_parameters(remove_duplicate=False)]
    assert len(names_) == len(set(names_))
    assert not any(name.startswith("backbone.") for name in depth_groups(network)[-1])
    before = network.network.model.decoder.layers[0].self_attn.q_proj.weight.clone()
    trained = train_network(network, scenes(4, 2), replace(PLAN, epochs=1), tmp_path / "run")
    assert len(trained.history) == 1
    assert not torch.equal(before, network.network.model.decoder.layers[0].self_attn.q_proj.weight)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, tmp_path / "all.safetensors")
    if family == "d-fine":
        assert float(network.network.model.decoder.reg_scale) == 4.0, "a constant is not learnt"


@installed
def test_a_loss_that_is_no_number_is_one():
    network, data = detector("rt-detr").train(), scenes(2, 2)
    with torch.no_grad():
        network.network.model.enc_bbox_head.layers[-1].bias.fill_(float("nan"))
    losses = network.loss(torch.from_numpy(np.array(data.images)).float(), targets(data, (0, 1)))
    assert any(torch.isnan(loss) for loss in losses.values())


@installed
def test_without_weights_all_begins_from_scratch_and_alike():
    entry, backbone = named("rt-detr:mobilenetv3_small_050")
    wish = Wish(entry, ("red", "blue"), 64, backbone, pictures=100)
    built = names.build(wish)
    assert built.weights == "none"
    assert (built.plan.freeze_norm, built.plan.scales, built.network.any_size) == (False, 0.0, False)
    again = names.build(wish)
    assert all(
        torch.equal(one, other) for one, other in zip(built.network.parameters(), again.network.parameters(), strict=True)
    )
    larger = names.build(replace(wish, size=256))
    assert larger.network.any_size
    assert larger.plan.scales
    with pytest.raises(UsageError, match="fewer than 300 places"):
        larger.network.loss(torch.zeros(1, 64, 64, 3), [NOTHING])


@installed
def test_a_body_without_maps_is_refused():
    with pytest.raises(UsageError, match="no maps at strides"):
        names.build(Wish(DETECTORS["d-fine"], ("red",), 224, "vit_tiny_patch16_224"))


SHAPE = {
    "encoder_in_channels": [16, 24, 32],
    "decoder_in_channels": [64] * 3,
    "encoder_hidden_dim": 64,
    "d_model": 64,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "decoder_layers": 2,
}
BODIES = {
    "rt-detr": {"hidden_sizes": [8, 16, 24, 32], "depths": [1] * 4, "layer_type": "basic", "embedding_size": 8},
    "d-fine": {
        "hidden_sizes": [8, 16, 24, 32],
        "stem_channels": [3, 8, 8],
        "stage_in_channels": [8, 8, 16, 24],
        "stage_mid_channels": [8] * 4,
        "stage_out_channels": [8, 16, 24, 32],
        "stage_num_blocks": [1] * 4,
        "stage_numb_of_layers": [1] * 4,
        "use_learnable_affine_block": True,
    },
}


def _is_published(name):
    return not name.startswith(("class_embed.", "bbox_embed.")) and not (".backbone." in name and name.endswith("_tracked"))


def _published(name):
    older = re.sub(r"layers\.(\d+)\.mlp\.(?:layers\.0|fc1)", r"layers.\1.fc1", name.replace("o_proj", "out_proj"))
    older = re.sub(r"layers\.(\d+)\.mlp\.(?:layers\.1|fc2)", r"layers.\1.fc2", older)
    return older.replace("encoder.aifi.", "encoder.encoder.").replace("model.decoder.bbox_embed.", "bbox_embed.")


@pytest.fixture
def published(request, tmp_path, monkeypatch):
    """A small checkpoint of ten classes in the weights folder, with the names that published files have."""
    from sightline.learn.detect import transformer, transformer_shapes

    family = request.param
    checkpoint = replace(transformer_shapes.CHECKPOINTS[family], body=BODIES[family], rest=SHAPE)
    monkeypatch.setitem(transformer_shapes.CHECKPOINTS, family, checkpoint)
    torch.manual_seed(5)
    made = transformer_shapes.family_of(family)(transformer_shapes.as_published(checkpoint, 10, 64))
    state = {_published(name): tensor.clone() for name, tensor in made.state_dict().items() if _is_published(name)}
    file = tmp_path / f"{checkpoint.file}.safetensors"
    save_file(state, file)
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", str(tmp_path))
    settings.cache_clear()
    return family, made, file, transformer


@installed
@pytest.mark.parametrize("published", FAMILIES, indirect=True)
def test_a_published_detector_goes_on_with_new_classes(published):
    family, made, file, _ = published
    built = names.build(Wish(DETECTORS[family], ("red", "blue"), 64, pictures=100))
    assert built.weights == file.name
    assert built.input.mean == (0.0, 0.0, 0.0)
    assert built.plan.freeze_norm
    mine, its = built.network.state_dict(), made.state_dict()
    kept = (
        "encoder.aifi.0.layers.0.self_attn.o_proj.weight",
        "decoder.layers.1.self_attn.q_proj.weight",
        "enc_output.0.weight",
    )
    assert all(torch.equal(mine[f"network.model.{name}"], its[f"model.{name}"]) for name in kept)
    body = {name.removeprefix("model.backbone."): tensor for name, tensor in its.items() if name.startswith("model.backbone.")}
    assert body
    assert all(torch.equal(mine[f"backbone.{name}"], tensor) for name, tensor in body.items())
    assert mine["network.model.enc_score_head.weight"].shape == (2, 64)
    addresses = [one.data_ptr() for one in built.network.parameters()]
    assert len(addresses) == len(set(addresses))
    data = scenes(2, 2)
    losses = built.network.train().loss(torch.from_numpy(np.array(data.images)).float(), targets(data, (0, 1)))
    assert all(torch.isfinite(loss) for loss in losses.values())


@installed
@pytest.mark.parametrize("published", ["rt-detr"], indirect=True)
def test_a_file_of_another_network_is_refused(published):
    family, _, file, _ = published
    state = load(file.read_bytes())
    save_file({name: tensor for name, tensor in state.items() if ".decoder." not in name}, file)
    with pytest.raises(DataError, match="does not fit rtdetr_r18vd"):
        names.build(Wish(DETECTORS[family], ("red", "blue"), 64))


@installed
def test_the_published_shapes_are_built():
    from sightline.learn.detect.transformer_shapes import CHECKPOINTS, as_published, family_of

    with torch.device("meta"):
        sizes = {
            name: sum(one.numel() for one in family_of(name)(as_published(checkpoint, 80, 640)).parameters()) / 1e6
            for name, checkpoint in CHECKPOINTS.items()
        }
    assert sizes["rt-detr"] == pytest.approx(20, abs=1)  # millions, as the papers say
    assert sizes["d-fine"] == pytest.approx(10, abs=1)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(names, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="the detector rt-detr needs the extra 'transformers'"):
        named("rt-detr")
    assert named("yolo-small")[0].name == "yolo-small"

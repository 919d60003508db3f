from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from coloured import Small, scenes  # noqa: E402

from sightline.errors import UsageError  # noqa: E402
from sightline.learn.detect.bodies import body_of  # noqa: E402
from sightline.learn.detect.data import found_in  # noqa: E402
from sightline.learn.detect.export import certify, detector_graph, found_by  # noqa: E402
from sightline.learn.detect.families import FAMILIES, Shape  # noqa: E402
from sightline.learn.detect.names import DETECTORS, Wish, named  # noqa: E402
from sightline.learn.detect.network import FLOOR, MOST, Target  # noqa: E402
from sightline.learn.detect.published import BODIES, build, on_body  # noqa: E402
from sightline.learn.network import depth_groups  # noqa: E402
from sightline.runtime.engines import open_session  # noqa: E402
from sightline.types import InputSpec  # noqa: E402

pytestmark = pytest.mark.deep
SPEC = InputSpec(size=64, fit="pad")
POINTS = 3


def detector(family, seed=0):
    torch.manual_seed(seed)
    return on_body(family, Small(), Shape(2, 64, POINTS), SPEC)


def targets(data, family, rows):
    found = []
    for truth in (data.truth[row] for row in rows):
        k = len(truth.boxes)
        masks = torch.zeros((k, 64, 64), dtype=torch.bool)
        points = torch.zeros((k, POINTS, 3))
        for row, (x0, y0, x1, y1) in enumerate(truth.boxes.astype(int).tolist()):
            masks[row, y0:y1, x0:x1] = True
            points[row] = torch.tensor([[x0, y0, 2], [x1 - 1, y0, 2], [0, 0, 0]])
        found.append(
            Target(
                torch.from_numpy(truth.boxes),
                torch.from_numpy(truth.labels),
                torch.zeros(0, 4),
                masks if family == "mask-rcnn" else None,
                points if family == "keypoint-rcnn" else None,
            )
        )
    return found


def nothing(family):
    return Target(
        torch.zeros(0, 4),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(0, 4),
        torch.zeros((0, 64, 64), dtype=torch.bool) if family == "mask-rcnn" else None,
        torch.zeros((0, POINTS, 3)) if family == "keypoint-rcnn" else None,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_a_loss_and_answers(family):
    network, data = detector(family), scenes(3, 2)
    pixels = torch.from_numpy(np.array(data.images)).float()
    with torch.autocast("cpu", torch.bfloat16):  # as the loop does; the last picture shows nothing
        losses = network.train().loss(pixels, [*targets(data, family, (0, 1)), nothing(family)])
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert next(network.backbone.parameters()).grad is not None
    with torch.no_grad():
        found = network.eval().find(pixels)
    assert len(found) == 3
    for one in found:
        k = len(one.boxes)
        assert k <= MOST
        assert (one.scores >= FLOOR).all()
        assert (one.scores.diff() <= 0).all()
        assert ((one.labels >= 0) & (one.labels < 2)).all()
        assert (one.boxes >= 0).all()
        assert (one.boxes <= 64).all()
        assert (one.boxes[:, 2:] > one.boxes[:, :2]).all()
        assert (one.masks is not None) == (family == "mask-rcnn")
        assert one.masks is None or one.masks.shape == (k, 28, 28)
        assert one.keypoints is None or one.keypoints.shape == (k, POINTS, 3)


@pytest.mark.parametrize("family", ["faster-rcnn", "ssdlite", "fcos", pytest.param("keypoint-rcnn", marks=pytest.mark.slow)])
def test_the_exported_file_finds_the_same(family):
    network, data = detector(family).eval(), scenes(2, 4)
    if family == "fcos":  # as long as it has learnt nothing its scores are all alike, and hundreds of places compete
        with torch.no_grad():
            network.network.head.classification_head.cls_logits.weight.mul_(100)
    onnx = detector_graph(network, ("red", "blue"), SPEC)
    parity = certify(found_by(onnx, data.val_images), found_in(network, data.val_images, batch=1))
    assert parity.agreement == 1.0
    assert parity.largest_difference < 1e-3
    assert [output.name for output in open_session(onnx).get_outputs()] == list(network.outputs)


def test_a_picture_without_a_proposal_is_answered_with_nothing():
    network = detector("mask-rcnn").eval()
    network.network.rpn.score_thresh = 2.0
    onnx = detector_graph(network, ("red", "blue"), SPEC)
    boxes, scores, labels, masks = open_session(onnx).run(None, {"image": np.zeros((1, 64, 64, 3), np.uint8)})
    assert boxes.shape == (0, 4)
    assert len(scores) == len(labels) == len(masks) == 0


def test_ssdlite_learns():
    network, data = detector("ssdlite").train(), scenes(8, 2)
    pixels, truth = torch.from_numpy(np.array(data.images)).float(), targets(data, "ssdlite", range(8))
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        loss = sum(network.loss(pixels, truth).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.4 * losses[0]


def test_parameters_have_one_name_and_the_body_is_a_group_of_its_own():
    network = detector("faster-rcnn")
    names = [name for name, _ in network.named_parameters(remove_duplicate=False)]
    assert len(names) == len(set(names))
    groups = depth_groups(network)
    assert sorted(name for group in groups for name in group) == sorted(names)
    assert not any(name.startswith("backbone.") for name in groups[-1])


def test_every_name_of_the_table_is_built_by_somebody():
    mine = [entry.name for entry in DETECTORS.values() if entry.build.startswith("sightline.learn.detect.published:")]
    assert set(mine) <= set(BODIES)
    assert {family for family, _ in (BODIES[name] for name in mine)} == set(FAMILIES)


def test_without_weights_a_body_begins_from_scratch_and_its_norms_learn():
    entry, backbone = named("ssdlite:mobilenetv3_small_050")
    built = build(Wish(entry, ("red", "blue"), 64, backbone, pictures=100))
    assert built.weights == "none"
    assert not built.plan.freeze_norm
    assert built.plan.size == 64
    assert built.plan.epochs == 80
    again = build(Wish(entry, ("red", "blue"), 64, backbone, pictures=100))
    assert all(
        torch.equal(one, other) for one, other in zip(built.network.parameters(), again.network.parameters(), strict=True)
    )


def test_a_network_without_a_pyramid_is_refused():
    with pytest.raises(UsageError, match="no maps at strides"):
        body_of("vit_tiny_patch16_224", None, 224)


def test_a_dilated_body_keeps_its_maps_large():
    body = body_of("resnet10t", None, 64, (8, 16), dilated=16).eval()
    with torch.no_grad():
        low, high = body(torch.zeros(1, 3, 64, 64))
    assert low.shape == (1, body.channels[0], 8, 8)
    assert high.shape == (1, 512, 4, 4)

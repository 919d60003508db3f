from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from coloured import PLAN, scenes  # noqa: E402

from sightline.errors import UsageError  # noqa: E402
from sightline.learn.detect.data import Truth  # noqa: E402
from sightline.learn.detect.names import Wish, named  # noqa: E402
from sightline.learn.detect.network import Target  # noqa: E402
from sightline.learn.detect.segment import IGNORED, Fields, build, fields_judged, painted  # noqa: E402
from sightline.learn.detect.segment_way import paints, proved  # noqa: E402
from sightline.learn.loop import train_network  # noqa: E402

pytestmark = pytest.mark.deep
CLASSES = ("red", "blue")


def masked(truth: Truth, side: int = 64) -> Truth:
    """Rectangles as masks."""
    masks = np.zeros((len(truth.boxes), side, side), bool)
    for row, (x0, y0, x1, y1) in enumerate(truth.boxes.astype(int).tolist()):
        masks[row, y0:y1, x0:x1] = True
    return replace(truth, masks=np.packbits(masks, axis=-1))


def lesson(count: int, val: int) -> Fields:
    data = scenes(count, val)
    values = {entry.name: getattr(data, entry.name) for entry in fields(data)}
    values |= {name: tuple(map(masked, values[name])) for name in ("truth", "val_truth")}
    return Fields(**values)


def network(name: str = "lraspp"):
    entry, backbone = named(f"{name}:mobilenetv3_small_050")
    return build(Wish(entry, CLASSES, 64, backbone, pictures=12)).network


def test_small_objects_lie_over_large_ones_and_ignored_places_are_not_asked_for():
    masks = torch.zeros((2, 8, 8), dtype=torch.bool)
    masks[0, 2:4, 2:4] = True
    masks[1, 1:6, 1:6] = True
    canvas = painted(Target(torch.zeros(2, 4), torch.tensor([0, 1]), torch.tensor([[6.0, 0.0, 9.0, 2.0]]), masks), (8, 8))
    assert canvas[3, 3] == 1
    assert canvas[5, 5] == 2
    assert (canvas[:2, 6:] == IGNORED).all()
    assert canvas[7, 7] == 0


def test_it_learns_in_the_loop_and_the_exported_file_paints_the_same(tmp_path):
    data, model = lesson(12, 4), network()
    before = fields_judged(model, data.val_images, data.val_truth)
    plan = replace(PLAN, epochs=10, lr=3e-3, mosaic=0.0, scales=0.0, ema=0.5)
    trained = train_network(model, data, plan, tmp_path)
    after = fields_judged(model, data.val_images, data.val_truth)
    assert data.measure == "mean IoU"
    assert after[1] > before[1] + 0.1
    assert max(epoch.val_accuracy for epoch in trained.history) == pytest.approx(after[1])
    _, parity = proved(model, data, CLASSES, replace_size(model))
    assert parity.pictures == 4
    assert parity.agreement > 0.99


def replace_size(model):
    from sightline.types import InputSpec

    return InputSpec(size=64, fit="pad")


def test_deeplab_has_a_loss_and_no_boxes():
    model, data = network("deeplabv3").train(), lesson(2, 2)
    truth = [Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4)) for _ in range(2)]
    losses = model.loss(torch.from_numpy(np.array(data.images)).float(), truth)  # pictures of nothing but background
    assert all(torch.isfinite(loss) for loss in losses.values())
    with pytest.raises(UsageError, match="names pixels"):
        model.find(torch.zeros(1, 64, 64, 3))


def test_who_paints():
    assert paints("lraspp")
    assert paints("deeplabv3:resnet18")
    assert not paints("yolo-small")
    assert not paints(None)

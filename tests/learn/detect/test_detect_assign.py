from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sightline.learn.detect import assign as assigning  # noqa: E402
from sightline.learn.detect.assign import assign, ious  # noqa: E402
from sightline.learn.detect.losses import complete_iou, distribution_loss  # noqa: E402
from sightline.learn.detect.network import Target  # noqa: E402

pytestmark = pytest.mark.deep
POINTS = torch.stack(torch.meshgrid(torch.arange(8) * 8.0 + 4, torch.arange(8) * 8.0 + 4, indexing="xy"), -1).reshape(-1, 2)


def target(*boxes, labels=None, ignored=()):
    labels = range(len(boxes)) if labels is None else labels
    return Target(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(list(labels), dtype=torch.int64),
        torch.tensor(ignored, dtype=torch.float32).reshape(-1, 4),
    )


def answered(n, side=20.0, classes=3, score=0.2):
    boxes = torch.cat([POINTS - side / 2, POINTS + side / 2], 1).expand(n, -1, 4)
    return torch.full((n, len(POINTS), classes), score), boxes


def test_overlaps_are_those_of_the_books():
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 3]])
    assert torch.allclose(ious(boxes, boxes)[0], torch.tensor([1.0, 1 / 3, 0, 0]))


def test_places_inside_an_object_answer_for_it_and_the_best_overlap_sets_the_score():
    found = assign(*answered(1), POINTS, 8, [target((10, 10, 34, 34))])
    inside = ((POINTS > 10) & (POINTS < 34)).all(1)
    assert found.objects[0].sum() > 0
    assert not (found.objects[0] & ~inside).any()
    assert (found.boxes[0][found.objects[0]] == torch.tensor([10.0, 10, 34, 34])).all()
    best = ious(torch.tensor([[10.0, 10, 34, 34]]), answered(1)[1][0])[0, inside].max()
    assert float(found.scores[0, :, 0].max()) == pytest.approx(float(best), rel=1e-4)
    assert float(found.scores[0, :, 1:].max()) == 0
    assert found.counted.all()


def test_an_object_smaller_than_a_stride_has_a_place_and_two_objects_share_none():
    tiny = target((21, 21, 24, 24), (40, 8, 60, 30), (44, 8, 62, 30))
    found = assign(*answered(1), POINTS, 8, [tiny])
    assert float(found.scores[0, :, 0].max()) > 0
    assert ((found.scores[0] > 0).sum(1) <= 1).all()
    assert (found.scores[0].amax(0) > 0).all(), "every object has a place"


def test_without_objects_everything_is_background_and_ignored_regions_do_not_count():
    found = assign(*answered(2), POINTS, 8, [target(), target(ignored=[(0, 0, 32, 64)])])
    assert not found.objects.any()
    assert float(found.scores.sum()) == 0
    assert found.counted[0].all()
    assert torch.equal(found.counted[1], POINTS[:, 0] > 32)
    inside = assign(*answered(1), POINTS, 8, [target((4, 4, 28, 28), ignored=[(0, 0, 64, 64)])])
    assert torch.equal(inside.counted, inside.objects), "an object in an ignored region is still asked for"


def test_many_objects_are_taken_in_parts_with_the_same_answer(monkeypatch):
    gen = torch.Generator().manual_seed(0)
    corner = torch.rand((300, 2), generator=gen) * 50
    crowded = Target(torch.cat([corner, corner + 8], 1), torch.randint(3, (300,), generator=gen), torch.zeros(0, 4))
    targets = [crowded, target((1, 1, 20, 20)), target(), crowded]
    whole = assign(*answered(4), POINTS, 8, targets)
    monkeypatch.setattr(assigning, "AT_ONCE", 1000)
    parts = assign(*answered(4), POINTS, 8, targets)
    # where no object is, the box is anything
    assert torch.equal(whole.objects, parts.objects)
    assert torch.equal(whole.scores, parts.scores)
    assert torch.equal(whole.boxes[whole.objects], parts.boxes[parts.objects])


def test_complete_overlap_is_one_for_equal_boxes_and_falls_with_distance_and_shape():
    one = torch.tensor([[10.0, 10, 30, 30]])
    moved = [complete_iou(one + shift, one) for shift in (0, 2, 8, 40)]
    assert float(moved[0]) == pytest.approx(1)
    assert float(moved[0]) > float(moved[1]) > float(moved[2]) > float(moved[3])
    assert float(moved[3]) < 0
    flat = torch.tensor([[5.0, 15, 35, 28.3333]])
    assert float(complete_iou(flat, one)) < float(ious(flat, one))
    far = one.clone().requires_grad_()
    complete_iou(far, one + 100).sum().backward()
    assert far.grad.isfinite().all()
    assert float(far.grad.abs().sum()) > 0


def test_a_side_is_learnt_between_two_bins():
    logits = torch.zeros(1, 4, 16, requires_grad=True)
    optimiser = torch.optim.SGD([logits], 2.0)
    goal = torch.tensor([[0.0, 2.25, 7.5, 40.0]])
    for _ in range(300):
        optimiser.zero_grad()
        distribution_loss(logits, goal).sum().backward()
        optimiser.step()
    said = (logits.softmax(-1) * torch.arange(16.0)).sum(-1)
    assert torch.allclose(said, torch.tensor([[0.0, 2.25, 7.5, 15.0]]), atol=0.15)

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from sightline.learn.losses import loss_of  # noqa: E402

pytestmark = pytest.mark.deep


def case(multilabel):
    draws = torch.Generator().manual_seed(1)
    logits = torch.randn(16, 5, generator=draws) * 3
    if multilabel:
        return logits, (torch.rand(16, 5, generator=draws) < 0.4).float()
    return logits, functional.one_hot(torch.randint(5, (16,), generator=draws), 5).float()


WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 3.0, 0.1])


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("mixed", [1.0, 0.7])
def test_focal_with_gamma_0_is_cross_entropy(multilabel, weights, mixed):
    logits, truth = case(multilabel)
    soft = truth * mixed + truth.roll(1, 0) * (1 - mixed)
    plain = loss_of(logits, soft, multilabel, weights, 0.1)
    assert torch.allclose(loss_of(logits, soft, multilabel, weights, 0.1, kind="focal", gamma=0.0), plain, rtol=1e-5)


def test_focal_is_the_papers_formula_for_plain_classes_and_labels():
    logits, truth = case(False)
    right = (logits.softmax(1) * truth).sum(1)
    expected = (-((1 - right) ** 2) * right.log() * (truth @ WEIGHTS)).mean()
    assert torch.allclose(loss_of(logits, truth, False, WEIGHTS, kind="focal"), expected)
    logits, truth = case(True)
    right = torch.where(truth > 0, logits.sigmoid(), 1 - logits.sigmoid())
    expected = (-((1 - right) ** 1.5) * right.log()).mean()
    assert torch.allclose(loss_of(logits, truth, True, kind="focal", gamma=1.5), expected)


@pytest.mark.parametrize("multilabel", [False, True])
def test_hard_pictures_count_more_and_extreme_answers_stay_numbers(multilabel):
    truth = torch.tensor([[1.0, 0.0]])
    sure, wrong = torch.tensor([[4.0, -4.0]]), torch.tensor([[-4.0, 4.0]])

    def ratio(kind):
        return float(loss_of(wrong, truth, multilabel, kind=kind) / loss_of(sure, truth, multilabel, kind=kind))

    assert ratio("focal") > 100 * ratio("cross-entropy")
    for scale in (1e4, -1e4):
        logits = torch.tensor([[scale, -scale]], requires_grad=True)
        loss = loss_of(logits, truth, multilabel, kind="focal")
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from sightline.learn.smallmaps import use_convolutions, use_products  # noqa: E402

pytestmark = pytest.mark.deep


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "side"),
    [(3, 1, 1, 2), (3, 2, 1, 4), (1, 1, 0, 1), (1, 2, 0, 4), (3, 2, 1, 3), (5, 1, 2, 2), (2, 2, 0, 2), (3, 1, 1, 9)],
)
def test_product_and_convolution_agree_both_ways(kernel, stride, padding, side):
    torch.manual_seed(0)
    plain = nn.Conv2d(6, 4, kernel, stride, padding, bias=kernel == 5).to(memory_format=torch.channels_last)
    product = copy.deepcopy(plain)
    use_products(product)
    x = torch.randn(3, 6, side, side)
    results = []
    for module in (plain, product):
        given = x.clone().contiguous(memory_format=torch.channels_last).requires_grad_()
        out = module(given)
        out.square().sum().backward()
        results.append((out, given.grad, module.weight.grad))
    for one, other in zip(*results, strict=True):
        assert one.shape == other.shape
        assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "side"), [(3, 1, 1, 4), (3, 2, 1, 8), (1, 2, 0, 7), (5, 1, 2, 3), (3, (1, 2), 1, 5)]
)
def test_in_half_precision_the_gradients_agree_too(kernel, stride, padding, side):
    torch.manual_seed(0)
    plain = nn.Conv2d(160, 164, kernel, stride, padding, bias=False).to(memory_format=torch.channels_last)
    product = copy.deepcopy(plain)
    use_products(product)
    x, results = torch.randn(3, 160, side, side), []
    for module in (plain, product):
        given = x.clone().contiguous(memory_format=torch.channels_last).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            out = module(given)
        out.float().square().sum().backward()
        results.append((out.float(), given.grad, module.weight.grad))
    assert "_Gradients" in str(out.grad_fn)
    for one, other in zip(*results, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        assert (one - other).abs().max() <= 0.02 * one.abs().max()


@pytest.mark.parametrize(("kernel", "stride", "padding", "side"), [(3, 2, 1, 8), (3, 2, 1, 9), (5, 2, 2, 7), (3, (1, 2), 1, 6)])
def test_depthwise_gradients_with_strides_agree(kernel, stride, padding, side):
    torch.manual_seed(0)
    plain = nn.Conv2d(24, 24, kernel, stride, padding, groups=24, bias=False).to(memory_format=torch.channels_last)
    sparse = copy.deepcopy(plain)
    use_products(sparse)
    x, results = torch.randn(3, 24, side, side), []
    for module in (plain, sparse):
        given = x.clone().contiguous(memory_format=torch.channels_last).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            out = module(given)
        out.float().square().sum().backward()
        results.append((out.float(), given.grad, module.weight.grad))
    assert "_Dense" in str(out.grad_fn)
    for one, other in zip(*results, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max() <= 0.02 * one.abs().max()


@pytest.mark.parametrize(("kernel", "stride", "side"), [(3, 2, 8), (3, 2, 9), (5, 2, 8), (3, 3, 10)])
def test_depthwise_gradients_agree_where_padding_is_tensorflows(kernel, stride, side):
    from timm.layers import Conv2dSame

    torch.manual_seed(0)
    plain = Conv2dSame(24, 24, kernel, stride, groups=24, bias=False).to(memory_format=torch.channels_last)
    sparse = copy.deepcopy(plain)
    use_products(sparse)
    assert list(sparse.state_dict()) == ["weight"]
    x, results = torch.randn(3, 24, side, side), []
    for module in (plain, sparse, copy.deepcopy(sparse).eval()):
        given = x.clone().contiguous(memory_format=torch.channels_last).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            out = module(given)
        out.float().square().sum().backward()
        results.append((out.float(), given.grad, module.weight.grad))
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            assert one.shape == same.shape
            assert (one - same).abs().max() <= 0.02 * one.abs().max()
    use_convolutions(sparse)
    assert type(sparse) is Conv2dSame


def test_only_plain_convolutions_in_training_are_touched_and_it_can_be_undone(monkeypatch):
    model = nn.Sequential(
        nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.Conv2d(4, 4, 3, dilation=2)
    )
    model.append(nn.Conv2d(4, 4, 3, padding="same"))
    names = list(model.state_dict())
    use_products(model)
    assert [type(module) is nn.Conv2d for module in model] == [False, True, True, True]
    assert list(model.state_dict()) == names
    small = torch.randn(2, 4, 2, 2)
    trained = model[0].train()(small)
    monkeypatch.setattr(torch.nn.functional, "linear", lambda *_: pytest.fail("a product in evaluation"))
    assert torch.allclose(model[0].eval()(small), trained, atol=1e-5)
    use_convolutions(model)
    assert all(type(module) is nn.Conv2d for module in model)

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from sightline.learn.network import SHAPES, Classifier, depth_groups, small_resnet  # noqa: E402

pytestmark = pytest.mark.deep


def test_normalise_is_the_usual_formula_for_bytes_and_floats():
    model = Classifier(nn.Flatten(), 12, 2, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
    images = torch.randint(0, 256, (3, 2, 2, 3), dtype=torch.uint8)
    x = model.normalise(images)
    assert x.shape == (3, 3, 2, 2)
    expected = (images.double() / 255 - torch.tensor([0.5, 0.4, 0.3])) / torch.tensor([0.2, 0.25, 0.3])
    assert torch.allclose(x.double(), expected.permute(0, 3, 1, 2), atol=1e-5)
    assert torch.equal(model.normalise(images.float()), x)
    assert {"mean", "std"} <= set(model.state_dict())


def test_forward_is_the_head_on_the_embedding():
    backbone, width = small_resnet("tiny")
    model = Classifier(backbone, width, 5).eval()
    x = torch.randn(2, 3, 48, 48)
    assert model.embed(x).shape == (2, width)
    assert torch.equal(model(x), model.head(model.embed(x)))


@pytest.mark.parametrize(("size", "millions"), [("tiny", 0.60), ("small", 1.52), ("medium", 2.78), ("large", 11.17)])
def test_sizes(size, millions):
    backbone, width = small_resnet(size)
    count = sum(parameter.numel() for parameter in backbone.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.02)
    assert width == SHAPES[size].widths[-1]
    for side in (48, 65, 96):
        assert backbone.eval()(torch.randn(1, 3, side, side)).shape == (1, width)


def test_the_answer_does_not_depend_on_where_the_thing_is():
    backbone, _ = small_resnet("tiny")
    backbone.eval()
    picture = torch.zeros(1, 3, 64, 64)
    patch = torch.randn(3, 16, 16)
    picture[0, :, 16:32, 16:32] = patch
    moved = torch.zeros(1, 3, 64, 64)
    moved[0, :, 32:48, 24:40] = patch
    assert torch.allclose(backbone(picture), backbone(moved), atol=1e-5)


def test_depth_groups_follow_the_blocks_of_each_kind_of_network():
    backbone, width = small_resnet("tiny")
    groups = depth_groups(Classifier(backbone, width, 3))
    assert groups[0] == ["backbone.0.weight"]
    assert groups[-1] == ["head.weight", "head.bias"]
    assert len(groups) == 2 + 4 + 1  # convolution, norm, four blocks, head
    names = [name for group in groups for name in group]
    assert sorted(names) == sorted(name for name, _ in Classifier(backbone, width, 3).named_parameters())


def test_depth_groups_of_timm():
    timm = pytest.importorskip("timm")
    backbone = timm.create_model("mobilenetv2_100", pretrained=False, num_classes=0)
    groups = depth_groups(Classifier(backbone, 1280, 3))
    assert [group[0].split(".")[1:3] for group in groups[:2]] == [["conv_stem", "weight"], ["blocks", "0"]]
    assert "backbone.bn1.weight" in groups[0]
    assert groups[-2] == ["backbone.conv_head.weight", "backbone.bn2.weight", "backbone.bn2.bias"]
    assert len(groups) == 1 + 7 + 1 + 1

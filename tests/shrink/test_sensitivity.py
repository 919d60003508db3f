"""The layers that 8 bits hurt most are found, and keeping them in float helps."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper
from smallnets import distance, drawings, loaded, small_network

from sightline.shrink.quantise import int8, sensitive


def fragile() -> bytes:
    """A network in which one depthwise channel is a hundred times larger than the others, and the next layer undoes it."""
    model = loaded(small_network())
    for one in model.graph.initializer:
        value = numpy_helper.to_array(one).copy()
        if one.name in ("depth.weight", "depth.bias"):
            value[0] *= 100
        if one.name == "point.weight":
            value[:, 0] /= 100
        one.CopyFrom(numpy_helper.from_array(value, one.name))
    return model.SerializeToString()


def test_finds_the_layer_that_hurts() -> None:
    network, images = fragile(), drawings(32)
    named = sensitive(network, images)
    assert named
    assert all(name.startswith("/net/middle/") for name in named)
    plain, mixed = int8(network, images), int8(network, images, keep=named)
    assert distance(network, mixed, images) < 0.8 * distance(network, plain, images)


def test_names_are_few_and_of_the_graph() -> None:
    network = small_network()
    named = sensitive(network, drawings(20))
    assert set(named) <= {node.name for node in loaded(network).graph.node}
    assert len(named) <= 2
    assert named == sensitive(network, drawings(20))
    assert np.isfinite(distance(network, int8(network, drawings(20), keep=named), drawings()))

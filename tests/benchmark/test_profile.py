"""Where the time goes: kinds told from the network's graph, shares of one whole."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from featherseg.benchmark.profile import (
    DENSE,
    DEPTHWISE,
    ELEMENT_WISE,
    GROUPED,
    LAYOUT,
    NARROW_CONVOLUTION,
    OTHER,
    UP_SAMPLING,
    Layer,
    kind_of,
    time_shares,
)
from featherseg.runtime.openvino import open_openvino

SIDE = 64


def shares(
    folder: Path, channels: int, groups: int, *, up_sampled: bool = False
) -> dict[str, float]:
    """Those of two 5x5 convolutions of `channels` in `groups`, and a doubling of the sides."""
    make = onnx.helper.make_node
    shape = (channels, channels // groups, 5, 5)
    same: dict[str, Any] = {"pads": [2, 2, 2, 2], "group": groups}
    nodes = [
        make("Conv", ["image", "weight"], ["between"], name="first", **same),
        make("Conv", ["between", "weight"], ["after"], name="second", **same),
        make("Resize", ["after", "", "scales"], ["logits"], name="up", mode="linear"),
    ]
    if not up_sampled:
        nodes[1:] = [make("Conv", ["between", "weight"], ["logits"], name="second", **same)]
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, channels, None, None])
        for name in ("image", "logits")
    ]
    tensors = [
        onnx.numpy_helper.from_array(weight, "weight"),
        onnx.numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"),
    ]
    graph = onnx.helper.make_graph(nodes, "convolutions", values[:1], values[1:], tensors)
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10
    )
    onnx.save(model, folder / "model.onnx")
    session = open_openvino(folder / "model.onnx", (channels, SIDE, SIDE), "f32", threads=1)
    return time_shares(session, np.zeros((1, channels, SIDE, SIDE), np.float32))


@pytest.mark.parametrize(
    ("channels", "groups", "kind"),
    [(64, 64, DEPTHWISE), (64, 2, GROUPED), (64, 1, DENSE), (16, 1, NARROW_CONVOLUTION)],
)
def test_a_network_of_one_kind_spends_its_time_there(
    tmp_path: Path, channels: int, groups: int, kind: str
) -> None:
    found = shares(tmp_path, channels, groups)
    assert sum(found.values()) == pytest.approx(1.0)
    # What goes in and out may be brought to another layout.
    assert set(found) - {LAYOUT} == {kind}


def test_every_kind_has_its_share_and_the_largest_comes_first(tmp_path: Path) -> None:
    found = shares(tmp_path, 64, 1, up_sampled=True)
    assert sum(found.values()) == pytest.approx(1.0)
    assert {DENSE, UP_SAMPLING} <= set(found)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_the_kind_of_a_convolution_is_told_by_its_weights() -> None:
    merged = [Layer("Convolution", (64, 12, 3, 3)), Layer("Relu"), Layer("Add", (1, 64, 1, 1))]
    assert kind_of("Convolution", merged) == NARROW_CONVOLUTION
    assert kind_of("Convolution", [Layer("Convolution", (32, 32, 1, 1))]) == DENSE
    assert kind_of("Convolution", [Layer("Convolution", (1, 64, 1, 1))]) == NARROW_CONVOLUTION
    assert kind_of("GroupConvolution", [Layer("GroupConvolution", (64, 2, 1, 3, 3))]) == DEPTHWISE
    assert kind_of("GroupConvolution", [Layer("GroupConvolution", (4, 16, 16, 3, 3))]) == GROUPED


def test_rounding_alone_is_told_from_arithmetic() -> None:
    assert kind_of("Subgraph", [Layer("FakeQuantize")]) == LAYOUT
    assert kind_of("Subgraph", [Layer("Multiply"), Layer("FakeQuantize")]) == ELEMENT_WISE
    assert kind_of("Reorder", []) == LAYOUT
    assert kind_of("Interpolate", [Layer("Interpolate"), Layer("FakeQuantize")]) == UP_SAMPLING
    assert kind_of("Loop", []) == OTHER

"""Where a network's time goes in OpenVINO: the share of each kind of operation.

A network far below the machine's peak is held back by something: this says by what. OpenVINO
measures the wall-clock time of every operation that it runs; what it has fused counts as the
operation it was fused into. Groups and widths of convolutions are those of the network's graph.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from featherseg.runtime.library import load_openvino
from featherseg.runtime.openvino import OpenVinoSession
from featherseg.types import Floats

# Fewer channels than this, going in or out, leave the lanes of wide vector units empty.
NARROW = 32
DENSE = "dense convolution"
NARROW_CONVOLUTION = f"narrow convolution (under {NARROW} channels)"
DEPTHWISE = "depthwise convolution"
GROUPED = "grouped convolution"
UP_SAMPLING = "up-sampling"
ELEMENT_WISE = "element-wise"
LAYOUT = "layout and rounding"
OTHER = "other"
_KINDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "transposed convolution": frozenset({"ConvolutionBackpropData", "Deconvolution"}),
        "matrix product": frozenset({"FullyConnected", "FullyConnectedQuantizedLegacy", "MatMul"}),
        UP_SAMPLING: frozenset({"Interpolate", "DepthToSpace"}),
        "concatenation": frozenset({"Concat"}),
        "pooling": frozenset({"MaxPool", "AvgPool", "ReduceMean", "ReduceMax", "AdaptivePooling"}),
        "normalization": frozenset({"MVN", "NormalizeL2"}),
        LAYOUT: frozenset(
            {"Reorder", "Reshape", "Transpose", "SpaceToDepth", "Convert", "FakeQuantize"}
        ),
        ELEMENT_WISE: frozenset(
            {
                *("Subgraph", "PowerStatic", "Add", "Subtract", "Multiply", "Divide", "Relu"),
                *("PRelu", "Sigmoid", "HardSigmoid", "Swish", "HSwish", "Gelu", "Clamp", "Softmax"),
            }
        ),
    }
)
_KIND_OF = {operation: kind for kind, operations in _KINDS.items() for operation in operations}
_ROUNDING = frozenset({"FakeQuantize"})
# The first one only warms up.
_RUNS = 8


@dataclass(frozen=True)
class Layer:
    """A layer of the network's graph: its operation, and the shape of its second input."""

    operation: str
    weights: tuple[int, ...] = ()


def time_shares(session: OpenVinoSession, batch: Floats) -> dict[str, float]:
    """The shares of the time that `session` takes for `batch`, by kind, largest first.

    They sum to 1. `batch` is float32 (1, C, h, w). An operation's time is the median of a few
    runs, taken in a copy of the compiled network that measures itself.
    """
    compiled = (
        load_openvino()
        .Core()
        .compile_model(session.network, "CPU", {**session.settings, "PERF_COUNT": True})
    )
    request = compiled.create_infer_request()
    totals = []
    for count in range(1, _RUNS + 1):
        request.infer({0: batch})
        # OpenVINO gives the mean over all runs so far.
        totals.append([count * each.real_time.total_seconds() for each in request.profiling_info])
    seconds = np.median(np.diff(totals, axis=0), axis=0).clip(min=0.0).tolist()
    layers, sources = _layers(session.network), _sources(compiled)
    taken: Counter[str] = Counter()
    for each, own in zip(request.profiling_info, seconds, strict=True):
        merged = [layers[name] for name in sources.get(each.node_name, ()) if name in layers]
        taken[kind_of(each.node_type, merged)] += own
    whole = sum(taken.values())
    return {kind: own / whole for kind, own in taken.most_common() if own}


def kind_of(node_type: str, merged: Sequence[Layer]) -> str:
    """The kind of an operation of the compiled network that was made of the layers `merged`."""
    if node_type in ("Convolution", "GroupConvolution"):
        weights = [layer.weights for layer in merged if layer.operation == node_type]
        return _convolution(weights[0]) if weights else OTHER
    if merged and {layer.operation for layer in merged} <= _ROUNDING:
        return LAYOUT
    return _KIND_OF.get(node_type, OTHER)


def _convolution(weights: Sequence[int]) -> str:
    """The kind by the shape of the weights: (out, in, kh, kw), or (groups, out, in, kh, kw)."""
    if len(weights) > 4:
        return DEPTHWISE if weights[2] == 1 else GROUPED
    return NARROW_CONVOLUTION if min(weights[:2]) < NARROW else DENSE


def _layers(network: Any) -> dict[str, Layer]:
    """The layers of an `openvino.Model` by name."""
    return {
        each.get_friendly_name(): Layer(each.get_type_name(), _second_shape(each))
        for each in network.get_ordered_ops()
    }


def _second_shape(operation: Any) -> tuple[int, ...]:
    if operation.get_input_size() < 2:
        return ()
    shape = operation.get_input_partial_shape(1)
    return tuple(shape.to_shape()) if shape.is_static else ()


def _sources(compiled: Any) -> dict[str, list[str]]:
    """The names of the layers that each operation of a compiled network was made of."""
    found = {}
    for each in compiled.get_runtime_model().get_ops():
        names = each.get_rt_info()["originalLayersNames"].astype(str)
        found[each.get_friendly_name()] = names.split(",")
    return found

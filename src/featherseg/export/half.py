"""Weights stored as float16, so that a model file takes half the space.

A float16 number keeps 11 significant bits: rounding moves a weight by at most 2^-11 of itself
(IEEE 754-2019, binary16). Networks still compute as before, since each rounded tensor is cast
back to float32 where it is used; runtimes do that once, when they load the file.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from featherseg.errors import BundleError
from featherseg.storage import write_bytes

_SUFFIX = "_float16"


def halve_weights(path: Path) -> None:
    """Store the float32 weights of the ONNX file `path` as float16, each followed by a cast.

    Biases and other vectors stay as they are: they are few. Raises BundleError for a weight that
    float16 cannot hold (over 65504).
    """
    model = onnx.load(path)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(_rounded(tensor), name + _SUFFIX))
        casts.append(
            onnx.helper.make_node("Cast", [name + _SUFFIX], [name], to=onnx.TensorProto.FLOAT)
        )
    # A node may only use what stands before it.
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    write_bytes(path, model.SerializeToString())


def _rounded(tensor: onnx.TensorProto) -> np.ndarray:
    weights = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        rounded = weights.astype(np.float16)
    if not np.isfinite(rounded).all():
        largest = float(np.abs(weights).max())
        raise BundleError(
            f"the weight '{tensor.name}' holds {largest:g}, and float16 ends at 65504; "
            "export with --weights fp32"
        )
    return rounded

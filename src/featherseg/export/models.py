"""A torch network as ONNX and as OpenVINO IR."""

import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from featherseg.errors import BundleError
from featherseg.preprocess import Preprocessing
from featherseg.runtime.library import load_openvino
from featherseg.storage import write_bytes

_AXES = ("batch", None, "height", "width")


class WithPresence(nn.Module):
    """A network's ``forward_with_presence`` as its forward: logits and presence."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Run (N, C, H, W) to logits (N, K, H, W) and presence (N, 1)."""
        logits, presence = self.network.forward_with_presence(image)
        return logits, presence


def write_onnx(network: nn.Module, preprocessing: Preprocessing, path: Path) -> None:
    """Write `network` as plain ONNX with dynamic batch, height and width, and check it.

    Its input is `image`, its output `logits`; a network that offers ``forward_with_presence``
    gets a second output, `presence` (N, 1), logits too. Traces of the source code that the
    exporter leaves in the file are removed.
    """
    dynamic = torch.export.Dim.DYNAMIC
    tells_presence = hasattr(network, "forward_with_presence")
    outputs = ["logits", "presence"] if tells_presence else ["logits"]
    example = torch.zeros(2, preprocessing.channels, *preprocessing.input_size)
    with warnings.catch_warnings():
        # The exporter warns of its own deprecations; what it writes is checked below.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            (WithPresence(network) if tells_presence else network).eval(),
            (example,),
            dynamo=True,
            dynamic_shapes=({0: dynamic, 2: dynamic, 3: dynamic},),
            input_names=["image"],
            output_names=outputs,
            verbose=False,
        )
    if program is None:
        raise BundleError("torch.onnx.export gave no program; update torch and onnxscript")
    model = program.model_proto
    _anonymize(model)
    _name_axes(model)
    onnx.helper.set_model_props(model, _description(preprocessing, tells_presence))
    onnx.checker.check_model(model, full_check=True)
    write_bytes(path, model.SerializeToString())


def _anonymize(model: onnx.ModelProto) -> None:
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for part in (model, graph, *graph.node, *values):
        del part.metadata_props[:]
        part.doc_string = ""


def _name_axes(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        # Presence has two axes, the first of the same four.
        for name, axis in zip(_AXES, value.type.tensor_type.shape.dim, strict=False):
            if name and axis.dim_param:
                axis.dim_param = name
    # Sizes in between are inferred again from those of the inputs.
    del model.graph.value_info[:]


def _description(preprocessing: Preprocessing, tells_presence: bool) -> dict[str, str]:
    height, width = preprocessing.input_size
    return {
        "input": "RGB" if preprocessing.channels == 3 else "gray",
        "input_size": f"{height}x{width}, stretched",
        "scale": "divide by 255, subtract mean, divide by std",
        "mean": str(preprocessing.mean),
        "std": str(preprocessing.std),
        "output": "logits, not probabilities",
        **({"presence": "logits too"} if tells_presence else {}),
    }


def write_ir(onnx_file: Path, path: Path) -> None:
    """Write an ONNX file as OpenVINO IR (.xml and .bin) with f32 weights.

    What depends on no input, such as the shapes that biases are brought to, is computed here.
    """
    openvino = load_openvino()
    from openvino.passes import ConstantFolding, Manager

    folding = Manager()
    folding.register_pass(ConstantFolding())
    try:
        model = openvino.Core().read_model(onnx_file)
        folding.run_passes(model)
        openvino.save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BundleError(f"OpenVINO cannot convert the network: {reason}") from error

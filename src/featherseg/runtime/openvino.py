"""OpenVINO sessions, loaded lightly and without telemetry.

`import openvino` alone imports its conversion tools, which report the import to a statistics
service over the network and take a third of the start-up time. `load_openvino` imports the
runtime without the tools and keeps the telemetry package out of the process for good, so that
nothing that uses OpenVINO later can send anything either.
"""

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from featherseg.errors import BundleError
from featherseg.runtime.cpu import Precision, thread_limit
from featherseg.runtime.onnx_file import refuse_external_data
from featherseg.types import Floats

_TELEMETRY = "openvino_telemetry"
_TOOLS = "openvino.tools.ovc"


@cache
def load_openvino() -> ModuleType:
    """The `openvino` module without its conversion tools, telemetry blocked.

    A None in sys.modules makes an import fail with ModuleNotFoundError, which OpenVINO expects:
    it then leaves out the tools, and the tools, if imported later, use their silent stub.
    """
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
    blocks_tools = "openvino" not in sys.modules
    if blocks_tools:
        sys.modules[_TOOLS] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if blocks_tools:
            del sys.modules[_TOOLS]
    module: ModuleType = openvino
    return module


@cache
def _core() -> Any:
    return load_openvino().Core()


def available_devices() -> tuple[str, ...]:
    """The devices OpenVINO finds, such as ("CPU",)."""
    return tuple(_core().available_devices)


@dataclass(frozen=True)
class OpenVinoSession:
    """A compiled model for one input shape; not to be shared between threads.

    ``precision`` is the one it really computes in.
    """

    request: Any
    precision: str
    runtime: str = "openvino"

    def logits(self, batch: Floats) -> Floats:
        """Run float32 (N, C, h, w), one image at a time, to float32 logits (N, K, h, w)."""
        return np.concatenate([self._one(batch[index : index + 1]) for index in range(len(batch))])

    def _one(self, image: Floats) -> Floats:
        self.request.infer({0: np.ascontiguousarray(image, np.float32)}, share_inputs=True)
        # The tensor belongs to the request and is overwritten by the next inference.
        return np.array(self.request.get_output_tensor(0).data, dtype=np.float32)


def open_openvino(
    model: Path, input_shape: tuple[int, int, int], precision: Precision
) -> OpenVinoSession:
    """Compile `model` for inputs (1, C, h, w) on the CPU.

    `model` is an IR .xml with its .bin beside it, or an ONNX file; `input_shape` is (C, h, w).
    Raises BundleError when OpenVINO refuses the file, or an ONNX file has weights elsewhere.
    """
    openvino = load_openvino()
    if model.suffix == ".onnx":
        refuse_external_data(model)
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    }
    if thread_limit():
        settings["INFERENCE_NUM_THREADS"] = thread_limit()
    try:
        network = _core().read_model(model)
        network.reshape(openvino.PartialShape([1, *input_shape]))
        compiled = _core().compile_model(network, "CPU", settings)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BundleError(f"OpenVINO cannot run {model}: {reason}; export it again") from error
    # A processor without bf16 instructions computes in f32 whatever was asked for.
    used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    return OpenVinoSession(compiled.create_infer_request(), used)

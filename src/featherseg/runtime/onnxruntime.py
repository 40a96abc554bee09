"""ONNX Runtime sessions on the CPU, in f32."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featherseg.errors import BundleError
from featherseg.extras import require
from featherseg.runtime.cpu import thread_limit
from featherseg.runtime.onnx_file import refuse_external_data
from featherseg.types import Floats

_ERRORS_ONLY = 3


@dataclass(frozen=True)
class OnnxRuntimeSession:
    """A loaded model; may be shared between threads."""

    session: Any
    precision: str = "f32"
    runtime: str = "onnxruntime"

    def logits(self, batch: Floats) -> Floats:
        """Run float32 (N, C, h, w), one image at a time, to float32 logits (N, K, h, w)."""
        return np.concatenate([self._one(batch[index : index + 1]) for index in range(len(batch))])

    def _one(self, image: Floats) -> Floats:
        name = self.session.get_inputs()[0].name
        (logits,) = self.session.run(None, {name: np.ascontiguousarray(image, np.float32)})
        return np.asarray(logits, np.float32)


def open_onnxruntime(model: Path) -> OnnxRuntimeSession:
    """Load `model`, an ONNX file that holds all its weights.

    Raises MissingExtraError without the package, and BundleError for weights in other files (ONNX
    Runtime refuses those outside the model's folder; here none are needed) or a damaged model.
    """
    require("onnxruntime")
    import onnxruntime

    refuse_external_data(model)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = thread_limit()
    # Spinning threads made two shared cores more than twice as slow.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its error classes share no public base
        reason = str(error).strip().splitlines()[0]
        raise BundleError(f"ONNX Runtime cannot run {model}: {reason}; export it again") from error
    return OnnxRuntimeSession(session)

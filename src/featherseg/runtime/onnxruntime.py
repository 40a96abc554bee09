"""ONNX Runtime sessions in f32, on the CPU or with another execution provider."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featherseg.errors import BundleError
from featherseg.extras import installed_version, require
from featherseg.preprocess import normalize
from featherseg.runtime.cpu import thread_limit
from featherseg.runtime.masks import PRESENCE, Answer, MaskRule, Started, answer_masks
from featherseg.runtime.onnx_file import refuse_external_data
from featherseg.types import Floats, Mask, Pixels

CPU = "CPUExecutionProvider"
# Nvidia's tensor cores would round float32 to 10 bits.
_SETTINGS = {"CUDAExecutionProvider": {"use_tf32": "0"}}
_ERRORS_ONLY = 3


@dataclass(frozen=True)
class OnnxRuntimeSession:
    """A loaded model; may be shared between threads.

    ``rule`` says how masks are made, None for a session that gives logits only.
    """

    session: Any
    rule: MaskRule | None = None
    precision: str = "f32"
    runtime: str = "onnxruntime"

    def answer(self, batch: Floats) -> Answer:
        """Run float32 (N, C, h, w), one image at a time."""
        answers = (self._one(batch[index : index + 1]) for index in range(len(batch)))
        return Answer(*(np.concatenate(each) for each in zip(*answers, strict=True)))

    def logits(self, batch: Floats) -> Floats:
        """Run float32 (N, C, h, w), one image at a time, to float32 logits (N, K, h, w)."""
        return self.answer(batch).logits

    def masks(self, batch: Pixels) -> Mask:
        """Run uint8 (N, h, w, C), one image at a time, to label masks uint8 (N, h, w)."""
        if self.rule is None:
            raise ValueError("masks need a rule; open the session with one")
        answer = self.answer(normalize(batch, self.rule.preprocessing))
        return answer_masks(answer, self.rule.point)

    def start(self, batch: Pixels) -> Started:
        """Run uint8 (1, h, w, C) at once; calling the result gives the mask."""
        masks = self.masks(batch)
        return lambda: masks

    def _one(self, image: Floats) -> list[Floats]:
        name = self.session.get_inputs()[0].name
        logits, *others = [output.name for output in self.session.get_outputs()]
        wanted = [logits, PRESENCE] if PRESENCE in others else [logits]
        outputs = self.session.run(wanted, {name: np.ascontiguousarray(image, np.float32)})
        return [np.asarray(output, np.float32) for output in outputs]


def open_onnxruntime(
    model: Path,
    *,
    rule: MaskRule | None = None,
    threads: int | None = None,
    provider: str = CPU,
) -> OnnxRuntimeSession:
    """Load `model`, an ONNX file that holds all its weights.

    `threads` None is OMP_NUM_THREADS, or ONNX Runtime's choice. Operators that `provider` lacks
    run on the CPU. Raises MissingExtraError without the package, and BundleError for weights in
    other files (ONNX Runtime refuses those outside the model's folder; here none are needed), a
    damaged model, or a provider that does not work here.
    """
    if installed_version("onnxruntime-gpu") is None:
        require("onnxruntime")
    import onnxruntime

    refuse_external_data(model)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads or thread_limit()
    # Spinning threads made two shared cores more than twice as slow.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    present = onnxruntime.get_available_providers()
    if provider not in present:
        raise BundleError(
            f"this ONNX Runtime has {', '.join(present)}, not {provider}; install onnxruntime-gpu "
            "in the place of onnxruntime, or use --runtime onnxruntime"
        )
    providers = [(name, _SETTINGS.get(name, {})) for name in dict.fromkeys((provider, CPU))]
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=providers)
    except Exception as error:  # its error classes share no public base
        reason = str(error).strip().splitlines()[0]
        raise BundleError(f"ONNX Runtime cannot run {model}: {reason}; export it again") from error
    # Where a provider's libraries are missing ONNX Runtime goes on without it.
    if provider not in session.get_providers():
        raise BundleError(
            f"ONNX Runtime cannot use {provider} here, its libraries or the device are missing; "
            "use --runtime onnxruntime"
        )
    return OnnxRuntimeSession(session, rule)

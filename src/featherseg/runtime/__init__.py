"""Running a bundle's network: images in, logits out, whichever runtime does it."""

from typing import Protocol

from featherseg.bundle import ONNX_FILE, Bundle
from featherseg.errors import BundleError
from featherseg.runtime.cpu import Precision, default_precision
from featherseg.types import Floats

RUNTIMES = ("openvino", "onnxruntime")


class Session(Protocol):
    """A network ready to run, of whatever runtime."""

    @property
    def runtime(self) -> str:
        """Which runtime this is, as in `RUNTIMES`."""

    @property
    def precision(self) -> str:
        """The precision it computes in: "f32" or "bf16"."""

    def logits(self, batch: Floats) -> Floats:
        """Run float32 (N, C, h, w) to float32 logits (N, K, h, w) of the same h and w."""


def open_session(
    bundle: Bundle, runtime: str = "openvino", precision: Precision | None = None
) -> Session:
    """Open a bundle's network for images of the bundle's input size.

    `precision` None means the fastest on this processor (ONNX Runtime: always "f32").
    Raises BundleError for an unknown runtime, a precision it lacks or a model it refuses, and
    MissingExtraError when the runtime is not installed.
    """
    expected = bundle.manifest.preprocessing
    if runtime == "openvino":
        from featherseg.runtime.openvino import open_openvino

        shape = (expected.channels, *expected.input_size)
        return open_openvino(bundle.openvino_file, shape, precision or default_precision())
    if runtime == "onnxruntime":
        if precision not in (None, "f32"):
            raise BundleError(f"onnxruntime computes in f32, not {precision}; use openvino")
        from featherseg.runtime.onnxruntime import open_onnxruntime

        return open_onnxruntime(bundle.folder / ONNX_FILE)
    raise BundleError(f"unknown runtime '{runtime}'; choose one of {', '.join(RUNTIMES)}")


__all__ = ["RUNTIMES", "Precision", "Session", "open_session"]

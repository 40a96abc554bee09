"""Running a bundle's network: images in, logits or masks out, whichever runtime does it."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from featherseg.bundle import ONNX_FILE, Bundle
from featherseg.errors import BundleError
from featherseg.runtime.cpu import Precision, default_precision
from featherseg.runtime.masks import Answer, MaskRule, Started
from featherseg.types import Floats, Mask, Pixels

RUNTIMES = ("openvino", "onnxruntime")
# Runtimes by what ONNX Runtime calls its execution provider; those for a GPU need its own package.
PROVIDERS = {
    "onnxruntime": "CPUExecutionProvider",
    "onnxruntime-cuda": "CUDAExecutionProvider",
    "onnxruntime-tensorrt": "TensorrtExecutionProvider",
}


class Session(Protocol):
    """A network ready to run, of whatever runtime."""

    @property
    def runtime(self) -> str:
        """Which runtime this is, as in `RUNTIMES` or `PROVIDERS`."""

    @property
    def precision(self) -> str:
        """The precision it computes in: "f32" or "bf16"."""

    def logits(self, batch: Floats) -> Floats:
        """Run float32 (N, C, h, w) to float32 logits (N, K, h, w) of the same h and w."""


@runtime_checkable
class AnsweringSession(Session, Protocol):
    """A session that also gives the presence, where the network has that output."""

    def answer(self, batch: Floats) -> Answer:
        """Run float32 (N, C, h, w) to everything that the network says."""


@runtime_checkable
class MaskSession(AnsweringSession, Protocol):
    """A session that knows the bundle's preprocessing and thresholds, for speed.

    Its masks are those of `masks.answer_masks`, at the network's size; parts are not chosen yet.
    """

    def masks(self, batch: Pixels) -> Mask:
        """Run uint8 (N, h, w, C) to label masks uint8 (N, h, w)."""

    def start(self, batch: Pixels) -> Started:
        """Begin with uint8 (1, h, w, C); calling the result waits and gives the mask."""


def open_session(
    bundle: Bundle,
    runtime: str = "openvino",
    precision: Precision | None = None,
    *,
    threads: int | None = None,
    streams: int = 1,
    cache_dir: Path | None = None,
) -> MaskSession:
    """Open a bundle's network for images of the bundle's input size.

    `precision` None means the bundle's own, else the fastest on this processor (ONNX Runtime:
    always "f32"). `threads` None is OMP_NUM_THREADS, or the runtime's choice. OpenVINO works on
    `streams` images at a time, which share the threads, and keeps what it compiles in `cache_dir`,
    if given.
    Raises BundleError for an unknown runtime, a precision it lacks or a model it refuses, and
    MissingExtraError when the runtime is not installed.
    """
    expected = bundle.manifest.preprocessing
    rule = MaskRule(bundle.preprocessing, bundle.operating_point)
    if runtime == "openvino":
        from featherseg.runtime.openvino import open_openvino

        return open_openvino(
            bundle.openvino_file,
            (expected.channels, *expected.input_size),
            precision or _stored(bundle) or default_precision(),
            rule=rule,
            threads=threads,
            streams=streams,
            cache_dir=cache_dir,
        )
    if runtime in PROVIDERS:
        if precision not in (None, "f32"):
            raise BundleError(f"{runtime} computes in f32, not {precision}; use openvino")
        if ONNX_FILE not in bundle.manifest.files:
            raise BundleError(
                f"{bundle.folder}: this bundle is for OpenVINO alone; for ONNX Runtime export it "
                "with --precision fp32"
            )
        from featherseg.runtime.onnxruntime import open_onnxruntime

        model = bundle.folder / ONNX_FILE
        provider = PROVIDERS[runtime]
        session = open_onnxruntime(model, rule=rule, threads=threads, provider=provider)
        return replace(session, runtime=runtime)
    known = ", ".join(("openvino", *PROVIDERS))
    raise BundleError(f"unknown runtime '{runtime}'; choose one of {known}")


def _stored(bundle: Bundle) -> Precision | None:
    stored = bundle.manifest.precision
    return stored if stored in ("f32", "bf16") else None


def answer_of(session: Session, batch: Floats) -> Answer:
    """What any session says of float32 (N, C, h, w): the presence too, if it gives one."""
    if isinstance(session, AnsweringSession):
        return session.answer(batch)
    return Answer(session.logits(batch))


__all__ = [
    "PROVIDERS",
    "RUNTIMES",
    "Answer",
    "AnsweringSession",
    "MaskRule",
    "MaskSession",
    "Precision",
    "Session",
    "Started",
    "answer_of",
    "open_session",
]

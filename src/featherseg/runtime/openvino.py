"""OpenVINO sessions."""

from collections import deque
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from featherseg.errors import BundleError
from featherseg.runtime.cpu import Precision, thread_limit
from featherseg.runtime.library import load_openvino
from featherseg.runtime.mask_graph import presence_place, with_masks
from featherseg.runtime.masks import Answer, MaskRule, Started
from featherseg.runtime.onnx_file import refuse_external_data
from featherseg.types import Floats, Mask, Pixels

_CACHE = "CACHE_DIR"


@cache
def _core() -> Any:
    return load_openvino().Core()


def available_devices() -> tuple[str, ...]:
    """The devices OpenVINO finds, such as ("CPU",)."""
    return tuple(_core().available_devices)


@dataclass(frozen=True)
class OpenVinoSession:
    """A model read for one input shape; not to be shared between threads.

    It is compiled when it is first asked, once for `answer` and once for masks, each only where
    it is asked for. ``precision`` is the one it really computes in; ``rule`` says how masks are
    made, None for a session that gives logits only.
    """

    model: Path
    network: Any
    settings: dict[str, Any]
    precision: str
    rule: MaskRule | None = None
    runtime: str = "openvino"

    def answer(self, batch: Floats) -> Answer:
        """Run float32 (N, C, h, w), one image at a time."""
        answers = (self._one(batch[index : index + 1]) for index in range(len(batch)))
        return Answer(*(np.concatenate(each) for each in zip(*answers, strict=True)))

    def logits(self, batch: Floats) -> Floats:
        """Run float32 (N, C, h, w), one image at a time, to float32 logits (N, K, h, w)."""
        return self.answer(batch).logits

    def masks(self, batch: Pixels) -> Mask:
        """Run uint8 (N, h, w, C), one image at a time, to label masks uint8 (N, h, w)."""
        started = (self.start(batch[index : index + 1]) for index in range(len(batch)))
        return np.concatenate([mask() for mask in started])

    def start(self, batch: Pixels) -> Started:
        """Begin with uint8 (1, h, w, C) in the background; calling the result gives the mask."""
        request = self._idle.pop() if self._idle else self._masking.create_infer_request()
        batch = np.ascontiguousarray(batch)
        request.start_async({0: batch}, share_inputs=True)

        def finished() -> Mask:
            request.wait()
            # The request reads the memory of `batch` up to here, and its tensor is overwritten.
            mask = np.array(request.get_output_tensor(0).data, dtype=np.uint8)
            self._idle.append(request)
            return mask[: len(batch)]

        return finished

    def _one(self, image: Floats) -> list[Floats]:
        self._request.infer({0: np.ascontiguousarray(image, np.float32)}, share_inputs=True)
        presence = presence_place(self.network)
        places = (0,) if presence is None else (0, presence)
        # The tensors belong to the request and are overwritten by the next inference.
        tensors = [self._request.get_output_tensor(place) for place in places]
        return [np.array(tensor.data, dtype=np.float32) for tensor in tensors]

    @cached_property
    def _request(self) -> Any:
        return self._compiled(self.network).create_infer_request()

    @cached_property
    def _masking(self) -> Any:
        if self.rule is None:
            raise ValueError("masks need a rule; open the session with one")
        return self._compiled(with_masks(self.network, self.rule))

    @cached_property
    def _idle(self) -> deque[Any]:
        """Requests that wait for work; each is used by one image at a time."""
        return deque()

    def _compiled(self, network: Any) -> Any:
        # A cache that cannot be written must not stop what needs none.
        uncached = {key: self.settings[key] for key in self.settings if key != _CACHE}
        for settings in (self.settings, uncached):
            try:
                return _core().compile_model(network, "CPU", settings)
            except RuntimeError as error:
                failure = error
        raise _refusal(self.model, failure) from failure


def open_openvino(
    model: Path,
    input_shape: tuple[int, int, int],
    precision: Precision,
    *,
    rule: MaskRule | None = None,
    threads: int | None = None,
    streams: int = 1,
    cache_dir: Path | None = None,
) -> OpenVinoSession:
    """Read `model` for inputs (1, C, h, w) on the CPU.

    `model` is an IR .xml with its .bin beside it, or an ONNX file; `input_shape` is (C, h, w).
    `threads` None is OMP_NUM_THREADS, or OpenVINO's choice; they are shared by `streams`, which
    is how many images are worked on at a time. What is compiled is kept in `cache_dir`, if given.
    Raises BundleError when OpenVINO refuses the file, or an ONNX file has weights elsewhere; what
    it finds only on compiling is raised when the session is first used.
    """
    openvino = load_openvino()
    if model.suffix == ".onnx":
        refuse_external_data(model)
    try:
        network = _core().read_model(model)
        network.reshape(openvino.PartialShape([1, *input_shape]))
    except RuntimeError as error:
        raise _refusal(model, error) from error
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": streams,
    }
    if threads or thread_limit():
        settings["INFERENCE_NUM_THREADS"] = threads or thread_limit()
    if cache_dir is not None:
        settings[_CACHE] = str(cache_dir)
    # A processor without bf16 instructions computes in f32 whatever is asked for.
    has_bf16 = "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    used = precision if precision == "f32" or has_bf16 else "f32"
    return OpenVinoSession(model, network, settings, used, rule)


def _refusal(model: Path, error: RuntimeError) -> BundleError:
    reason = str(error).strip().splitlines()[-1]
    return BundleError(f"OpenVINO cannot run {model}: {reason}; export it again")

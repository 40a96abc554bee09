"""The ways in which one subject can be run: by which runtime, in which precision."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from featherseg.benchmark.frames import Frame
from featherseg.benchmark.peers import own_predictor
from featherseg.benchmark.profile import time_shares
from featherseg.benchmark.scratch import write_int8_scratch
from featherseg.benchmark.subjects import Subject
from featherseg.benchmark.timing import Call
from featherseg.bundle import IR_FILE, IR_WEIGHTS_FILE, ONNX_FILE, Bundle
from featherseg.compress.fuse import fuse
from featherseg.preprocess import Preprocessing
from featherseg.runtime import Precision, open_session
from featherseg.runtime.cpu import capabilities, default_precision
from featherseg.runtime.openvino import OpenVinoSession
from featherseg.segment import Segmenter
from featherseg.types import Floats

TORCH, OPENVINO, ONNXRUNTIME = "torch", "openvino", "onnxruntime"
# nnU-Net's own predictor, around its network in torch.
_PREDICTOR = "nnunetv2"
NOT_FUSED = "not fused"


@dataclass(frozen=True)
class Contender:
    """One way of running a subject.

    ``run`` is the network on a float32 batch of one image, ``frame`` everything from the bytes
    of a JPEG to an overlay, ``video_frame`` the same as in a video, None where there is no such
    way. A new process opens ``bundle`` with ``asked`` as its precision. ``only_speed`` says that
    its answers are not the network's.
    """

    runtime: str
    precision: str
    run: Call
    frame: Call | None = None
    video_frame: Call | None = None
    bundle: Bundle | None = None
    asked: Precision | None = None
    only_speed: bool = False
    note: str = ""

    @property
    def is_baseline(self) -> bool:
        """Whether this is what others are compared with: eager torch in float32."""
        return (self.runtime, self.precision, self.note) == (TORCH, "f32", "")

    @property
    def is_predictor(self) -> bool:
        """Whether this is more than a network: pixels to labels, mirrored several times."""
        return self.runtime == _PREDICTOR

    @property
    def file_mb(self) -> float | None:
        """The size of the model's files in megabytes (10^6 bytes), None without files."""
        if self.bundle is None:
            return None
        is_ir = self.runtime == OPENVINO and IR_FILE in self.bundle.manifest.files
        files = (IR_FILE, IR_WEIGHTS_FILE) if is_ir else (ONNX_FILE,)
        return sum((self.bundle.folder / name).stat().st_size for name in files) / 1e6


@dataclass(frozen=True)
class Ways:
    """Which ways of running are wanted beside torch, OpenVINO and ONNX Runtime in float32.

    ``bf16`` asks OpenVINO for it on processors without AMX too; ``int8`` quantizes networks
    that have no int8 files, on noise, for both runtimes. All use ``threads`` threads.
    """

    threads: int
    int8: bool = False
    bf16: bool = False


def contenders(subject: Subject, ways: Ways, frame: Frame, folder: Path) -> Iterator[Contender]:
    """All ways of running `subject`; an int8 model that has to be made goes to `folder`."""
    batch = example(subject.bundle.preprocessing)
    if subject.network is not None:
        yield from _by_torch(subject.network, batch)
    for runtime, asked in _of_files(subject.bundle, ways):
        yield _by_runtime(subject.bundle, runtime, asked, _Input(batch, frame, ways.threads))
    if ways.int8 and subject.bundle.manifest.precision != "int8":
        made = write_int8_scratch(subject.bundle, folder)
        for runtime in (OPENVINO, ONNXRUNTIME):
            int8 = _by_runtime(made, runtime, None, _Input(batch, frame, ways.threads))
            yield replace(int8, only_speed=True)
    if subject.kind == "peer" and subject.network is not None:
        yield from _by_its_own(subject.name, subject.network, batch.shape[-1])


def kinds_of_work(contender: Contender, threads: int) -> dict[str, float] | None:
    """The shares of `profile.time_shares`, None where it is not OpenVINO that runs."""
    if contender.runtime != OPENVINO or contender.bundle is None:
        return None
    session = open_session(contender.bundle, OPENVINO, contender.asked, threads=threads)
    assert isinstance(session, OpenVinoSession)
    return time_shares(session, example(contender.bundle.preprocessing))


def example(expected: Preprocessing) -> Floats:
    """One input of a network, float32 (1, C, h, w): noise from 0 to 1."""
    shape = (1, expected.channels, *expected.input_size)
    return np.random.default_rng(0).random(shape, np.float32)


def _of_files(bundle: Bundle, ways: Ways) -> Iterator[tuple[str, Precision | None]]:
    """By which runtimes, and in which precisions, a bundle's own files can be run."""
    if bundle.manifest.precision == "int8":
        yield OPENVINO, None
        return
    yield OPENVINO, "f32"
    if ways.bf16 or default_precision() == "bf16":
        yield OPENVINO, "bf16"
    yield ONNXRUNTIME, "f32"


def _by_torch(network: nn.Module, batch: Floats) -> Iterator[Contender]:
    """Eager torch: fused in float32 and, where the processor computes in it, in bf16."""
    fused, image = fuse(network), torch.from_numpy(batch)
    yield Contender(TORCH, "f32", _inference(fused, image))
    if len(list(fused.modules())) != len(list(network.modules())):
        yield Contender(TORCH, "f32", _inference(network, image), note=NOT_FUSED)
    cpu = capabilities()
    if cpu.amx_bf16 or cpu.avx512_bf16:
        rounded = copy.deepcopy(fused).to(torch.bfloat16).to(memory_format=torch.channels_last)
        image = image.to(torch.bfloat16).to(memory_format=torch.channels_last)
        yield Contender(TORCH, "bf16", _inference(rounded, image), note="channels last")


def _inference(network: nn.Module, image: torch.Tensor) -> Call:
    @torch.inference_mode()
    def run() -> object:
        return network(image)

    return run


@dataclass(frozen=True)
class _Input:
    """What all runtimes are given: a batch, a frame, and so many threads."""

    batch: Floats
    frame: Frame
    threads: int


def _by_runtime(bundle: Bundle, runtime: str, asked: Precision | None, given: _Input) -> Contender:
    """A bundle opened; `asked` None stands for files that are in int8."""
    session = open_session(bundle, runtime, asked, threads=given.threads)
    segmenter = Segmenter(
        session,
        bundle.preprocessing,
        bundle.operating_point,
        bundle.manifest.labels,
        bundle.id,
    )
    return Contender(
        runtime,
        asked or "int8",
        run=lambda: session.logits(given.batch),
        frame=lambda: given.frame.as_scored(segmenter),
        video_frame=lambda: given.frame.as_video(segmenter),
        bundle=bundle,
        asked=asked,
    )


def _by_its_own(name: str, network: nn.Module, size: int) -> Iterator[Contender]:
    """The predictor that comes with a peer, from pixels of the right size to labels."""
    predict = own_predictor(name, network, size)
    if predict is not None:
        pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
        yield Contender(
            _PREDICTOR, "f32", lambda: predict(pixels), note="its whole predictor, 4 mirrorings"
        )

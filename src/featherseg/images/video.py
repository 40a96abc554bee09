"""Moving pictures as frames: video files, cameras and folders of images; and writing a video.

OpenCV decodes with FFmpeg. Only files that begin like a known container are given to it, since
FFmpeg also follows playlists, which are text that names other files.
"""

import contextlib
import math
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from featherseg.errors import ImageError, StorageError
from featherseg.images.raster import MAX_PIXELS, MIN_SIDE_PX, SUFFIXES, read_image
from featherseg.types import Pixels

CAMERA = "camera:"
# What a written video runs at where the source states no rate.
FALLBACK_FPS = 25.0
# Tried in this order: a codec in a container that OpenCV ends with that suffix.
_CODECS = (("mp4v", ".mp4"), ("MJPG", ".avi"))
# How files begin, and where in the file that stands.
_CONTAINERS: tuple[tuple[int, bytes], ...] = (
    (4, b"ftyp"),
    *((4, atom) for atom in (b"moov", b"mdat", b"wide", b"free", b"skip")),
    (8, b"AVI "),
    (0, b"\x1aE\xdf\xa3"),  # Matroska, WebM
    (0, b"\x00\x00\x01\xba"),  # MPEG program stream
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # Windows Media
)
_HEADER_BYTES = 16
_KNOWN = "MP4, MOV, AVI, MKV, WebM, MPEG or WMV"
# Counts from a header are estimates in some containers: duration times rate, rounded.
_COUNT_SLACK = 1
_MS = 1000.0


@dataclass(frozen=True)
class Frame:
    """One picture of a source: uint8 (H, W) or RGB (H, W, 3).

    ``number`` counts from 0 what the source sent, so that a gap tells what was dropped. ``time_s``
    is its place in the recording, or since a camera was opened; None where nothing is known.
    ``read_s`` is `time.perf_counter()` when it was decoded.
    """

    number: int
    time_s: float | None
    pixels: Pixels
    read_s: float


@dataclass(frozen=True)
class Source:
    """Where frames come from: a file, a camera or a folder.

    ``fps`` is None where no rate is stated, ``expected`` the number of frames where it is known.
    ``frames`` can be gone through once. It raises ImageError where a file turns out shorter than
    its header says, a camera stops, a file cannot be read or a frame has another size than the
    first; all frames before that have then been given.
    """

    name: str
    fps: float | None
    expected: int | None
    is_live: bool
    frames: Generator[Frame, None, None]


def open_source(argument: str) -> Source:
    """Open a video file, `camera:N` or a folder of images, which are taken by name.

    Raises ImageError for what is not there, no video, or a camera that does not answer.
    """
    if argument.startswith(CAMERA):
        source = _open_camera(argument)
    elif Path(argument).is_dir():
        source = _open_folder(Path(argument))
    else:
        source = _open_file(Path(argument))
    return replace(source, frames=_of_one_size(source))


def open_writer(
    folder: Path, stem: str, size: tuple[int, int], fps: float
) -> tuple[Path, cv2.VideoWriter]:
    """A new video in `folder` for RGB frames of `size` (height, width): its file and its writer.

    MPEG-4 in .mp4, or Motion JPEG in .avi where this OpenCV lacks that codec; see `write_frame`.
    Raises StorageError where it has neither or the folder cannot be written.
    """
    for codec, suffix in _CODECS:
        path = folder / f"{stem}{suffix}"
        with _quietly():
            fourcc = cv2.VideoWriter.fourcc(*codec)
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, fps, size[::-1])
        if writer.isOpened():
            return path, writer
        path.unlink(missing_ok=True)
    raise StorageError(
        f"cannot write a video in {folder}: OpenCV has neither MPEG-4 nor Motion JPEG, or the "
        "folder cannot be written; install opencv-python-headless from PyPI or choose another --out"
    )


def write_frame(writer: cv2.VideoWriter, pixels: Pixels) -> None:
    """Append RGB (H, W, 3). A last odd row or column is left out, as MPEG-4 has even sides."""
    writer.write(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))


def check_video(path: Path, frames: int) -> None:
    """Raise StorageError unless a finished video holds `frames`: a full disk is not reported."""
    with _quietly():
        written = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        count = int(written.get(cv2.CAP_PROP_FRAME_COUNT)) if written.isOpened() else 0
        written.release()
    if count < frames:
        raise StorageError(
            f"cannot write {path.name}: {count} of {frames} frames are in it; "
            "is the disk full? Free some space and run it again"
        )


def _open_file(path: Path) -> Source:
    _check_container(path)
    with _quietly():
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    size = (int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)))
    if not capture.isOpened() or min(size) < MIN_SIDE_PX or math.prod(size) > MAX_PIXELS:
        capture.release()
        raise ImageError(
            f"{path}: no video can be read from it; it is truncated or damaged, its codec is not "
            f"known, or its frames are smaller than {MIN_SIDE_PX}x{MIN_SIDE_PX} or larger than "
            f"{MAX_PIXELS // 1_000_000} megapixels; export it again as MP4 or AVI"
        )
    rate = _rate(capture)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    expected = count if count > 0 else None
    return Source(str(path), rate, expected, False, _file_frames(path, capture, rate, expected))


def _file_frames(
    path: Path, capture: cv2.VideoCapture, fps: float | None, expected: int | None
) -> Generator[Frame, None, None]:
    number = 0
    try:
        while (pixels := _read(capture)) is not None:
            yield Frame(number, _time_s(capture, number, fps), pixels, time.perf_counter())
            number += 1
    finally:
        capture.release()
    if expected is not None and number < expected - _COUNT_SLACK:
        raise ImageError(
            f"{path}: ended after {number} frames, its header says {expected}; it is truncated or "
            "damaged, copy or export it again"
        )


def _rate(capture: cv2.VideoCapture) -> float | None:
    """Frames a second, where a header or a camera states them."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if math.isfinite(fps) and fps > 0 else None


def _time_s(capture: cv2.VideoCapture, number: int, fps: float | None) -> float | None:
    """A frame's place in the recording; some containers give no times but a rate."""
    stated = capture.get(cv2.CAP_PROP_POS_MSEC)
    if math.isfinite(stated) and (stated > 0 or number == 0):
        return stated / _MS
    return None if fps is None else number / fps


def _open_camera(argument: str) -> Source:
    index = argument.removeprefix(CAMERA)
    if not index.isdecimal():
        raise ImageError(f"{argument}: expected a camera as {CAMERA}NUMBER, such as {CAMERA}0")
    with _quietly():
        capture = cv2.VideoCapture(int(index))
        first = _read(capture) if capture.isOpened() else None
    if first is None:
        capture.release()
        raise ImageError(
            f"{argument}: no camera answers there; is it connected, free, and may this user use it?"
        )
    # An old frame that waits in a buffer is not the latest.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return Source(argument, _rate(capture), None, True, _camera_frames(argument, capture))


def _camera_frames(name: str, capture: cv2.VideoCapture) -> Generator[Frame, None, None]:
    opened_s = time.perf_counter()
    number = 0
    try:
        while (pixels := _read(capture)) is not None:
            now = time.perf_counter()
            yield Frame(number, now - opened_s, pixels, now)
            number += 1
    finally:
        capture.release()
    raise ImageError(f"{name}: the camera stopped after {number} frames; is it still connected?")


def _open_folder(folder: Path) -> Source:
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not images:
        raise ImageError(f"{folder}: expected PNG, JPEG, TIFF or PPM images in it, found none")
    return Source(str(folder), None, len(images), False, _folder_frames(images))


def _folder_frames(images: list[Path]) -> Generator[Frame, None, None]:
    for number, path in enumerate(images):
        yield Frame(number, None, read_image(path).pixels, time.perf_counter())


def _of_one_size(source: Source) -> Generator[Frame, None, None]:
    size: tuple[int, int] | None = None
    with contextlib.closing(source.frames) as frames:
        for frame in frames:
            found = (frame.pixels.shape[0], frame.pixels.shape[1])
            size = size or found
            if found != size:
                raise ImageError(
                    f"{source.name}: frame {frame.number} is {found[0]}x{found[1]}, those before "
                    f"are {size[0]}x{size[1]}; split the recording where its size changes"
                )
            yield frame


def _read(capture: cv2.VideoCapture) -> Pixels | None:
    """The next frame as RGB, or None where there is none."""
    try:
        is_read, pixels = capture.read()
    except cv2.error:
        return None
    if not is_read or pixels is None:
        return None
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def _check_container(path: Path) -> None:
    if not path.is_file():
        raise ImageError(f"{path}: expected a video file, a folder or {CAMERA}0, found nothing")
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if not any(header[place:].startswith(mark) for place, mark in _CONTAINERS):
        raise ImageError(f"{path}: expected a video ({_KNOWN}), found something else")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without OpenCV's and FFmpeg's own remarks on stderr: what they mean is said in our words."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)

"""`featherseg predict --stream`: an overlay video, measurements.csv and summary.json."""

import contextlib
import csv
import ctypes
import os
import sys
import tempfile
import time
from array import array
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

import featherseg
from featherseg.bundle import Bundle
from featherseg.cli.console import stop_bars, tracked
from featherseg.errors import FeatherSegError, ImageError, StorageError
from featherseg.images.overlay import overlay
from featherseg.images.video import FALLBACK_FPS, Source, check_video, open_writer, write_frame
from featherseg.measure import Spacing
from featherseg.runtime import MaskSession, open_session
from featherseg.runtime.pipeline import DEPTH, STREAMS
from featherseg.storage import write_json
from featherseg.stream import FrameMask, extent, lag, latest, paced, segment_frames

OVERLAY_STEM = "overlay"
TABLE_FILE = "measurements.csv"
SUMMARY_FILE = "summary.json"
_SCHEMA = 1
_PERCENTILES = (50, 95)
_DIGITS = 4
_LENGTHS = ("long_axis", "short_axis")
# glibc's mallopt: what is larger gets pages of its own, and how much freed memory is kept.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_KEPT_BYTES = 32 << 20

# How a stream ended: at its end, after as many frames as wanted, by Ctrl-C, or by a fault.
Ended = Literal["end", "limit", "interrupted", "fault"]


@dataclass(frozen=True)
class StreamOptions:
    """How a stream is worked on.

    ``realtime`` plays a file at its own rate and drops what comes too late, as for a camera;
    ``smooth`` is how many masks vote; ``most_frames`` None goes on to the end.
    """

    realtime: bool = False
    smooth: int = 1
    spacing_mm: Spacing | None = None
    most_frames: int | None = None


@dataclass
class Tally:
    """What is kept of the frames that are done: four bytes each, and sums."""

    latencies_ms: "array[float]" = field(default_factory=lambda: array("f"))
    dropped: int = 0
    pairs: int = 0
    dice: float = 0.0
    smoothed_dice: float = 0.0
    ended: Ended = "end"
    problem: str | None = None

    @property
    def frames(self) -> int:
        """How many are done."""
        return len(self.latencies_ms)

    def add(self, result: FrameMask) -> None:
        """Count one more."""
        self.latencies_ms.append(result.latency_ms)
        self.dropped += result.dropped
        if result.dice is not None and result.smoothed_dice is not None:
            self.pairs += 1
            self.dice += result.dice
            self.smoothed_dice += result.smoothed_dice


def check_stream(inputs: Sequence[str], options: StreamOptions, has_flips: bool) -> None:
    """Raise FeatherSegError for several inputs, flips, or an even number of votes."""
    if len(inputs) != 1:
        raise FeatherSegError(f"--stream takes one video, folder or camera, got {len(inputs)}")
    if has_flips:
        raise FeatherSegError("--stream runs each frame once; leave out --flips")
    if options.smooth % 2 == 0:
        raise FeatherSegError(
            f"--smooth: expected an odd number of masks, so that votes are never equal, "
            f"got {options.smooth}"
        )


def is_in_time(source: Source, options: StreamOptions) -> bool:
    """Whether `source` does not wait, so that frames may be dropped."""
    return source.is_live or options.realtime


def open_stream_session(
    bundle: Bundle, runtime: str, *, in_time: bool, cache_dir: Path | None = None
) -> MaskSession:
    """A session that has run once, so that the first frame does not wait for the network.

    `in_time` is for sources that do not wait: one image at a time on all threads.
    """
    streams = 1 if in_time else STREAMS
    session = open_session(bundle, runtime, streams=streams, cache_dir=cache_dir)
    expected = bundle.preprocessing
    session.masks(np.zeros((1, *expected.input_size, expected.channels), np.uint8))
    return session


def stream_to_folder(
    session: MaskSession, bundle: Bundle, source: Source, out: Path, options: StreamOptions
) -> dict[str, Any]:
    """Work through `source` and write the three files into `out`; give what summary.json holds.

    They are written beside their places and renamed at the end, also when Ctrl-C stops the stream
    or the source breaks off: what came until then is kept, and the summary says how it ended.
    Raises ImageError, and leaves `out` as it was, where not one frame comes.
    """
    started_s = time.perf_counter()
    keep_freed_memory()
    with closing(_results(session, bundle, source, options)) as results:
        first = next(results, None)
        if first is None:
            raise ImageError(f"{source.name}: there is no frame in it")
        with _scratch(out) as folder:
            fps = source.fps or FALLBACK_FPS
            path, writer = open_writer(folder, OVERLAY_STEM, first.mask.shape, fps)
            frames = islice(chain([first], results), options.most_frames)
            shown = tracked(frames, "Streaming", options.most_frames or source.expected)
            try:
                tally = _draw(shown, writer, folder / TABLE_FILE, bundle.manifest.labels, options)
            finally:
                stop_bars()
                writer.release()
            check_video(path, tally.frames)
            summary = {
                **_circumstances(session, bundle, source, options),
                "size_px": list(first.mask.shape),
                "overlay": path.name,
                **_figures(tally, time.perf_counter() - started_s, options),
            }
            write_json(folder / SUMMARY_FILE, summary)
    return summary


def keep_freed_memory() -> None:
    """Have glibc use the memory of one frame again for the next; nothing with other C libraries.

    Left alone it moves its thresholds while it runs: frames then come from pages of their own or
    from the heap by turns, which leaves holes, so that memory grows in a long stream, and
    pages that are given back and taken again cost time for every frame.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for which in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            mallopt(which, _KEPT_BYTES)


@contextlib.contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A hidden folder in `out`, whose files are moved there when the block succeeds."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".stream.", dir=out) as scratch:
            folder = Path(scratch)
            yield folder
            for file in sorted(folder.iterdir()):
                os.replace(file, out / file.name)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}") from error


def _results(
    session: MaskSession, bundle: Bundle, source: Source, options: StreamOptions
) -> Generator[FrameMask, None, None]:
    in_time = is_in_time(source, options)
    frames = source.frames
    if options.realtime and not source.is_live:
        if source.fps is None:
            raise ImageError(f"{source.name}: it states no frame rate; leave out --realtime")
        frames = paced(frames)
    return segment_frames(
        session,
        bundle.preprocessing,
        bundle.operating_point,
        latest(frames) if in_time else frames,
        depth=1 if in_time else DEPTH,
        smooth=options.smooth,
    )


def _draw(
    results: Iterable[FrameMask],
    writer: cv2.VideoWriter,
    table: Path,
    labels: tuple[str, ...],
    options: StreamOptions,
) -> Tally:
    """Write every frame to the video and the table, until the source ends, in whatever way."""
    tally = Tally()
    with table.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, _columns(options.spacing_mm), lineterminator="\n")
        rows.writeheader()
        try:
            for result in results:
                write_frame(writer, overlay(result.frame.pixels, result.mask))
                rows.writerows(_rows(result, labels, options.spacing_mm))
                tally.add(result)
        except ImageError as error:
            tally.ended, tally.problem = "fault", str(error)
        except KeyboardInterrupt:
            tally.ended = "interrupted"
        else:
            if tally.frames == options.most_frames:
                tally.ended = "limit"
    return tally


def _columns(spacing_mm: Spacing | None) -> list[str]:
    lengths = [f"{name}_px" for name in _LENGTHS]
    in_mm = ["area_mm2", *(f"{name}_mm" for name in _LENGTHS)] if spacing_mm else []
    return ["frame", "time_s", "label", "area_px", *lengths, *in_mm, "dropped", "latency_ms"]


def _rows(
    result: FrameMask, labels: tuple[str, ...], spacing_mm: Spacing | None
) -> Iterator[dict[str, Any]]:
    """One row for each label, empty where there is nothing to tell."""
    for value, label in enumerate(labels, start=1):
        part = (result.mask == value).view(np.uint8)
        area_px, *lengths_px = extent(part)
        time_s = result.frame.time_s
        row: dict[str, Any] = {
            "frame": result.frame.number,
            "time_s": None if time_s is None else round(time_s, 6),
            "label": label,
            "area_px": area_px,
            **_lengths(lengths_px, "px"),
            "dropped": result.dropped,
            "latency_ms": round(result.latency_ms, 3),
        }
        if spacing_mm is not None:
            _, *lengths_mm = extent(part, spacing_mm)
            row["area_mm2"] = round(area_px * spacing_mm[0] * spacing_mm[1], _DIGITS)
            row |= _lengths(lengths_mm, "mm")
        yield row


def _lengths(values: Iterable[float | None], unit: str) -> dict[str, float | None]:
    return {
        f"{name}_{unit}": None if value is None else round(value, _DIGITS)
        for name, value in zip(_LENGTHS, values, strict=True)
    }


def _circumstances(
    session: MaskSession, bundle: Bundle, source: Source, options: StreamOptions
) -> dict[str, Any]:
    return {
        "schema": _SCHEMA,
        "featherseg": featherseg.__version__,
        "bundle": bundle.id,
        "runtime": session.runtime,
        "precision": session.precision,
        "labels": list(bundle.manifest.labels),
        "spacing_mm": None if options.spacing_mm is None else list(options.spacing_mm),
        "source": source.name,
        "source_fps": source.fps,
        "source_frames": source.expected,
        "realtime": is_in_time(source, options),
    }


def _figures(tally: Tally, seconds: float, options: StreamOptions) -> dict[str, Any]:
    middle, high = np.percentile(np.asarray(tally.latencies_ms), _PERCENTILES)
    pairs = max(1, tally.pairs)
    return {
        "ended": tally.ended,
        "problem": tally.problem,
        "frames": tally.frames,
        "dropped": tally.dropped,
        "seconds": seconds,
        "frames_per_s": tally.frames / seconds,
        "latency_ms": {"p50": float(middle), "p95": float(high)},
        "smoothing": {"masks": options.smooth, "lag_frames": lag(options.smooth)},
        # None for a single frame, which has nothing to flicker against.
        "frame_to_frame_dice": {
            "as_found": tally.dice / pairs if tally.pairs else None,
            "smoothed": tally.smoothed_dice / pairs if tally.pairs else None,
        },
    }

"""Memory over a long stream: a looped clip through `featherseg predict --stream`'s own code.

    python benchmarks/stream.py BUNDLE [--frames 30000] [--clip FILE] [--json]

Without --clip a simulated one of 540x800 is used. Memory is the resident set, read every 500
frames; growth is the slope of a straight line through the readings after the first fifth, in MB
for 10,000 frames. The goal is less than 1. The three result files go into a temporary folder.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from featherseg.bundle import load_bundle
from featherseg.cli.stream import StreamOptions, open_stream_session, stream_to_folder
from featherseg.datasets.simulate import simulate
from featherseg.images.video import Frame, Source, open_source
from featherseg.runtime.cpu import capabilities
from featherseg.types import Pixels

_SCREEN = (540, 800)
_FPS = 25.0
_EVERY = 500
_PAGE_BYTES = 4096
_PER = 10_000
_STEPS = 50


def looped(clip: Path | None, frames: int, sizes_mb: list[float]) -> Source:
    """`frames` frames of a clip that is decoded again and again; memory is read on the way."""

    def numbered() -> Generator[Frame, None, None]:
        number = 0
        while number < frames:
            for pixels in clip_frames(clip):
                if number % _EVERY == 0:
                    sizes_mb.append(resident_mb())
                yield Frame(number, number / _FPS, pixels, time.perf_counter())
                number += 1
                if number == frames:
                    return

    name = "simulated" if clip is None else clip.name
    return Source(name, _FPS, frames, False, numbered())


def clip_frames(clip: Path | None) -> Generator[Pixels, None, None]:
    if clip is not None:
        source = open_source(str(clip))
        for frame in source.frames:
            yield frame.pixels
        return
    pixels, _ = simulate(0, "benign", _SCREEN)
    for step in range(_STEPS):
        # A probe that moves along the skin and back.
        moved = np.roll(pixels, round(40 * np.sin(2 * np.pi * step / _STEPS)), axis=1)
        yield np.asarray(cv2.cvtColor(moved, cv2.COLOR_GRAY2RGB), np.uint8)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * _PAGE_BYTES / 1e6


def growth_mb(sizes_mb: list[float]) -> float:
    """MB for 10,000 frames, after the first fifth, in which buffers fill."""
    kept = np.asarray(sizes_mb[len(sizes_mb) // 5 :])
    if len(kept) < 2:
        raise SystemExit(f"too few frames for a slope: give at least {4 * _EVERY}")
    slope = np.polynomial.Polynomial.fit(np.arange(len(kept)) * _EVERY, kept, 1).convert().coef[1]
    return float(slope) * _PER


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--frames", type=int, default=30_000)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--smooth", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    bundle = load_bundle(given.bundle)
    sizes_mb: list[float] = []
    source = looped(given.clip, given.frames, sizes_mb)
    session = open_stream_session(bundle, "openvino", in_time=False)
    with tempfile.TemporaryDirectory() as folder:
        options = StreamOptions(smooth=given.smooth)
        summary = stream_to_folder(session, bundle, source, Path(folder), options)
    result: dict[str, Any] = {
        "cpu": asdict(capabilities()),
        "network": bundle.manifest.network.name,
        "input_size": list(bundle.preprocessing.input_size),
        "stored_precision": bundle.manifest.precision,
        "growth_mb_per_10000_frames": growth_mb(sizes_mb),
        "first_mb": sizes_mb[0],
        "last_mb": sizes_mb[-1],
        "summary": summary,
    }
    if given.json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"{summary['frames']} frames in {summary['seconds']:.0f} s: memory from "
        f"{sizes_mb[0]:.1f} to {sizes_mb[-1]:.1f} MB, "
        f"{result['growth_mb_per_10000_frames']:+.2f} MB for 10,000 frames"
    )


if __name__ == "__main__":
    main()

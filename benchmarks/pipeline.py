"""What surrounds the network: preparing a frame, drawing the result, and several at once.

    python benchmarks/pipeline.py BUNDLE [--frames 60] [--rounds 7] [--json]

* Processor time of every step around the network, on one thread, medians. The goal for pre- and
  post-processing together is 1.5 ms at 512x512 and 1.2 ms at 256x256. Their sum is of fitting,
  choosing parts, enlarging and drawing; decoding the JPEG is shown and not part of it.
* Frames a second from the bytes of a JPEG to the drawn overlay, one after the other and with the
  next frame prepared meanwhile, in turns, so that a busy machine slows all alike.
* The first mask of a new process: wall clock, processor time and peak memory, without and with
  the cache of compiled models.

The frame is a simulated ultrasound image of 540x800, a JPEG of quality 90. Its true mask stands for
the network's, since an untrained network finds noise, whose outline takes longer than it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from featherseg.bundle import Bundle, load_bundle
from featherseg.datasets.simulate import simulate
from featherseg.images.overlay import overlay
from featherseg.postprocess import OperatingPoint, select_components
from featherseg.preprocess import fit_mask, fit_pixels
from featherseg.runtime import MaskSession, open_session
from featherseg.runtime.cpu import capabilities
from featherseg.runtime.pipeline import DEPTH, STREAMS, masks_in_order
from featherseg.types import Mask, Pixels

_SCREEN = (540, 800)
_QUALITY = 90
_STEP_ROUNDS = 101
_PREPARING, _FINISHING = "fit to the network", ("choose parts", "enlarge mask", "draw overlay")
_FIRST_MASK = """
import sys
from pathlib import Path
from featherseg import Segmenter, load_bundle, read_image
bundle, image, cache = sys.argv[1:]
cache_dir = Path(cache) if cache else None
Segmenter.from_bundle(load_bundle(bundle), cache_dir=cache_dir).fast_mask(read_image(image))
"""


def steps_ms(jpeg: Pixels, truth: Mask, bundle: Bundle) -> dict[str, float]:
    """Median milliseconds of processor time of every step, on one thread.

    Each step works on what the one before it has just made, as in a stream.
    """
    expected = bundle.preprocessing
    small = fit_mask(truth, expected.input_size)
    strict = OperatingPoint(smallest_area=0.001, components="largest")
    times: dict[str, list[float]] = {}

    def timed(name: str, step: Callable[[], Pixels]) -> Pixels:
        started = time.thread_time()
        made = step()
        times.setdefault(name, []).append(1000.0 * (time.thread_time() - started))
        return made

    def frame() -> None:
        pixels = timed("decode JPEG", lambda: decoded(jpeg))
        timed(_PREPARING, lambda: fit_pixels(pixels, expected.input_size, expected.channels))
        # A session's answer is such a copy too, of the tensor that the network wrote.
        answer = small.copy()
        kept = timed("choose parts", lambda: select_components(answer, strict))
        mask = timed("enlarge mask", lambda: fit_mask(kept, _SCREEN))
        timed("draw overlay", lambda: overlay(pixels, mask))

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    for _ in range(_STEP_ROUNDS):
        frame()
    cv2.setNumThreads(threads)
    medians = {name: statistics.median(values) for name, values in times.items()}
    around = sum(medians[name] for name in (_PREPARING, *_FINISHING))
    return {**medians, "pre- and post-processing": around}


def decoded(jpeg: Pixels) -> Pixels:
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), np.uint8)


def frames_per_s(
    bundle: Bundle, jpeg: Pixels, truth: Mask, *, frames: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Frames a second of each way of working, one number a round: median, lowest and highest."""
    one, several = open_session(bundle), open_session(bundle, streams=STREAMS)
    ways: dict[str, tuple[MaskSession, int]] = {
        "one after the other": (one, 1),
        "1 stream, 2 begun": (one, 2),
        f"{STREAMS} streams, {DEPTH} begun": (several, DEPTH),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for count in range(-1, rounds):
        for name, (session, depth) in ways.items():
            started = time.perf_counter()
            work_through(session, bundle, [jpeg] * frames, truth, depth)
            if count >= 0:
                rates[name].append(frames / (time.perf_counter() - started))
    return {name: spread(values) for name, values in rates.items()}


def work_through(
    session: MaskSession, bundle: Bundle, jpegs: list[Pixels], truth: Mask, depth: int
) -> None:
    """From the bytes of each JPEG to its overlay."""
    expected, point = bundle.preprocessing, bundle.operating_point

    def images() -> Iterator[Pixels]:
        yield from map(decoded, jpegs)

    def fitted(pixels: Pixels) -> Pixels:
        return fit_pixels(pixels, expected.input_size, expected.channels)[np.newaxis]

    for pixels, found in masks_in_order(session, images(), fitted, depth):
        fit_mask(select_components(found, point), _SCREEN)
        overlay(pixels, truth)


def first_mask(bundle: Path, image: Path, cache: str, runs: int) -> dict[str, dict[str, float]]:
    """Seconds and MB of new processes; one before them warms the file cache and fills `cache`."""
    columns: dict[str, list[float]] = {"wall_s": [], "processor_s": [], "peak_mb": []}
    for count in range(-1, runs):
        started = time.perf_counter()
        command = [sys.executable, "-c", _FIRST_MASK, str(bundle), str(image), cache]
        process = subprocess.Popen(command)
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"the process ended with {process.returncode}")
        # Linux counts kilobytes, macOS bytes.
        peak_mb = used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
        values = (wall_s, used.ru_utime + used.ru_stime, peak_mb)
        if count >= 0:
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
    return {name: spread(values) for name, values in columns.items()}


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    bundle = load_bundle(given.bundle)
    pixels, truth = simulate(0, "benign", _SCREEN)
    jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].ravel()
    jpeg = np.asarray(jpeg, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "frame.jpg"
        image.write_bytes(jpeg.tobytes())
        starts = {
            name: first_mask(given.bundle, image, cache, given.rounds)
            for name, cache in (("without cache", ""), ("with cache", str(Path(folder) / "cache")))
        }
    result: dict[str, Any] = {
        "cpu": asdict(capabilities()),
        "network": bundle.manifest.network.name,
        "input_size": list(bundle.preprocessing.input_size),
        "stored_precision": bundle.manifest.precision,
        "precision": open_session(bundle).precision,
        "frames": given.frames,
        "rounds": given.rounds,
        "steps_ms": steps_ms(jpeg, truth, bundle),
        "frames_per_s": frames_per_s(bundle, jpeg, truth, frames=given.frames, rounds=given.rounds),
        "first_mask": starts,
    }
    if given.json:
        print(json.dumps(result, indent=2))
        return
    size = "x".join(map(str, result["input_size"]))
    print(f"{result['network']} {size} {result['precision']}, {result['cpu']['model']}")
    for name, value in result["steps_ms"].items():
        print(f"  {name:28} {value:8.3f} ms of processor time")
    for name, rate in result["frames_per_s"].items():
        ends = f"{rate['lowest']:.1f}-{rate['highest']:.1f}"
        print(f"  {name:28} {rate['median']:8.1f} frames/s ({ends})")
    for name, columns in starts.items():
        wall, peak = columns["wall_s"]["median"], columns["peak_mb"]["median"]
        print(f"  first mask, {name:16} {wall:8.2f} s, {peak:.0f} MB")


if __name__ == "__main__":
    main()

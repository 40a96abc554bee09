"""What a new process takes to its first mask: time and memory."""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from featherseg.benchmark.contenders import Contender
from featherseg.errors import FeatherSegError
from featherseg.runtime import Precision

_FIRST_MASK = """
import sys
from featherseg import Segmenter, load_bundle, read_image
bundle, image, runtime, precision = sys.argv[1:]
Segmenter.from_bundle(load_bundle(bundle), runtime, precision or None)(read_image(image))
try:
    print(open("/proc/self/status").read())
except OSError:
    pass
"""
# The largest resident set of a process since it became a program of its own. What the system
# reports at its end (ru_maxrss) counts that of the process which started it, too.
_PEAK_KIB = re.compile(r"VmHWM:\s+(\d+) kB")


@dataclass(frozen=True)
class Start:
    """One new process: wall-clock and processor seconds to its end, and its peak memory.

    ``peak_mb`` is in 10^6 bytes, None where the system has no /proc.
    """

    wall_s: float
    processor_s: float
    peak_mb: float | None


def start(
    bundle: Path, image: Path, runtime: str, precision: Precision | None, *, threads: int
) -> Start:
    """Let a new process open a bundle and segment one image.

    Raises FeatherSegError with its last words where it fails.
    """
    command = [sys.executable, "-c", _FIRST_MASK, str(bundle), str(image), runtime]
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(
        [*command, precision or ""],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        check=False,
    )
    wall_s, after = time.perf_counter() - started, os.times()
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word of why"])[-1]
        raise FeatherSegError(f"{bundle}: a new process could not segment with {runtime}: {last}")
    processor_s = after.children_user + after.children_system
    processor_s -= before.children_user + before.children_system
    return Start(wall_s, processor_s, peak_mb(done.stdout))


def peak_mb(status: str) -> float | None:
    """The peak memory that a text of /proc/PID/status tells, in 10^6 bytes."""
    found = _PEAK_KIB.search(status)
    return None if found is None else int(found[1]) * 1024 / 1e6


def start_contender(contender: Contender, image: Path, threads: int) -> Start:
    """Let a new process open what a contender runs, which has a bundle."""
    assert contender.bundle is not None
    return start(
        contender.bundle.folder, image, contender.runtime, contender.asked, threads=threads
    )


def median_start(starts: Sequence[Start]) -> Start:
    """The median of each of the three values."""
    peaks = [each.peak_mb for each in starts if each.peak_mb is not None]
    return Start(
        statistics.median(each.wall_s for each in starts),
        statistics.median(each.processor_s for each in starts),
        statistics.median(peaks) if peaks else None,
    )

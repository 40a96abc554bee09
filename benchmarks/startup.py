"""Time and memory from starting a process to its first mask.

    python benchmarks/startup.py BUNDLE IMAGE [--runs 9] [--cache FOLDER] [--json]

With --cache OpenVINO keeps its compiled model there, and all but the first process find it.
Each run is a new process; medians are printed, with the range. The goal is 0.6 s and 200 MB at
256x256 in the default precision on two quiet cores.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

from featherseg.bundle import load_bundle
from featherseg.runtime import open_session
from featherseg.runtime.cpu import capabilities

_FIRST_MASK = """
import sys
from featherseg import Segmenter, load_bundle, read_image
from pathlib import Path
bundle, image, runtime, cache = sys.argv[1:]
cache_dir = Path(cache) if cache else None
Segmenter.from_bundle(load_bundle(bundle), runtime, cache_dir=cache_dir)(read_image(image))
"""


def first_mask(bundle: str, image: str, runtime: str, cache: str) -> tuple[float, float, float]:
    """Seconds of wall clock, seconds of processor time, and peak MB of a new process."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", _FIRST_MASK, bundle, image, runtime, cache])
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the process ended with {process.returncode}")
    return wall_s, used.ru_utime + used.ru_stime, _peak_mb(used)


def _peak_mb(used: resource.struct_rusage) -> float:
    # Linux counts kilobytes, macOS bytes.
    return used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def measure(runs: int, *arguments: str) -> dict[str, Any]:
    """Medians and ranges over `runs` processes, after one that warms the file cache."""
    first_mask(*arguments)
    columns = zip(*(first_mask(*arguments) for _ in range(runs)), strict=True)
    return {
        name: {
            "median": statistics.median(values),
            "lowest": min(values),
            "highest": max(values),
        }
        for name, values in zip(("wall_s", "processor_s", "peak_mb"), columns, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("image")
    parser.add_argument("--runtime", default="openvino")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--cache", default="", help="folder for compiled models; none without it")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.bundle)
    result = {
        "cpu": asdict(capabilities()),
        "network": bundle.manifest.network.name,
        "input_size": list(bundle.preprocessing.input_size),
        "stored_precision": bundle.manifest.precision,
        "runtime": arguments.runtime,
        "precision": open_session(bundle, arguments.runtime).precision,
        "runs": arguments.runs,
        "keeps_compiled": bool(arguments.cache),
        **measure(
            arguments.runs,
            *(arguments.bundle, arguments.image, arguments.runtime, arguments.cache),
        ),
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{result['cpu']['model']}, {result['cpu']['cores']} cores, {result['precision']}")
    for name in ("wall_s", "processor_s", "peak_mb"):
        value = result[name]
        print(f"{name:12} {value['median']:.3f} ({value['lowest']:.3f}-{value['highest']:.3f})")


if __name__ == "__main__":
    main()

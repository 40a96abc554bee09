"""Time to score made-up masks with every metric there is, on one core.

    python benchmarks/metrics.py [--cases 100] [--size 512] [--rounds 5] [--json]

Truths are blobs of 1 to 30 % of the image, what is found is a moved and roughened copy with a
blurred probability; a tenth is missed and a tenth is a false alarm. The goal is 10 s for 100
cases of 512x512.
"""

import argparse
import json
import statistics
import time
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.metrics import score_masks
from featherseg.runtime.cpu import capabilities
from featherseg.types import Floats, Mask

_ROUGHNESS = 0.35
_LEAST, _MOST = 0.01, 0.30
# One of so many cases is missed, and one a false alarm.
_EVERY = 10
# Unequal sides cost a second distance transform of each mask; equal ones do not.
_SPACINGS = {"no spacing": None, "square pixels": (0.1, 0.1), "oblong pixels": (0.1, 0.2)}


def pair(number: int, size: int) -> tuple[Mask, Mask, Floats]:
    """Truth, found mask and probability of one case, the same for the same number."""
    generator = np.random.default_rng(number)
    share = _LEAST + (_MOST - _LEAST) * generator.random()
    distance = _distance(generator.uniform(0.35, 0.65, 2) * size, size)
    radius = size * np.sqrt(share / np.pi)
    rough = cv2.GaussianBlur(generator.standard_normal((size, size)), (0, 0), size / 32)
    rough *= _ROUGHNESS * radius / np.abs(rough).max()
    logits = (radius - np.roll(distance, size // 64, axis=1) + rough) / (size / 128)
    probability = np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), np.float32)
    truth = (distance < radius).astype(np.uint8)
    if number % _EVERY == 0:
        probability *= np.float32(0.4)
    if number % _EVERY == 1:
        truth[:] = 0
    return truth, (probability > 0.5).astype(np.uint8), probability


def _distance(center: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    rows, columns = np.ogrid[:size, :size]
    return np.asarray(np.hypot(rows - center[0], columns - center[1]), np.float64)


def seconds(cases: int, size: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of processor time for all cases of every kind of spacing, which take turns."""
    pairs = [pair(number, size) for number in range(cases)]
    times: dict[str, list[float]] = {name: [] for name in _SPACINGS}
    for count in range(-1, rounds):
        for name, spacing in _SPACINGS.items():
            started = time.process_time()
            for truth, found, probability in pairs:
                score_masks(truth, found, spacing, probability)
            if count >= 0:
                times[name].append(time.process_time() - started)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    scores = score_masks(*pair(2, arguments.size)[:2], None, pair(2, arguments.size)[2])
    times = seconds(arguments.cases, arguments.size, arguments.rounds)
    result: dict[str, Any] = {
        "cpu": asdict(capabilities()),
        **{name: value for name, value in vars(arguments).items() if name != "json"},
        "metrics": sum(not name.startswith("reliability_") for name in scores),
        "threads": 1,
        "processor_s": {
            name: {
                "median": round(statistics.median(values), 3),
                "lowest": round(min(values), 3),
                "highest": round(max(values), 3),
            }
            for name, values in times.items()
        },
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{arguments.cases} cases of {arguments.size}x{arguments.size}, {result['cpu']['model']}")
    for name, value in result["processor_s"].items():
        print(f"{name:14} {value['median']:.2f} s ({value['lowest']:.2f}-{value['highest']:.2f})")


if __name__ == "__main__":
    main()

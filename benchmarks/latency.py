"""Latency of one network, batch 1: torch eager against ONNX Runtime and OpenVINO.

    python benchmarks/latency.py [NETWORK] [--size 256] [--rounds 30] [--json]

The weights are random: they do not change the time. All contenders take turns, so that a busy
machine slows them alike; compare the ratios, not the milliseconds.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from featherseg.compress.fuse import fuse
from featherseg.export.models import write_ir, write_onnx
from featherseg.networks import build_network
from featherseg.preprocess import Preprocessing
from featherseg.runtime.cpu import available_cores, capabilities, default_precision
from featherseg.runtime.onnxruntime import open_onnxruntime
from featherseg.runtime.openvino import open_openvino
from featherseg.types import Floats

_BASELINE = "torch eager f32"
_WARM_UP = 3


def contenders(name: str, size: int, folder: Path) -> dict[str, Callable[[Floats], object]]:
    """What is compared, by name: functions of a float32 (1, 3, size, size) batch."""
    torch.set_num_threads(available_cores())
    network = build_network(name).eval()
    preprocessing = Preprocessing((size, size))
    write_onnx(fuse(network), preprocessing, folder / "model.onnx")
    write_ir(folder / "model.onnx", folder / "model.xml")
    shape = (preprocessing.channels, size, size)
    runs: dict[str, Callable[[Floats], object]] = {
        _BASELINE: torch.inference_mode()(lambda batch: network(torch.from_numpy(batch))),
        "onnxruntime f32": open_onnxruntime(folder / "model.onnx").logits,
        "openvino f32": open_openvino(folder / "model.xml", shape, "f32").logits,
    }
    precision = default_precision()
    if precision != "f32":
        runs[f"openvino {precision}"] = open_openvino(folder / "model.xml", shape, precision).logits
    return runs


def latencies_ms(
    runs: dict[str, Callable[[Floats], object]], batch: Floats, rounds: int
) -> dict[str, list[float]]:
    """Wall-clock milliseconds of each contender, one a round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for count in range(-_WARM_UP, rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run(batch)
            if count >= 0:
                times[name].append(1000.0 * (time.perf_counter() - started))
    return times


def summarize(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median, quartiles, fastest, and how many times faster than eager torch (medians)."""
    baseline = statistics.median(times[_BASELINE])
    return {
        name: {
            "median_ms": statistics.median(values),
            "q25_ms": float(np.quantile(values, 0.25)),
            "q75_ms": float(np.quantile(values, 0.75)),
            "fastest_ms": min(values),
            "times_faster": baseline / statistics.median(values),
        }
        for name, values in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", nargs="?", default="simplified_unet")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    batch = np.random.default_rng(0).random((1, 3, arguments.size, arguments.size), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        runs = contenders(arguments.network, arguments.size, Path(folder))
        results = summarize(latencies_ms(runs, batch, arguments.rounds))
    cpu = asdict(capabilities())
    if arguments.json:
        report: dict[str, Any] = {"cpu": cpu, **vars(arguments), "results": results}
        print(json.dumps(report, indent=2))
        return
    units = ", ".join(name for name, present in cpu.items() if present is True)
    print(f"{arguments.network} at {arguments.size}, {cpu['model']}, {cpu['cores']} cores: {units}")
    print(f"{'':18} median ms   (quartiles)        faster than eager")
    for name, each in results.items():
        quartiles = f"({each['q25_ms']:.1f}-{each['q75_ms']:.1f})"
        print(f"{name:18} {each['median_ms']:9.1f}   {quartiles:18} {each['times_faster']:.2f}x")


if __name__ == "__main__":
    main()

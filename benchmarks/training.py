"""Training speed of one network: eager float32 against the training loop's own setting.

    python benchmarks/training.py [NETWORK] [--compile] [--size 256] [--batch 8] [--json]

A step is forward, loss, backward and Adam. The contenders take turns, so that a busy machine
slows them alike; compare the ratios, not the images per second. "loop" is what `featherseg
train` does on this machine, on one fixed batch: channels last, and bf16 where it is faster
(`train.precision`). "loop with data" draws each batch from a packed set in memory and augments
it with all that the recipe `simplified_unet` changes; what it takes more than "loop" is the
price of the data, at most a tenth. With `--compile` there is also "compiled loop", the loop's step
by `torch.compile`, as the setting `compile: true` of a recipe asks for; the minutes that compiling
takes are no part of its time.

    python benchmarks/training.py [NETWORK] --waiting [--beside 1] [--rounds 10] [--json]

compares how OpenMP's threads wait for each other: one thread, and one for each core that spins
(OMP_WAIT_POLICY=ACTIVE), sleeps (PASSIVE, which the command line sets), or does what OpenMP does
unasked. The policy is read once, when torch is loaded: each contender is a fresh process, they
take turns, and only steps of "loop" are timed. `--beside` keeps that many cores busy meanwhile.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from featherseg.losses import weight_balance
from featherseg.networks import build_network
from featherseg.runtime.cpu import available_cores, capabilities
from featherseg.train.augment import apply_changes, draw_changes
from featherseg.train.loader import Samples
from featherseg.train.objective import Batch as Drawn
from featherseg.train.precision import peak_memory_mb, pick_device, pick_precision
from featherseg.train.recipe import load_recipe
from featherseg.train.sampling import augment_random

_BASELINE = "eager f32"
_LOOP = "loop"
_COMPILED = "compiled loop"
_WARM_UP = 2
_SAMPLES = 32
_POLICY = "OMP_WAIT_POLICY"
_ONE_THREAD = "1 thread"
# Fresh processes of each way of waiting.
_PROCESSES = 3

Step = Callable[[], None]
Batch = tuple[Tensor, Tensor]


def contenders(name: str, size: int, batch_size: int, compiled: bool = False) -> dict[str, Step]:
    """One training step of each setting, by name, with or without the compiled one."""
    device = pick_device()
    samples = random_samples(_SAMPLES, size, device)
    precision = pick_precision("auto", device, build_network(name), (size, size))
    fixed = samples.batch(np.arange(batch_size))
    plain = (fixed[0].contiguous(), fixed[1])
    recipe = load_recipe("simplified_unet")
    steps = count()

    def augmented() -> Batch:
        step = next(steps)
        random = augment_random(0, step)
        drawn = Drawn(*samples.batch((np.arange(batch_size) + step) % len(samples)))
        turns = np.zeros(batch_size, np.int64)
        drawn = apply_changes(drawn, draw_changes(turns, (size, size), recipe.augment, random))
        return drawn.images, drawn.masks

    runs = {
        _BASELINE: training_step(name, lambda: plain, device, "32-true", channels_last=False),
        "channels last f32": training_step(name, lambda: fixed, device, "32-true"),
        f"{_LOOP} ({precision})": training_step(name, lambda: fixed, device, precision),
        f"{_LOOP} with data ({precision})": training_step(name, augmented, device, precision),
    }
    if compiled:
        step = training_step(name, lambda: fixed, device, precision, compiled=True)
        runs[f"{_COMPILED} ({precision})"] = step
    return runs


def random_samples(count: int, size: int, device: torch.device) -> Samples:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    masks = (images[..., 0] > 200).astype(np.uint8)
    return Samples(torch.from_numpy(images).to(device), torch.from_numpy(masks).to(device))


def training_step(
    name: str,
    draw: Callable[[], Batch],
    device: torch.device,
    precision: str,
    *,
    channels_last: bool = True,
    compiled: bool = False,
) -> Step:
    """A function that does one step on a batch that `draw` gives."""
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network: nn.Module = build_network(name).to(device).to(memory_format=layout).train()
    if compiled:
        network.compile()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def step() -> None:
        images, masks = draw()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed"):
            logits = network(images.contiguous(memory_format=layout))
        loss = weight_balance(logits, masks)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        loss.item()

    return step


def seconds_a_step(runs: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Wall-clock seconds of each contender, one a round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-_WARM_UP, rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn >= 0:
                times[name].append(time.perf_counter() - start)
    return times


def summarize(
    times: dict[str, list[float]], batch_size: int, baseline: str, ratio: str
) -> dict[str, dict[str, float]]:
    """Median, least and most images/s, and as `ratio` the one to the baseline's median."""
    rates = {name: [batch_size / each for each in seconds] for name, seconds in times.items()}
    usual = statistics.median(rates[baseline])
    return {
        name: {
            "images_per_s": round(statistics.median(each), 2),
            "least": round(min(each), 2),
            "most": round(max(each), 2),
            ratio: round(statistics.median(each) / usual, 2),
        }
        for name, each in rates.items()
    }


def data_ratio(times: dict[str, list[float]]) -> float:
    """Seconds of a step with its data to those of a step on a fixed batch: medians."""
    fixed, drawn = (statistics.median(times[name]) for name in times if name.startswith(_LOOP))
    return round(drawn / fixed, 3)


@dataclass(frozen=True)
class Waiting:
    """A number of threads and how they wait for each other; None is as OpenMP likes."""

    threads: int
    policy: str | None


def ways_of_waiting() -> dict[str, Waiting]:
    cores = available_cores()
    policies = {"ACTIVE": "ACTIVE", "PASSIVE": "PASSIVE", "no policy": None}
    several = {f"{cores} threads, {name}": Waiting(cores, it) for name, it in policies.items()}
    return {_ONE_THREAD: Waiting(1, None), **several}


def seconds_by_waiting(
    name: str, size: int, batch_size: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of the loop's steps, `rounds` from each of several fresh processes."""
    times: dict[str, list[float]] = {way: [] for way in ways_of_waiting()}
    for _ in range(_PROCESSES):
        for way, waiting in ways_of_waiting().items():
            with (
                environment(waiting),
                ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh,
            ):
                given = (name, size, batch_size, rounds, waiting.threads)
                times[way] += fresh.submit(loop_seconds, *given).result()
    return times


def loop_seconds(name: str, size: int, batch_size: int, rounds: int, threads: int) -> list[float]:
    """Seconds of the loop's steps on a fixed batch in this process."""
    torch.set_num_threads(threads)
    runs = contenders(name, size, batch_size)
    loop = next(each for each in runs if each.startswith(_LOOP))
    return seconds_a_step({loop: runs[loop]}, rounds)[loop]


@contextmanager
def environment(waiting: Waiting) -> Iterator[None]:
    """What processes that are started meanwhile read when they load OpenMP."""
    before = dict(os.environ)
    os.environ["OMP_NUM_THREADS"] = str(waiting.threads)
    os.environ.pop(_POLICY, None)
    if waiting.policy is not None:
        os.environ[_POLICY] = waiting.policy
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """So many processes that do nothing but count."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("network", nargs="?", default="simplified_unet")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--waiting", action="store_true")
    parser.add_argument("--beside", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    device = pick_device()
    report: dict[str, Any] = {
        "network": given.network,
        "size_px": given.size,
        "batch": given.batch,
        "rounds": given.rounds,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "cpu": asdict(capabilities()),
        "torch": torch.__version__,
        "busy_cores": given.beside,
    }
    asked = (given.network, given.size, given.batch)
    with busy_cores(given.beside):
        if given.waiting:
            report |= waiting_results(*asked, given.rounds)
        else:
            report |= results(*asked, given.rounds, given.compile)
    print(json.dumps(report, indent=2) if given.json else as_text(report))


def results(name: str, size: int, batch_size: int, rounds: int, compiled: bool) -> dict[str, Any]:
    """What the settings take, and the memory of all of them together."""
    torch.set_num_threads(available_cores())
    times = seconds_a_step(contenders(name, size, batch_size, compiled), rounds)
    return {
        "results": summarize(times, batch_size, _BASELINE, "times_eager_f32"),
        "with_data_times_fixed_batch": data_ratio(times),
        "peak_memory_mb": peak_memory_mb(pick_device()),
    }


def waiting_results(name: str, size: int, batch_size: int, rounds: int) -> dict[str, Any]:
    """What the ways of waiting take."""
    times = seconds_by_waiting(name, size, batch_size, rounds)
    return {"results": summarize(times, batch_size, _ONE_THREAD, "times_one_thread")}


def as_text(report: dict[str, Any]) -> str:
    size = report["size_px"]
    lines = [
        f"{report['network']}, {size}x{size}, batch {report['batch']}, on {report['device']}",
        f"processor: {report['cpu']}; {report['busy_cores']} other core(s) kept busy",
    ]
    for name, row in report["results"].items():
        ratio = next(key for key in row if key.startswith("times_"))
        spread = f"{row['least']:.1f} to {row['most']:.1f}"
        lines.append(
            f"{name:32s} {row['images_per_s']:7.1f} images/s ({spread}), "
            f"{row[ratio]:.2f} {ratio.replace('_', ' ')}"
        )
    if "peak_memory_mb" in report:
        lines.append(
            f"a step with its data takes {report['with_data_times_fixed_batch']:.2f} times one on "
            f"a fixed batch; peak memory {report['peak_memory_mb']:.0f} MB"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""What the networks of a table cost on this machine: parameters and time for one image."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from featherseg.compress.cost import count_parameters
from featherseg.compress.fuse import fuse, reparameterize
from featherseg.networks import build_network
from featherseg.reproduce.plan import row_recipe
from featherseg.reproduce.scale import Scale
from featherseg.reproduce.table import Row
from featherseg.runtime.cpu import capabilities
from featherseg.storage import write_json
from featherseg.train.recipe import Recipe

COSTS_FILE = "costs.json"
_WARM_UP = 3
# AL-Net takes the mean of ten runs; a median is not moved by what else the machine does.
_RUNS = 10


def measure_costs(rows: Sequence[Row], scale: Scale, out: Path, say: Callable[[str], None]) -> None:
    """Add the costs of rows that `costs.json` in `out` lacks; they are timed one by one."""
    path = out / COSTS_FILE
    known = read_costs(out)
    for row in rows:
        recipe = row_recipe(row, scale)
        key = cost_key(recipe)
        if key not in known["networks"]:
            say(f"timing {key}")
            known["networks"][key] = _cost(recipe)
            write_json(path, known)


def read_costs(out: Path) -> dict[str, Any]:
    """The costs measured so far, with the machine they were measured on."""
    path = out / COSTS_FILE
    if path.is_file():
        return dict(json.loads(path.read_text()))
    cpu = capabilities()
    return {
        "processor": cpu.model,
        "cores": cpu.cores,
        "how": (
            f"median of {_RUNS} single images after {_WARM_UP} for warming up; PyTorch "
            f"{torch.__version__}, float32, fused, channels last"
        ),
        "networks": {},
    }


def cost_key(recipe: Recipe) -> str:
    """What tells costs apart: the network, its options and the input size."""
    options = "".join(f" {name}={value}" for name, value in sorted(recipe.network_options.items()))
    height, width = recipe.input_size
    return f"{recipe.network}{options} {height}x{width}x{recipe.in_channels}"


def _cost(recipe: Recipe) -> dict[str, Any]:
    options = {key: value for key, value in recipe.network_options.items() if key != "pretrained"}
    network = build_network(recipe.network, in_channels=recipe.in_channels, **options).eval()
    image = torch.rand(1, recipe.in_channels, *recipe.input_size)
    times = _times(fuse(network).to(memory_format=torch.channels_last), image)
    return {
        "parameters": count_parameters(network),
        "reparameterized": count_parameters(reparameterize(network)),
        "latency_ms": round(1000 * median(times), 2),
        "latency_ms_least": round(1000 * min(times), 2),
        "latency_ms_most": round(1000 * max(times), 2),
    }


@torch.inference_mode()
def _times(network: nn.Module, image: torch.Tensor) -> list[float]:
    """Seconds of each run."""
    image = image.contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(_WARM_UP + _RUNS):
        start = time.perf_counter()
        network(image)
        times.append(time.perf_counter() - start)
    return times[_WARM_UP:]

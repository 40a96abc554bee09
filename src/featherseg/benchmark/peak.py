"""What the machine can do at most, measured in the same run as what is compared with it.

The peak is what libraries reach at the kindest work there is: wide dense convolutions in
OpenVINO and, in float32, a product of two matrices in torch. Shares of it say how much of the
processor a network leaves idle.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from featherseg.benchmark.contenders import OPENVINO, TORCH, example
from featherseg.benchmark.scratch import write_int8_scratch, write_scratch_bundle
from featherseg.benchmark.timing import Call
from featherseg.compress.cost import count_macs
from featherseg.runtime import Precision, open_session

# 2048 columns and 256 channels of 64x64: large enough for every core, small enough to be quick.
MATRIX, WIDTH, SIDE = 2048, 256, 64
_LAYERS = 4
_FLOPS_A_MAC = 2
# What torch multiplies matrices in, and OpenVINO is asked for; int8 is in its files.
_MATRICES = {"f32": torch.float32, "bf16": torch.bfloat16}
_ASKED: dict[str, Precision] = {"f32": "f32", "bf16": "bf16"}


@dataclass(frozen=True)
class Peak:
    """One kind of work that shows what a precision can reach; ``macs`` are those of one call."""

    precision: str
    by: str
    macs: int
    run: Call


@dataclass(frozen=True)
class Rate:
    """Operations a second, and what reached them."""

    per_s: float
    by: str


def peaks(
    precisions: Sequence[str], threads: int, folder: Path, *, width: int = WIDTH
) -> Iterator[Peak]:
    """The work that shows what each of `precisions` ("f32", "bf16", "int8") can reach."""
    size = MATRIX * width // WIDTH
    for precision, dtype in _MATRICES.items():
        if precision in precisions:
            pair = torch.rand(2, size, size).to(dtype)
            yield Peak(precision, f"{TORCH}, matrices", size**3, partial(torch.mm, *pair))
    network = _wide(width).eval()
    macs = count_macs(_wide(width).to("meta"), (SIDE, SIDE))
    bundle = write_scratch_bundle(network, "wide_convolutions", SIDE, folder / "wide")
    batch = example(bundle.preprocessing)
    for precision in precisions:
        opened = bundle
        if precision == "int8":
            opened = write_int8_scratch(bundle, folder / "wide_int8")
        session = open_session(opened, OPENVINO, _ASKED.get(precision), threads=threads)
        run = partial(session.logits, batch)
        yield Peak(precision, f"{OPENVINO}, wide convolutions", macs, run)


def _wide(width: int) -> nn.Module:
    """Little goes in and out, so that nearly all the work lies between."""
    layers = [nn.Conv2d(3, width, 1)]
    layers += [nn.Conv2d(width, width, 3, padding=1) for _ in range(_LAYERS)]
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 1))


def best_rates(seconds: Mapping[Peak, Sequence[float]]) -> dict[str, Rate]:
    """The highest rate of each precision over all calls."""
    rates: dict[str, Rate] = {}
    for peak, times in seconds.items():
        reached = Rate(operations_per_s(peak.macs, min(times)), peak.by)
        if peak.precision not in rates or reached.per_s > rates[peak.precision].per_s:
            rates[peak.precision] = reached
    return rates


def operations_per_s(macs: int, seconds: float) -> float:
    """Operations a second, a multiply-accumulate being two."""
    return _FLOPS_A_MAC * macs / seconds

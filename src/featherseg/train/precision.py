"""The device to train on and the precision that is fastest there."""

from typing import Literal

import torch

from featherseg.runtime.cpu import capabilities

Precision = Literal["32-true", "bf16-mixed"]


def pick_device() -> torch.device:
    """The first CUDA device, else the processor."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def pick_precision(wanted: Literal["auto", "32-true", "bf16-mixed"], device: str) -> Precision:
    """`wanted`, or for "auto" bf16 on CUDA and on processors with AMX, else float32.

    Without AMX autocast to bf16 is slower than float32 on a processor.
    """
    if wanted != "auto":
        return wanted
    return "bf16-mixed" if device == "cuda" or capabilities().amx_bf16 else "32-true"

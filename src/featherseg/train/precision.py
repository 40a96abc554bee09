"""The device to train on, the precision that is fastest there, and the memory in use."""

import os
import resource
import sys
from typing import Literal

import torch

from featherseg.runtime.cpu import capabilities

Precision = Literal["32-true", "bf16-mixed"]

_MB = 1e6
# ru_maxrss counts kilobytes, on macOS bytes.
_RSS_BYTES = 1 if sys.platform == "darwin" else 1024


def pick_device() -> torch.device:
    """The CUDA device of this process (the first where it is the only one), else the processor."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def pick_precision(wanted: Literal["auto", "32-true", "bf16-mixed"], device: str) -> Precision:
    """`wanted`, or for "auto" bf16 on CUDA and on processors with AMX, else float32.

    Without AMX autocast to bf16 is slower than float32 on a processor.
    """
    if wanted != "auto":
        return wanted
    return "bf16-mixed" if device == "cuda" or capabilities().amx_bf16 else "32-true"


def peak_memory_mb(device: torch.device) -> float:
    """The most memory held so far, in 1e6 bytes: of the process, or on CUDA of its tensors."""
    if device.type == "cuda":
        held = torch.cuda.max_memory_allocated(device)
    else:
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_BYTES
    return round(held / _MB, 1)

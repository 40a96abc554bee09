"""The device to train on, the precision that is fastest there, and the memory in use."""

import os
import resource
import sys
from typing import Literal

import torch
from torch import nn

from featherseg.runtime.cpu import capabilities

Precision = Literal["32-true", "bf16-mixed"]

_SMALL_KERNEL = 3
_LEAST_SIDE_PX = 128
_MB = 1e6
# ru_maxrss counts kilobytes, on macOS bytes.
_RSS_BYTES = 1 if sys.platform == "darwin" else 1024


def pick_device() -> torch.device:
    """The CUDA device of this process (the first where it is the only one), else the processor."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def pick_precision(
    wanted: Literal["auto", "32-true", "bf16-mixed"],
    device: torch.device,
    network: nn.Module,
    size: tuple[int, int],
) -> Precision:
    """`wanted`, or for "auto" bf16 where `network` is trained faster in it, else float32.

    That is on CUDA, on processors with AMX, and on AMD's with AVX-512 BF16 (1.3 to 2.4 times
    on one core for five of our networks) unless the network has depthwise convolutions larger
    than 3x3, whose bf16 kernels there take twice the time (EfficientNet encoders: 0.65 times).
    On other processors autocast to bf16 is slower than float32. Images with a side below 128
    pixels stay in float32 on a processor: they are fast anyway, and their deepest maps can be a
    single pixel, of which oneDNN (3.13, of torch 2.15) makes wrong bf16 gradients for strided
    convolutions.
    """
    if wanted != "auto":
        return wanted
    cpu = capabilities()
    if device.type != "cuda" and min(size) < _LEAST_SIDE_PX:
        return "32-true"
    is_amd = cpu.vendor == "AuthenticAMD" and cpu.avx512_bf16
    if device.type == "cuda" or cpu.amx_bf16 or (is_amd and not _has_large_depthwise(network)):
        return "bf16-mixed"
    return "32-true"


def _has_large_depthwise(network: nn.Module) -> bool:
    return any(
        max(each.kernel_size) > _SMALL_KERNEL
        for each in network.modules()
        if isinstance(each, nn.Conv2d) and each.groups == each.in_channels > 1
    )


def peak_memory_mb(device: torch.device) -> float:
    """The most memory held so far, in 1e6 bytes: of the process, or on CUDA of its tensors."""
    if device.type == "cuda":
        held = torch.cuda.max_memory_allocated(device)
    else:
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_BYTES
    return round(held / _MB, 1)

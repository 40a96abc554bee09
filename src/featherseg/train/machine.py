"""The device and the memory that a training would have here."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from featherseg.train.precision import pick_device

_SYSTEM = Path("/proc/meminfo")
# What a container may use and uses, in control groups of version 2.
_LIMIT = Path("/sys/fs/cgroup/memory.max")
_USED = Path("/sys/fs/cgroup/memory.current")


@dataclass(frozen=True)
class Machine:
    """Where a training is to run: its device, and the bytes of memory that are free there."""

    device: Literal["cpu", "cuda"]
    memory_bytes: int


def this_machine() -> Machine:
    """The device that a training would take here, and the memory that is free on it."""
    device = pick_device()
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return Machine("cuda", int(free))
    return Machine("cpu", free_memory_bytes(_text(_SYSTEM), _text(_LIMIT), _text(_USED)))


def free_memory_bytes(system: str, limit: str, used: str) -> int:
    """Bytes that this process may still take: of the system, or of its container if fewer.

    `system` is the text of /proc/meminfo; `limit` and `used` are a container's, each a number,
    or else no limit. Without /proc/meminfo all of the machine's memory counts as free.
    """
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in system.splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            free = int(value.split()[0]) * 1024
    if limit.strip().isdecimal() and used.strip().isdecimal():
        free = min(free, max(0, int(limit) - int(used)))
    return free


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

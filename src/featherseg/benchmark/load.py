"""How much of the machine others used while something was measured, from /proc/stat (Linux)."""

import os
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
# Above this share the times stand for a machine that was shared, and a run should be repeated.
BUSY_SHARE = 0.15
# user nice system idle iowait irq softirq steal; guest times after them are part of user and nice.
_COLUMNS = 8
_IDLE = frozenset({3, 4})


@dataclass(frozen=True)
class Load:
    """Processor seconds since the machine started: of all its cores, those used, and our own."""

    all_s: float
    used_s: float
    own_s: float


def load_now() -> Load | None:
    """The load up to now, this process and its ended children being "own"; None off Linux."""
    if not _STAT.is_file():
        return None
    times = os.times()
    own_s = times.user + times.system + times.children_user + times.children_system
    return parse_stat(_STAT.read_text(), os.sysconf("SC_CLK_TCK"), own_s)


def parse_stat(text: str, ticks_per_s: int, own_s: float) -> Load:
    """Read the first line of a /proc/stat text: all cores together; stolen time counts as used."""
    ticks = [int(value) for value in text.splitlines()[0].split()[1:][:_COLUMNS]]
    used = sum(value for place, value in enumerate(ticks) if place not in _IDLE)
    return Load(sum(ticks) / ticks_per_s, used / ticks_per_s, own_s)


def foreign_share(before: Load | None, after: Load | None) -> float | None:
    """The share of all cores, 0 to 1, that others used in between; None where it is not known."""
    if before is None or after is None or after.all_s <= before.all_s:
        return None
    others_s = (after.used_s - before.used_s) - (after.own_s - before.own_s)
    # The clocks tick apart: what little is over or under is none of others' work.
    return min(1.0, max(0.0, others_s / (after.all_s - before.all_s)))

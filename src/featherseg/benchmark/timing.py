"""Contenders that take turns, and what the times of one of them come to.

Two things timed one after the other meet two different machines: it throttles, and others use
it. Here every contender is called in every round, so that whatever slows one slows all.
"""

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

# A contender that is quicker than this is called again within its turn.
_TURN_S = 0.1
_MOST_CALLS = 10
_WARM_UPS = 2

Key = TypeVar("Key", bound=Hashable)
Call = Callable[[], object]


@dataclass(frozen=True)
class Latency:
    """Wall-clock milliseconds of `n` calls: median, 95th percentile, fastest, and quartiles.

    ``spread`` is the distance of the quartiles over the median.
    """

    p50_ms: float
    p95_ms: float
    fastest_ms: float
    q25_ms: float
    q75_ms: float
    spread: float
    n: int


def summarize_times(seconds: Sequence[float]) -> Latency:
    """What times of one contender come to; between two times quantiles are linear."""
    times_ms = 1e3 * np.asarray(seconds, np.float64)
    fastest, q25, p50, q75, p95 = np.quantile(times_ms, (0.0, 0.25, 0.5, 0.75, 0.95)).tolist()
    return Latency(p50, p95, fastest, q25, q75, (q75 - q25) / p50, len(seconds))


def take_turns(contenders: Mapping[Key, Call], rounds: Iterable[int]) -> dict[Key, list[float]]:
    """Seconds of each call of each contender, over the rounds 0, 1, ... that are given.

    A turn begins with a call that is not timed: the contender before has filled the caches, as
    no other network does where one is deployed. Every other round goes backwards, so that
    nobody always follows the same one.
    """
    times: dict[Key, list[float]] = {name: [] for name in contenders}
    for call in contenders.values():
        for _ in range(_WARM_UPS):
            call()
    for count in rounds:
        names = list(contenders)
        for name in names if count % 2 == 0 else reversed(names):
            times[name].extend(_turn(contenders[name]))
    return times


def _turn(call: Call) -> list[float]:
    call()
    taken: list[float] = []
    while not taken or (sum(taken) < _TURN_S and len(taken) < _MOST_CALLS):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return taken

"""Times are summarized exactly, and contenders take turns."""

import time
from collections.abc import Callable

import pytest

from featherseg.benchmark import timing
from featherseg.benchmark.timing import summarize_times, take_turns


def test_quantiles_of_known_times() -> None:
    latency = summarize_times([place / 1e3 for place in range(101)])
    assert (latency.fastest_ms, latency.q25_ms, latency.p50_ms) == pytest.approx((0, 25, 50))
    assert (latency.q75_ms, latency.p95_ms) == pytest.approx((75, 95))
    assert latency.spread == pytest.approx(1.0)
    assert latency.n == 101


def test_quantiles_between_two_times_are_linear() -> None:
    latency = summarize_times([0.003, 0.001])
    assert latency.p50_ms == pytest.approx(2.0)
    assert latency.p95_ms == pytest.approx(2.9)
    assert latency.spread == pytest.approx(0.5)


def test_one_time_has_no_spread() -> None:
    latency = summarize_times([0.004])
    assert latency.p50_ms == latency.p95_ms == latency.fastest_ms == pytest.approx(4.0)
    assert latency.spread == 0.0


def test_contenders_alternate_and_every_other_round_goes_backwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timing, "_MOST_CALLS", 1)
    calls: list[str] = []

    def contender(name: str) -> Callable[[], None]:
        return lambda: calls.append(name)

    times = take_turns({name: contender(name) for name in "abc"}, range(2))
    assert "".join(calls) == "aabbcc" + "aabbcc" + "ccbbaa"
    assert {name: len(each) for name, each in times.items()} == {"a": 2, "b": 2, "c": 2}


def test_what_is_quick_is_called_several_times_in_a_turn() -> None:
    calls = {"quick": lambda: None, "slow": lambda: time.sleep(0.12)}
    times = take_turns(calls, range(1))
    assert len(times["quick"]) == 10
    assert len(times["slow"]) == 1
    assert times["slow"][0] >= 0.12

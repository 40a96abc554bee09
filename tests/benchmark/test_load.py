"""The share of others is what /proc/stat counts less our own."""

import pytest

from featherseg.benchmark.load import Load, foreign_share, load_now, parse_stat

# user nice system idle iowait irq softirq steal guest guest_nice
STAT = "cpu  100 20 30 800 40 1 2 7 90 5\ncpu0 1 1 1 1 1 1 1 1 1 1\n"


def test_used_time_holds_stolen_time_and_guests_once() -> None:
    load = parse_stat(STAT, 100, own_s=0.5)
    assert load == Load(all_s=10.0, used_s=1.6, own_s=0.5)


def test_the_share_of_others() -> None:
    before = Load(all_s=100.0, used_s=40.0, own_s=10.0)
    after = Load(all_s=120.0, used_s=55.0, own_s=22.0)
    assert foreign_share(before, after) == pytest.approx(3 / 20)


def test_clocks_that_tick_apart_give_no_share_below_none() -> None:
    before, after = Load(10.0, 5.0, 1.0), Load(12.0, 6.0, 2.01)
    assert foreign_share(before, after) == 0.0


def test_what_is_not_known_stays_unknown() -> None:
    load = Load(10.0, 5.0, 1.0)
    assert foreign_share(None, load) is None
    assert foreign_share(load, load) is None


def test_this_machine_is_read_where_it_has_the_file() -> None:
    load = load_now()
    if load is not None:
        assert load.all_s >= load.used_s > 0.0

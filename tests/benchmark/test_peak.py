"""The machine's peak is the highest rate of any work in that precision."""

import pytest

from featherseg.benchmark.peak import Peak, best_rates, operations_per_s


def nothing() -> None: ...


def test_a_multiply_accumulate_is_two_operations() -> None:
    assert operations_per_s(1_000_000, 0.5) == 4_000_000


def test_the_fastest_call_of_the_best_work_counts() -> None:
    matrices = Peak("f32", "matrices", 1000, nothing)
    convolutions = Peak("f32", "convolutions", 3000, nothing)
    int8 = Peak("int8", "convolutions", 3000, nothing)
    rates = best_rates({matrices: [0.5, 0.1], convolutions: [0.2, 0.25], int8: [0.1]})
    assert rates["f32"].per_s == pytest.approx(30_000)
    assert rates["f32"].by == "convolutions"
    assert rates["int8"].per_s == pytest.approx(60_000)

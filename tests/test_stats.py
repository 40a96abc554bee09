"""Intervals against scipy, closed forms and simulation."""

import math

import numpy as np
import pytest
from scipy import stats as reference

from featherseg.stats import RESAMPLES, bootstrap_interval, describe, wilson


def interval(values: list[float], seed: int = 0, **options: object) -> tuple[float, float]:
    found = bootstrap_interval(values, seed, **options)  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize("level", [0.95, 0.8])
def test_bootstrap_equals_scipys_percentile_method(level: float) -> None:
    values = np.random.default_rng(3).beta(6, 2, size=90)
    expected = reference.bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = interval(values.tolist(), level=level, resamples=20_000)
    width = expected.high - expected.low
    assert found == pytest.approx((expected.low, expected.high), abs=0.03 * width)


def test_bootstrap_is_close_to_the_normal_interval_of_many_values() -> None:
    values = np.random.default_rng(5).normal(10, 2, size=800)
    half = 1.96 * values.std() / math.sqrt(values.size)
    low, high = interval(values.tolist())
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_same_seed_gives_the_same_interval_and_another_one_not() -> None:
    values = np.random.default_rng(0).random(40).tolist()
    assert interval(values, seed=1) == interval(values, seed=1)
    assert interval(values, seed=1) != interval(values, seed=2)


def test_drawing_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(33).tolist()
    whole = interval(values)
    monkeypatch.setattr("featherseg.stats._DRAWS_AT_ONCE", 1000)
    assert interval(values) == pytest.approx(whole, abs=1e-12)


def test_groups_are_drawn_whole() -> None:
    generator = np.random.default_rng(2)
    levels = generator.random(30)
    values = np.repeat(levels, 10) + generator.normal(0, 1e-3, 300)
    groups = [f"patient {number // 10:02}" for number in range(300)]
    clustered, alone = interval(values.tolist(), groups=groups), interval(values.tolist())
    of_groups = interval(values.reshape(30, 10).mean(axis=1).tolist())
    assert clustered == pytest.approx(of_groups, abs=1e-9)
    ratio = (clustered[1] - clustered[0]) / (alone[1] - alone[0])
    assert ratio == pytest.approx(math.sqrt(10), rel=0.15)


def test_groups_of_unequal_size_weigh_by_their_values() -> None:
    values, groups = [0.0, 0.0, 0.0, 1.0], ["a", "a", "a", "b"]
    generator = np.random.default_rng(9)
    drawn = generator.integers(2, size=(RESAMPLES, 2))
    sums, counts = np.array([0.0, 1.0]), np.array([3, 1])
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    expected = tuple(np.quantile(means, [0.025, 0.975]))
    assert interval(values, seed=9, groups=groups) == expected


def test_fewer_than_two_groups_have_no_interval() -> None:
    assert bootstrap_interval([], 0) is None
    assert bootstrap_interval([0.5], 0) is None
    assert bootstrap_interval([0.5, 0.7], 0, groups=["a", "a"]) is None


def test_constant_values_have_no_width() -> None:
    assert interval([0.25] * 10) == (0.25, 0.25)


def test_groups_must_fit_the_values() -> None:
    with pytest.raises(ValueError, match="a group for each of 2 values, got 1"):
        bootstrap_interval([0.1, 0.2], 0, groups=["a"])


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(11)
    covered = 0
    for trial in range(300):
        low, high = interval(generator.beta(8, 2, size=60).tolist(), seed=trial, resamples=2000)
        covered += low <= 0.8 <= high
    assert 0.90 <= covered / 300 <= 0.98


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (1, 1), (7, 9), (81, 263)])
@pytest.mark.parametrize("level", [0.95, 0.9])
def test_wilson_equals_scipys_and_solves_its_equation(successes: int, n: int, level: float) -> None:
    low, high = wilson(successes, n, level)
    expected = reference.binomtest(successes, n).proportion_ci(level, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    z = reference.norm.ppf(0.5 + level / 2)
    for bound in (low, high):
        if 0 < bound < 1:
            assert abs(successes / n - bound) == pytest.approx(
                z * math.sqrt(bound * (1 - bound) / n)
            )


def test_wilson_of_known_values() -> None:
    # Newcombe 1998 (doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E), table I.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_wilson_without_a_trial_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3), (1, 0)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson(successes, n)


def test_describe_gives_the_sample_statistics() -> None:
    values = [0.2, 0.4, 0.9, 0.5]
    found = describe(values)
    assert found.mean == pytest.approx(0.5)
    assert found.sd == pytest.approx(float(np.std(values, ddof=1)))
    assert found.median == pytest.approx(0.45)
    assert found.n == 4
    assert found.small_sample
    assert (found.ci_low, found.ci_high) == bootstrap_interval(values, 0)


def test_describe_of_nothing_and_of_one_value() -> None:
    nothing = describe([])
    assert (nothing.mean, nothing.sd, nothing.median, nothing.ci_low) == (None,) * 4
    one = describe([0.3])
    assert (one.mean, one.median, one.sd, one.ci_high, one.n) == (0.3, 0.3, None, None, 1)


def test_a_sample_is_small_by_its_groups() -> None:
    values = np.linspace(0, 1, 60).tolist()
    assert not describe(values).small_sample
    assert describe(values, groups=[str(n // 2) for n in range(60)]).small_sample

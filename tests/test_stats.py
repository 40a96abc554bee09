"""Intervals against scipy, closed forms and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from featherseg.stats import (
    RESAMPLES,
    bca_interval,
    bootstrap_interval,
    describe,
    mean_interval,
    wilson,
)


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
    monkeypatch.setattr("featherseg.stats.bootstrap._DRAWS_AT_ONCE", 1000)
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


def bca(values: list[float], seed: int = 0, **options: object) -> tuple[float, float]:
    found = bca_interval(values, seed, **options)  # type: ignore[arg-type]
    assert not isinstance(found, str), found
    return found


@pytest.mark.parametrize("level", [0.95, 0.8])
@pytest.mark.parametrize("count", [6, 45])
def test_bca_equals_scipys_for_the_same_draws(level: float, count: int) -> None:
    # Sums of these are exact: SciPy leaves it to rounding whether equal means are equal.
    values = np.round(64 * np.random.default_rng(3).exponential(size=count)) / 64
    expected = reference.bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=3000,
        method="BCa",
        rng=np.random.default_rng(8),
    ).confidence_interval
    found = bca(values.tolist(), seed=8, level=level, resamples=3000)
    assert found == pytest.approx((expected.low, expected.high), rel=1e-9)


def slow_bca(sums: list[float], counts: list[int], seed: int) -> tuple[float, float]:
    """BCa of a mean over groups, step by step."""
    number = len(sums)
    drawn = np.random.default_rng(seed).integers(number, size=(RESAMPLES, number))
    means = [sum(sums[i] for i in row) / sum(counts[i] for i in row) for row in drawn.tolist()]
    mean = sum(sums) / sum(counts)
    lower = sum(each < mean for each in means) + 0.5 * sum(each == mean for each in means)
    bias = reference.norm.ppf(lower / RESAMPLES)
    without = [
        (sum(sums) - total) / (sum(counts) - count)
        for total, count in zip(sums, counts, strict=True)
    ]
    pulls = [sum(without) / number - each for each in without]
    acceleration = sum(p**3 for p in pulls) / (6 * sum(p**2 for p in pulls) ** 1.5)
    tails = [
        reference.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))
        for z in (reference.norm.ppf(0.025), reference.norm.ppf(0.975))
    ]
    low, high = np.quantile(means, tails)
    return float(low), float(high)


def test_bca_draws_and_leaves_out_whole_groups() -> None:
    generator = np.random.default_rng(4)
    counts = generator.integers(1, 6, size=12).tolist()
    values = [generator.exponential(size=count) for count in counts]
    groups = [f"patient {n:02}" for n, count in enumerate(counts) for _ in range(count)]
    found = bca(np.concatenate(values).tolist(), seed=5, groups=groups)
    assert found == pytest.approx(slow_bca([float(v.sum()) for v in values], counts, 5), rel=1e-9)


def test_bca_covers_a_skewed_mean_more_often_than_percentiles() -> None:
    generator = np.random.default_rng(1)
    trials = 2000
    hits = {"bca": 0, "percentile": 0}
    for trial in range(trials):
        values = generator.exponential(size=25).tolist()
        for method, (low, high) in (
            ("bca", bca(values, trial, resamples=1500)),
            ("percentile", interval(values, trial, resamples=1500)),
        ):
            hits[method] += low <= 1.0 <= high
    assert hits["bca"] > hits["percentile"]
    assert 0.89 <= hits["bca"] / trials <= 0.97


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=15),
    st.floats(0.1, 50),
    st.floats(-5, 5),
)
def test_an_interval_scales_with_its_values(
    values: list[float], scale: float, shift: float
) -> None:
    rounded = [round(value, 3) for value in values]
    plain = mean_interval(rounded, 0, resamples=400)
    moved = mean_interval([scale * value + shift for value in rounded], 0, resamples=400)
    assert plain is not None
    assert moved is not None
    assert plain.low <= plain.high
    assert (moved.low, moved.high) == pytest.approx(
        (scale * plain.low + shift, scale * plain.high + shift), rel=1e-9, abs=1e-9
    )


@pytest.mark.parametrize(
    ("values", "groups", "reason"),
    [
        ([0.1] * 9, None, "every group has the same mean"),
        ([0.0, 0.2, 0.2, 0.0, 0.1], list("aabbc"), "every group has the same mean"),
        ([0.0] * 400 + [1.0], None, "beyond the resampled means"),
    ],
)
def test_where_bca_is_not_defined_the_percentiles_stand_in_and_say_so(
    values: list[float], groups: list[str] | None, reason: str
) -> None:
    found = mean_interval(values, 0, resamples=300, groups=groups)
    assert found is not None
    assert found.method == "percentile"
    assert reason in found.note
    assert (found.low, found.high) == interval(values, groups=groups, resamples=300)


def test_without_two_groups_there_is_neither() -> None:
    assert bca_interval([0.3, 0.4], 0, groups=["a", "a"]) == "fewer than two groups"
    assert mean_interval([0.3, 0.4], 0, groups=["a", "a"]) is None


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
    expected = mean_interval(values, 0)
    assert expected is not None
    assert (found.ci_low, found.ci_high) == (expected.low, expected.high)
    assert (found.interval, found.interval_note) == ("bca", "")


def test_describe_of_nothing_and_of_one_value() -> None:
    nothing = describe([])
    assert (nothing.mean, nothing.sd, nothing.median, nothing.ci_low) == (None,) * 4
    one = describe([0.3])
    assert (one.mean, one.median, one.sd, one.ci_high, one.n) == (0.3, 0.3, None, None, 1)
    assert (one.interval, one.interval_note) == (None, "fewer than two groups")


def test_a_sample_is_small_by_its_groups() -> None:
    values = np.linspace(0, 1, 60).tolist()
    assert not describe(values).small_sample
    assert describe(values, groups=[str(n // 2) for n in range(60)]).small_sample

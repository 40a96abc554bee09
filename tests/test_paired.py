"""Paired tests against SciPy, closed forms and permutations counted one by one."""

import itertools
import math
import random
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from featherseg.stats import paired
from featherseg.stats.paired import (
    PERMUTATIONS,
    cohens_dz,
    holm,
    mcnemar_p,
    paired_t_p,
    permutation_p,
    rank_biserial,
    superiority,
    welch_t_p,
    wilcoxon_p,
)
from featherseg.stats.published import laednet_p

# Multiples of 1/8: their sums are exact.
EIGHTHS = st.integers(-8, 8).map(lambda number: number / 8)


def counted_p(differences: list[float], groups: list[str]) -> float:
    """The permutation p value with every sign change of every group written out."""
    names = sorted(set(groups))
    observed = abs(sum(differences))
    far = 0
    for signs in itertools.product((1, -1), repeat=len(names)):
        sign = dict(zip(names, signs, strict=True))
        total = sum(d * sign[group] for d, group in zip(differences, groups, strict=True))
        far += int(abs(total) >= observed)
    return float(far / 2 ** len(names))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(EIGHTHS, st.sampled_from("abcdefg")), min_size=1, max_size=14))
def test_few_groups_are_counted_exactly(pairs: list[tuple[float, str]]) -> None:
    differences = [difference for difference, _ in pairs]
    groups = [group for _, group in pairs]
    expected = counted_p(differences, groups)
    assert permutation_p(differences, groups=groups) == pytest.approx(expected, abs=1e-12)


def test_without_groups_it_is_scipys_permutation_test() -> None:
    differences = np.random.default_rng(3).normal(0.3, 1, 10)
    expected = reference.permutation_test(
        (differences, np.zeros(10)), lambda a, b: np.mean(a - b), permutation_type="samples"
    ).pvalue
    assert permutation_p(differences.tolist()) == pytest.approx(expected)


def test_many_groups_are_drawn_and_agree_with_the_exact_count() -> None:
    differences = np.random.default_rng(5).normal(0.4, 1, 18).tolist()
    exact = counted_p(differences[:16], [f"{n:02}" for n in range(16)])
    assert permutation_p(differences[:16]) == pytest.approx(exact)
    drawn = permutation_p(differences)
    assert drawn is not None
    total = 2.0 * np.asarray(list(itertools.product((0, 1), repeat=18))) - 1
    share = (np.abs(total @ differences) >= abs(sum(differences)) - 1e-12).mean()
    assert drawn == pytest.approx(share, abs=4 * math.sqrt(share / PERMUTATIONS))
    assert permutation_p(differences) == drawn
    assert permutation_p(differences, seed=1) != drawn


def test_drawing_in_blocks_counts_every_permutation(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(6).normal(0.3, 1, 40).tolist()
    whole = permutation_p(differences)
    monkeypatch.setattr(paired, "_SIGNS_AT_ONCE", 999)
    blocks = permutation_p(differences)
    assert whole is not None
    assert blocks == pytest.approx(whole, abs=0.02)


def test_a_drawn_p_value_is_never_zero() -> None:
    assert permutation_p([1.0] * 60) == 1 / (PERMUTATIONS + 1)
    assert permutation_p([1.0] * 5) == 2 / 2**5


def test_dependent_images_are_not_taken_for_many_cases() -> None:
    groups = [f"p{n // 20}" for n in range(100)]
    assert permutation_p([0.1] * 100, groups=groups) == pytest.approx(2 / 2**5)
    assert wilcoxon_p([0.1] * 100, groups=groups) == pytest.approx(2 / 2**5)


def test_under_the_null_hypothesis_small_p_values_are_as_rare_as_they_say() -> None:
    generator = np.random.default_rng(8)
    found = [permutation_p(generator.normal(0, 1, 24).tolist(), trial, 400) for trial in range(600)]
    assert 0.03 <= np.mean([p is not None and p <= 0.05 for p in found]) <= 0.075


def signed_rank_p(differences: list[float]) -> float:
    """Wilcoxon's test with Pratt's zeros, every sign change written out."""
    sizes = [abs(d) for d in differences]
    ranks = [
        Fraction(sum(other < size for other in sizes))
        + Fraction(sum(other == size for other in sizes) + 1, 2)
        for size in sizes
    ]
    kept = [(rank, d) for rank, d in zip(ranks, differences, strict=True) if d]
    observed = abs(sum((rank if d > 0 else -rank for rank, d in kept), Fraction(0)))
    sums: list[Fraction] = [
        abs(sum((rank * sign for (rank, _), sign in zip(kept, signs, strict=True)), Fraction(0)))
        for signs in itertools.product((1, -1), repeat=len(kept))
    ]
    return sum(bool(total >= observed) for total in sums) / len(sums)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_wilcoxon_of_few_cases_is_exact(count: int) -> None:
    differences = np.random.default_rng(count).normal(0.5, 1, count).tolist()
    assert wilcoxon_p(differences) == pytest.approx(signed_rank_p(differences))


def test_wilcoxon_ranks_zeros_and_leaves_them_out() -> None:
    generator = np.random.default_rng(2)
    differences = np.concatenate([np.zeros(20), generator.normal(0.2, 1, 60)])
    expected = reference.wilcoxon(differences, zero_method="pratt").pvalue
    dropped = reference.wilcoxon(differences, zero_method="wilcox").pvalue
    found = wilcoxon_p(differences.tolist())
    assert found == pytest.approx(expected)
    assert found != pytest.approx(dropped)


def test_equal_differences_tie_although_rounding_parts_them() -> None:
    first, second = [0.3, 0.9, 0.8, 0.1, 0.5], [0.2, 0.8, 0.7, 0.2, 0.5]
    differences = [a - b for a, b in zip(first, second, strict=True)]
    assert len({abs(d) for d in differences if d}) > 1
    assert wilcoxon_p(differences) == wilcoxon_p([1, 1, 1, -1, 0])
    assert rank_biserial(differences) == pytest.approx((3 - 1) / 4)


TESTS: list[Callable[[list[float]], float | None]] = [
    permutation_p,
    wilcoxon_p,
    lambda d: paired_t_p(d, [0.0] * len(d)),
]


@pytest.mark.parametrize("test", TESTS)
@settings(max_examples=20, deadline=None)
@given(
    differences=st.lists(EIGHTHS, min_size=2, max_size=20),
    scale=st.sampled_from([0.1, 3.0, 1e4]),
    order=st.randoms(use_true_random=False),
)
def test_names_units_and_order_change_no_p_value(
    test: Callable[[list[float]], float | None],
    differences: list[float],
    scale: float,
    order: random.Random,
) -> None:
    plain = test(differences)
    if plain is None:
        assert len(set(differences)) == 1
        return
    assert 0 <= plain <= 1
    assert test([-d for d in differences]) == pytest.approx(plain, abs=1e-12)
    assert test([scale * d for d in differences]) == pytest.approx(plain, abs=1e-9)
    if sum(d != 0 for d in differences) <= paired.EXACT_GROUPS:
        shuffled = list(differences)
        order.shuffle(shuffled)
        assert test(shuffled) == pytest.approx(plain, abs=1e-9)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (0, 5), (1, 9), (7, 7), (30, 12)])
def test_mcnemar_is_the_binomial_test_of_the_cases_that_differ(gained: int, lost: int) -> None:
    n = gained + lost
    expected = reference.binomtest(gained, n).pvalue if n else 1.0
    assert mcnemar_p(gained, lost) == pytest.approx(expected)
    assert mcnemar_p(lost, gained) == mcnemar_p(gained, lost)


def test_mcnemar_refuses_what_is_no_count() -> None:
    with pytest.raises(ValueError, match="counts of cases"):
        mcnemar_p(-1, 3)


def test_holm_of_known_values() -> None:
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, None, 0.7]) == [1.0, None, 1.0]
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_the_p_value_and_bonferroni(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, after in zip(p_values, adjusted, strict=True):
        assert after is not None
        assert p <= after <= min(1.0, len(p_values) * p) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff([adjusted[place] or 0.0 for place in order]) >= 0)


def test_t_tests_equal_scipys() -> None:
    generator = np.random.default_rng(4)
    first, second = generator.normal(0.7, 0.2, 12), generator.normal(0.6, 0.1, 12)
    paired_p = paired_t_p(first.tolist(), second.tolist())
    assert paired_p == pytest.approx(reference.ttest_rel(first, second).pvalue)
    for others in (second, second[:5]):
        expected = reference.ttest_ind(first, others, equal_var=False).pvalue
        assert welch_t_p(first.tolist(), others.tolist()) == pytest.approx(expected)


@pytest.mark.parametrize("test", [paired_t_p, welch_t_p])
@pytest.mark.parametrize("values", [([], []), ([0.4], [0.2]), ([0.3, 0.3], [0.2, 0.2])])
def test_without_spread_there_is_no_t_test(
    test: Callable[[list[float], list[float]], float | None],
    values: tuple[list[float], list[float]],
) -> None:
    assert test(*values) is None


def test_spread_by_rounding_is_none() -> None:
    first = [0.1 + 0.1 * n for n in range(10)]
    second = [value - 0.1 for value in first]
    assert len({a - b for a, b in zip(first, second, strict=True)}) > 1
    assert paired_t_p(first, second) is None
    assert cohens_dz([a - b for a, b in zip(first, second, strict=True)]) is None


def test_effect_sizes_of_known_differences() -> None:
    differences = [0.1, 0.3, -0.2, 0.0]
    assert cohens_dz(differences) == pytest.approx(0.05 / float(np.std(differences, ddof=1)))
    assert superiority(differences) == pytest.approx((1 + 1 + 0.5) / 4)
    # Ranks of the sizes 0, 0.1, 0.2, 0.3 are 1 to 4; that of 0 counts for neither side.
    assert rank_biserial(differences) == pytest.approx((2 + 4 - 3) / (2 + 4 + 3))


def test_effect_sizes_of_nothing() -> None:
    assert cohens_dz([0.2]) is None
    assert superiority([]) is None
    assert superiority([0.0, 0.0]) == 0.5
    assert rank_biserial([0.0, 0.0]) is None
    assert rank_biserial([]) is None
    assert (permutation_p([]), wilcoxon_p([])) == (None, None)
    assert (permutation_p([0.0, 0.0]), wilcoxon_p([0.0, 0.0])) == (1.0, 1.0)


@given(st.lists(EIGHTHS, min_size=1, max_size=12))
def test_effect_sizes_turn_around_with_the_runs(differences: list[float]) -> None:
    turned = [-d for d in differences]
    share, other = superiority(differences), superiority(turned)
    assert share is not None
    assert other == pytest.approx(1 - share)
    ranks = rank_biserial(differences)
    if ranks is not None:
        assert rank_biserial(turned) == pytest.approx(-ranks)
        assert -1 <= ranks <= 1


def test_laednets_p_is_the_mean_of_three_t_tests() -> None:
    generator = np.random.default_rng(1)
    ours = {name: generator.normal(0.7, 0.02, 5).tolist() for name in ("dice", "iou", "auc")}
    theirs = {name: generator.normal(0.69, 0.02, 5).tolist() for name in ours}
    expected = [reference.ttest_rel(ours[name], theirs[name]).pvalue for name in ours]
    assert laednet_p(ours, theirs) == pytest.approx(float(np.mean(expected)))
    welch = [reference.ttest_ind(ours[n], theirs[n], equal_var=False).pvalue for n in ours]
    assert laednet_p(ours, theirs, welch_t_p) == pytest.approx(float(np.mean(welch)))
    assert laednet_p({**ours, "auc": theirs["auc"]}, theirs) is None
    with pytest.raises(ValueError, match="dice, iou, auc, got dice"):
        laednet_p({"dice": [0.1, 0.2]}, theirs)

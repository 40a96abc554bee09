"""Splits that no group and no duplicate crosses: shares, folds, one group out, blocks."""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from featherseg.datasets import Dataset
from featherseg.duplicates import Duplicates, connected
from featherseg.errors import DataError
from featherseg.splits.file import FEWEST_FOLDS, SUBSETS, Dealt, Split, dropped, finished, subset
from featherseg.storage import sha256_bytes

SAFE, BLOCKS = "safe", "blocks"
_FRACTION_TOLERANCE = 1e-6


def make_split(
    dataset: Dataset,
    duplicates: Duplicates,
    *,
    fractions: Sequence[float] | None = None,
    folds: int | None = None,
    seed: int,
    excluded: Mapping[str, str] | None = None,
) -> Split:
    """Deal the cases of `dataset` to train, validation and test, or to folds.

    `fractions` are three shares that add up to 1; `folds` is a number of 3 or more. Groups
    are dealt largest first to the part that lacks most of their classes; the same arguments
    give the same split everywhere. `excluded` maps ids that are left out to the reason. Raises
    DataError for other shares or too few groups.
    """
    shares = _shares(fractions, folds)
    groups = joined_groups(dataset, duplicates)
    parts = _deal(kept(dataset, excluded), groups, shares, seed)
    return finished(dataset, Dealt(SAFE, seed, parts, groups, folds is not None), excluded or {})


def make_leave_one_out(
    dataset: Dataset, duplicates: Duplicates, excluded: Mapping[str, str] | None = None
) -> Split:
    """As many folds as groups, in the order of the cases: fold k tests group k, k + 1 validates.

    Nothing is drawn. Raises DataError for fewer than three groups.
    """
    groups = joined_groups(dataset, duplicates)
    folds: dict[str, list[str]] = {}
    for case in kept(dataset, excluded).cases:
        folds.setdefault(groups[case.id], []).append(case.id)
    if len(folds) < FEWEST_FOLDS:
        raise _too_few(dataset, len(folds), FEWEST_FOLDS)
    parts = tuple(tuple(ids) for ids in folds.values())
    note = f"one of {len(parts)} groups is tested at a time, the next one validates"
    return finished(dataset, Dealt(SAFE, 0, parts, groups, True, (note,)), excluded or {})


def make_blocks(
    dataset: Dataset,
    duplicates: Duplicates,
    count: int,
    gap: int = 0,
    excluded: Mapping[str, str] | None = None,
) -> Split:
    """Folds that are runs of neighbors, in the order of the cases, such as slices of a stack.

    A group is never cut, and what stands between two of its cases stays with it, so blocks are as
    equal as groups allow. `gap` neighbors on each side of the tested block neither validate nor
    train, and as many beside the validating block do not train; every case is still tested once.
    Raises DataError for fewer than three blocks, too few groups, or a gap that leaves a subset
    of a fold empty.
    """
    if count < FEWEST_FOLDS or gap < 0:
        raise DataError(
            f"expected at least {FEWEST_FOLDS} blocks (one tests, one validates, the rest trains) "
            f"and a gap of 0 or more, got {count} blocks and a gap of {gap}"
        )
    groups = joined_groups(dataset, duplicates)
    runs = _runs([case.id for case in kept(dataset, excluded).cases], groups)
    if len(runs) < count:
        raise _too_few(dataset, len(runs), count)
    dealt = Dealt(BLOCKS, 0, _cut(runs, count), groups, True, gap=gap)
    split = finished(dataset, dealt, excluded or {})
    if any(not subset(split, name, fold) for fold in range(count) for name in SUBSETS):
        sizes = ", ".join(str(len(part)) for part in dealt.parts)
        raise DataError(
            f"a gap of {gap} leaves nothing to train or to validate with in blocks of {sizes} "
            "images; ask for a smaller gap or fewer blocks"
        )
    if not gap:
        return split
    most = max(len(dropped(split, fold)) for fold in range(count))
    note = f"up to {most} images a fold are left out beside its held-out blocks"
    return finished(dataset, replace(dealt, notes=(note,)), excluded or {})


def kept(dataset: Dataset, excluded: Mapping[str, str] | None) -> Dataset:
    """The data set without the excluded cases."""
    out = excluded or {}
    return replace(dataset, cases=tuple(case for case in dataset.cases if case.id not in out))


def joined_groups(dataset: Dataset, duplicates: Duplicates) -> dict[str, str]:
    """Case id -> group, where duplicates join the data set's own groups."""
    own = {case.id: case.group for case in dataset.cases}
    links = [(own[group[0]], own[other]) for group in duplicates.groups for other in group[1:]]
    names = {member: joined[0] for joined in connected(own.values(), links) for member in joined}
    return {name: names[group] for name, group in own.items()}


def hashed(seed: int, name: str) -> str:
    """What shuffles names: the same on every machine."""
    return sha256_bytes(f"{seed}:{name}".encode())


def _shares(fractions: Sequence[float] | None, folds: int | None) -> tuple[float, ...]:
    if (fractions is None) == (folds is None):
        raise DataError("expected either fractions or folds; give exactly one of them")
    if folds is not None:
        if folds < FEWEST_FOLDS:
            raise DataError(
                f"expected at least {FEWEST_FOLDS} folds (one tests, one validates, the rest "
                f"trains), got {folds}"
            )
        return (1.0 / folds,) * folds
    shares = tuple(fractions or ())
    valid = len(shares) == len(SUBSETS) and all(0.0 < share < 1.0 for share in shares)
    if not valid or not math.isclose(sum(shares), 1.0, abs_tol=_FRACTION_TOLERANCE):
        raise DataError(
            "expected three fractions above 0 that add up to 1 (train, validation, test), "
            f"got {' '.join(f'{share:g}' for share in shares)}"
        )
    return shares


def _deal(
    dataset: Dataset, groups: dict[str, str], shares: tuple[float, ...], seed: int
) -> tuple[tuple[str, ...], ...]:
    """Give each group, largest first, to the part that lacks most of its classes."""
    classes: dict[str, Counter[str]] = {}
    for case in dataset.cases:
        classes.setdefault(groups[case.id], Counter())[case.label] += 1
    if len(classes) < len(shares):
        raise _too_few(dataset, len(classes), len(shares))
    totals: Counter[str] = sum(classes.values(), Counter())
    lacking = [{label: share * count for label, count in totals.items()} for share in shares]
    dealt: list[set[str]] = [set() for _ in shares]
    for place, group in enumerate(_in_order(classes, seed)):
        empty = [part for part, names in enumerate(dealt) if not names]
        # The last groups are kept for parts that would stay empty.
        must_fill = len(classes) - place <= len(empty)
        part = _neediest(classes[group], lacking, empty if must_fill else range(len(shares)))
        dealt[part].add(group)
        for label, count in classes[group].items():
            lacking[part][label] -= count
    return tuple(
        tuple(case.id for case in dataset.cases if groups[case.id] in names) for names in dealt
    )


def _in_order(classes: dict[str, Counter[str]], seed: int) -> list[str]:
    """Groups, largest first; within a size shuffled."""

    def key(group: str) -> tuple[int, str]:
        return -classes[group].total(), hashed(seed, group)

    return sorted(classes, key=key)


def _neediest(group: Counter[str], lacking: list[dict[str, float]], parts: Sequence[int]) -> int:
    def need(part: int) -> tuple[float, float]:
        own = sum(count * lacking[part][label] for label, count in group.items())
        return round(own, 9), round(sum(lacking[part].values()), 9)

    return max(parts, key=need)


def _runs(ids: Sequence[str], groups: Mapping[str, str]) -> list[tuple[str, ...]]:
    """The shortest runs of neighbors that no group crosses."""
    last = {groups[name]: place for place, name in enumerate(ids)}
    runs: list[tuple[str, ...]] = []
    start = reach = 0
    for place, name in enumerate(ids):
        reach = max(reach, last[groups[name]])
        if place == reach:
            runs.append(tuple(ids[start : place + 1]))
            start = reach = place + 1
    return runs


def _cut(runs: Sequence[tuple[str, ...]], count: int) -> tuple[tuple[str, ...], ...]:
    """Join runs into `count` blocks whose ends are nearest to those of equal blocks."""
    ends = [0]
    for run in runs:
        ends.append(ends[-1] + len(run))
    cuts = [0]
    for block in range(1, count):
        # Enough runs are left for the blocks that follow.
        choices = range(cuts[-1] + 1, len(runs) - (count - block) + 1)
        wanted = block * ends[-1] / count
        cuts.append(min(choices, key=lambda cut: abs(ends[cut] - wanted)))
    cuts.append(len(runs))
    return tuple(
        tuple(name for run in runs[start:end] for name in run)
        for start, end in itertools.pairwise(cuts)
    )


def _too_few(dataset: Dataset, found: int, wanted: int) -> DataError:
    return DataError(
        f"{dataset.root}: expected at least {wanted} groups that may be parted, got "
        f"{found} ({len(dataset.cases)} images); add images or ask for fewer parts"
    )

"""What crosses the parts of a split: pictures and groups that are on both sides."""

from collections.abc import Iterable
from dataclasses import dataclass

from featherseg.datasets import Dataset
from featherseg.duplicates import Duplicates
from featherseg.splits.file import Split, parts_of


@dataclass(frozen=True)
class Leaks:
    """How many groups of duplicates, and of the data set's own groups, lie in several parts.

    Counted are groups of two or more cases of the split; ``tested`` is the number of cases in
    "test" with a twin or a group member in another part, None for a split in folds.
    """

    duplicates: int
    duplicate_groups: int
    groups: int
    all_groups: int
    tested: int | None

    def __bool__(self) -> bool:
        return bool(self.duplicates or self.groups)


def find_leaks(split: Split, dataset: Dataset, duplicates: Duplicates) -> Leaks:
    """Count what a split keeps apart though it belongs together."""
    part = {name: label for label, ids in parts_of(split).items() for name in ids}
    own: dict[str, list[str]] = {}
    for case in dataset.cases:
        own.setdefault(case.group, []).append(case.id)
    twins = _within(duplicates.groups, part)
    groups = _within(own.values(), part)
    crossing_twins, crossing_groups = _crossing(twins, part), _crossing(groups, part)
    leaked = {name for names in crossing_twins + crossing_groups for name in names}
    tested = sum(part[name] == "test" for name in leaked)
    return Leaks(
        duplicates=len(crossing_twins),
        duplicate_groups=len(twins),
        groups=len(crossing_groups),
        all_groups=len(groups),
        tested=None if split.subsets is None else tested,
    )


def _within(groups: Iterable[Iterable[str]], part: dict[str, str]) -> list[tuple[str, ...]]:
    """Of each group the cases that are in the split, where these are at least two."""
    inside = (tuple(name for name in group if name in part) for group in groups)
    return [names for names in inside if len(names) > 1]


def _crossing(groups: list[tuple[str, ...]], part: dict[str, str]) -> list[tuple[str, ...]]:
    return [names for names in groups if len({part[name] for name in names}) > 1]

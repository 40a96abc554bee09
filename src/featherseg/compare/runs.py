"""Tables of several runs, and whether they may stand beside each other at all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from featherseg.case_table import read_cases_csv
from featherseg.datasets.layout import named
from featherseg.errors import DataError
from featherseg.summary import Stamp, stamp_beside
from featherseg.summary.baselines import found_nothing
from featherseg.summary.table import ScoredCase, gather

CASES_FILE = "cases.csv"
SUMMARY_FILE = "summary.json"
BASELINE = "all empty"
# What the stamps must share for a comparison to be of the models alone: key -> its name.
_SHARED = {
    "subset": "the subset",
    "protocol": "the protocol of the split",
    "split_sha256": "the split",
    "images_sha256": "the images",
    "external": "whether the images are external to the training",
}


@dataclass(frozen=True)
class Run:
    """One evaluation: its scored cases, and what is known of how they came about.

    ``name`` is unique among the runs compared; ``stamp`` is None where no summary.json stood
    beside the table.
    """

    name: str
    cases: tuple[ScoredCase, ...]
    stamp: Stamp | None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels scored, '' where there is one only."""
        return tuple(self.cases[0].labels)


def load_runs(folders: Sequence[Path]) -> tuple[Run, ...]:
    """Read the evaluations in `folders`, named after them.

    Every figure will come from cases.csv; only the stamp is taken from the summary.json beside
    it. Raises DataError for fewer than two folders, a folder given twice or without a table, and
    for tables that differ in their cases, labels, units or true masks.
    """
    if len(folders) < 2:
        raise DataError("expected at least two evaluations to compare; give their folders")
    runs = []
    for name, folder in zip(_names(folders), folders, strict=True):
        if not folder.is_dir():
            found = "a file" if folder.exists() else "nothing"
            raise DataError(
                f"{folder}: expected a folder with {CASES_FILE} from `featherseg evaluate`, "
                f"found {found}"
            )
        path = folder / CASES_FILE
        stamp = stamp_beside(path) if (folder / SUMMARY_FILE).is_file() else None
        runs.append(Run(name, _cases(path), stamp))
    for run in runs[1:]:
        check_same_cases(runs[0], run)
    return tuple(runs)


def _cases(path: Path) -> tuple[ScoredCase, ...]:
    rows = read_cases_csv(path)
    try:
        return tuple(gather(rows))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _names(folders: Sequence[Path]) -> list[str]:
    """Each folder's own name, with as many of its parents as tell it from the others."""
    paths = [folder.resolve() for folder in folders]
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise DataError(f"{folders[place]}: given twice; compare different evaluations")
    names = []
    for path in paths:
        own = _parts(path)
        others = [_parts(other) for other in paths if other != path]
        taken = next(n for n in range(1, len(own) + 1) if all(own[-n:] != o[-n:] for o in others))
        names.append("/".join(own[-taken:]))
    return names


def _parts(path: Path) -> tuple[str, ...]:
    return ("", *path.parts[1:])


def check_same_cases(first: Run, second: Run) -> None:
    """DataError that names what differs, unless two tables score the same cases and masks."""
    one = {case.id: case for case in first.cases}
    other = {case.id: case for case in second.cases}
    if set(one) != set(other):
        only = [
            f"{len(missing)} only in '{name}' ({named(sorted(missing))})"
            for name, missing in (
                (first.name, set(one) - set(other)),
                (second.name, set(other) - set(one)),
            )
            if missing
        ]
        raise DataError(
            f"'{first.name}' and '{second.name}' hold different cases: {'; '.join(only)}; "
            "evaluate both on the same subset of the same split"
        )
    for case_id, case in one.items():
        for what, here, there in _differences(case, other[case_id]):
            raise DataError(
                f"case '{case_id}' has different {what} in '{first.name}' and '{second.name}' "
                f"({here} and {there}); score both against the same masks, in the same way"
            )


def _differences(one: ScoredCase, other: ScoredCase) -> Iterator[tuple[str, str, str]]:
    """(what, here, there) for what two tables of one case must share but do not."""
    if set(one.labels) != set(other.labels):
        yield "labels", ", ".join(one.labels), ", ".join(other.labels)
        return
    if one.unit != other.unit:
        yield "units", one.unit, other.unit
    for label, scores in one.labels.items():
        here, there = scores["area_true"], other.labels[label]["area_true"]
        if here != there:
            yield "true areas", f"{here or 0:g} px", f"{there or 0:g} px"
    if one.tolerance and other.tolerance and one.tolerance != other.tolerance:
        yield (
            "tolerances of nsd",
            "{:g} {}".format(*one.tolerance),
            "{:g} {}".format(*other.tolerance),
        )


def case_groups(runs: Sequence[Run]) -> dict[str, str]:
    """The group of each case, from the table that knows the fewest (the largest) groups."""
    tables = [{case.id: case.group for case in run.cases} for run in runs]
    return min(tables, key=lambda table: len(set(table.values())))


def doubts(runs: Sequence[Run]) -> Iterator[str]:
    """What keeps the runs from being a fair comparison, a sentence each."""
    unknown = [run.name for run in runs if run.stamp is None]
    if unknown:
        yield f"What chose the model is not known, for want of a {SUMMARY_FILE}: {named(unknown)}."
    for run in runs:
        if run.stamp is None:
            continue
        if run.stamp.subset is not None and run.stamp.subset == run.stamp.chosen_on:
            yield (
                f"The {run.stamp.subset} subset chose the model of {run.name}: "
                "its figures are too good."
            )
        elif run.stamp.subset == "all" and run.stamp.external is False:
            yield f"The images of {run.name} include those that its model was trained on."
    for key, what in _SHARED.items():
        known = {getattr(run.stamp, key) for run in runs if run.stamp is not None} - {None}
        if len(known) > 1:
            yield f"The runs differ in {what}: their models may not have had the same chance."
    if len({frozenset((case.id, case.group) for case in run.cases) for run in runs}) > 1:
        yield "The tables group the cases differently; the largest groups are used for all."


def emptied(cases: Sequence[ScoredCase]) -> list[ScoredCase]:
    """The same cases, had nothing been found in any: the baseline to stay above."""
    return [
        replace(
            case,
            labels={label: found_nothing(case, scores) for label, scores in case.labels.items()},
        )
        for case in cases
    ]

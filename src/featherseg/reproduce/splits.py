"""The splits a table is reproduced on: the paper's, and one that no duplicate crosses."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from featherseg.datasets import Dataset
from featherseg.duplicates import Duplicates, find_duplicates
from featherseg.splits import (
    Split,
    make_blocks,
    make_paper_split,
    make_split,
    save_split,
)
from featherseg.splits.protocols import protocol_of

Way = Literal["paper", "safe"]
WAYS: tuple[Way, ...] = ("paper", "safe")
WORDS = {"paper": "the paper's split", "safe": "duplicate-safe split"}

SEED = 1
# LAEDNet exchanges training and validation images and keeps the test images.
_EXCHANGES = ("laednet",)
# Slices of one stack: a quarter tests, a quarter validates, their neighbors are left out.
_STACKS = {"isbi2012": 4, "isbi2012_interior": 4}
_GAP = 1
# So alike that every image passes for a duplicate of some other: only equal pixels count.
_ALL_ALIKE = ("stare", "stare_vk")

Track = Callable[[Sequence[Any], str], Any]


def fold_of(layout: str, way: Way) -> int | None:
    """Which fold tests; None for a split in three parts."""
    return 0 if way == "safe" and layout in _STACKS else None


def make_table_split(
    dataset: Dataset, duplicates: Duplicates, protocol: str, way: Way, repeat: int
) -> Split:
    """The split of one repeat of a table.

    The safe split has the shares of the paper's, leaves out the same classes, and is the same in
    every repeat. The paper's is drawn anew, but for LAEDNet's test images.
    """
    if way == "paper":
        exchanges = protocol in _EXCHANGES
        return make_paper_split(
            dataset,
            duplicates,
            protocol,
            seed=SEED if exchanges else SEED + repeat,
            exchange=repeat if exchanges else 0,
        )
    known = protocol_of(protocol, dataset.layout)
    excluded = {
        case.id: f"protocol {protocol} leaves out the class {case.label}"
        for case in dataset.cases
        if case.label in known.leaves_out
    }
    if dataset.layout in _STACKS:
        return make_blocks(dataset, duplicates, _STACKS[dataset.layout], _GAP, excluded)
    return make_split(dataset, duplicates, fractions=known.fractions, seed=SEED, excluded=excluded)


def duplicates_of(dataset: Dataset, track: Track) -> Duplicates:
    """The duplicates that the safe split keeps together."""
    found = find_duplicates(dataset, lambda cases: track(list(cases), "comparing"))
    if dataset.layout in _ALL_ALIKE:
        return Duplicates(found.exact, (), found.exact)
    return found


def split_file(folder: Path, layout: str, protocol: str, way: Way, repeat: int) -> Path:
    """Where the split of one repeat is kept."""
    number = repeat if way == "paper" else 0
    return folder / f"{layout}-{protocol}-{way}-{number + 1}.json"


def saved_split(path: Path, make: Callable[[], Split]) -> Path:
    """`path`, where what `make` gives is saved unless a split is there."""
    if not path.is_file():
        save_split(make(), path)
    return path

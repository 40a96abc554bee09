"""What goes out to another tool: cases in their subsets, read one by one."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from featherseg.datasets.exchange.names import NamedCase, named_case
from featherseg.errors import DataError
from featherseg.types import Case, Image, Mask, Pixels

# The one part of an export without a split.
WHOLE = "all"
Read = Callable[[Case], tuple[Image, Mask]]
Placed = tuple[str, Case]
Progress = Callable[[Sequence[Placed]], Iterable[Placed]]


@dataclass(frozen=True)
class Export:
    """What is exported.

    ``name`` is that of the data set, of ASCII letters, digits and `_`; ``subsets`` holds the
    cases of train, validation and test, or of "all" without a split; ``read`` gives a case's
    image and its labels 0..K; ``names`` maps every case id to the name of its files.
    ``size_px`` (height, width) is for formats that hold images of one size.
    """

    name: str
    labels: tuple[str, ...]
    subsets: Mapping[str, tuple[Case, ...]]
    read: Read
    names: Mapping[str, str]
    size_px: tuple[int, int] | None = None

    @property
    def placed(self) -> list[Placed]:
        """Every case with its subset, in the order of the files."""
        return [(subset, case) for subset, cases in self.subsets.items() for case in cases]


@dataclass(frozen=True)
class Item:
    """One case on its way out, with the name of its files."""

    subset: str
    name: str
    case: Case
    pixels: Pixels
    mask: Mask

    @property
    def known(self) -> NamedCase:
        """What names.json says of it."""
        return named_case(self.case, self.case.spacing_mm, self.pixels.ndim == 2)


def arrange(
    cases: Sequence[Case], subsets: Mapping[str, Sequence[str]] | None
) -> dict[str, tuple[Case, ...]]:
    """The cases by subset (name -> case ids), or as one part where `subsets` is None.

    Ids without a case are left out: predictions may cover a part of a split only. Raises
    DataError where nothing is left.
    """
    by_id = {case.id: case for case in cases}
    wanted = {WHOLE: tuple(by_id)} if subsets is None else subsets
    chosen = {
        name: tuple(by_id[case_id] for case_id in ids if case_id in by_id)
        for name, ids in wanted.items()
    }
    if not any(chosen.values()):
        raise DataError("expected at least one case to export, got none")
    return chosen


def items(export: Export, progress: Progress) -> Iterator[Item]:
    """Read every case once, in order."""
    for subset, case in progress(export.placed):
        image, mask = export.read(case)
        yield Item(subset, export.names[case.id], case, image.pixels, mask)


def as_rgb(pixels: Pixels) -> Pixels:
    """(H, W, 3), gray repeated."""
    return np.repeat(pixels[:, :, np.newaxis], 3, axis=2) if pixels.ndim == 2 else pixels

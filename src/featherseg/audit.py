"""What is wrong with a data set, before anything is learned from it.

Nothing here stops at a bad file: every finding names its case, and the whole is one JSON value.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from featherseg.datasets import DATASETS, Dataset, read_case_image
from featherseg.duplicates import Duplicates, Signature, group_duplicates, signature
from featherseg.errors import ImageError
from featherseg.images import raster
from featherseg.splits import Split, is_intact, parts_of
from featherseg.types import Case, Mask

Progress = Callable[[Sequence[Case]], Iterable[Case]]

# How many of a mask's odd values are listed.
_LISTED_VALUES = 8


@dataclass(frozen=True)
class Unreadable:
    """A file that cannot be decoded, and why."""

    case: str
    file: str
    reason: str


@dataclass(frozen=True)
class SizeMismatch:
    """A mask file that is not on its image's grid; sizes in pixels, (height, width)."""

    case: str
    file: str
    image: tuple[int, int]
    mask: tuple[int, int]


@dataclass(frozen=True)
class OddValues:
    """A mask file with values that are no label (the first few of them).

    In binary masks that is more than one value besides 0, as JPEG or smoothing leaves behind;
    in label maps a value above the number of labels.
    """

    case: str
    file: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class Contradiction:
    """One picture under several classes, or with a lesion here and none there."""

    cases: tuple[str, ...]
    classes: tuple[str, ...]
    differs: tuple[str, ...]


@dataclass(frozen=True)
class Crossing:
    """What should stay together but lies in several parts of a split."""

    cases: tuple[str, ...]
    parts: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Audit:
    """All findings.

    ``distinct`` counts the different pictures among the readable images; ``empty`` lists cases
    whose mask has no lesion. ``expected`` is, for an official release, class -> (expected,
    found). ``crossings`` is None where no split was given.
    """

    layout: str
    images: int
    distinct: int
    duplicate_groups: tuple[tuple[str, ...], ...]
    contradictions: tuple[Contradiction, ...]
    unreadable: tuple[Unreadable, ...]
    size_mismatch: tuple[SizeMismatch, ...]
    mask_values: tuple[OddValues, ...]
    empty: tuple[str, ...]
    expected: dict[str, tuple[int, int]]
    crossings: tuple[Crossing, ...] | None
    split_intact: bool | None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Remarks that are no failure: a release that is not whole."""
        return tuple(
            f"{label}: the official release has {expected} images, found {found}"
            for label, (expected, found) in self.expected.items()
            if expected != found
        )

    @property
    def is_usable(self) -> bool:
        """False where training would fail or a score would not be honest."""
        broken = self.unreadable or self.size_mismatch or self.crossings
        return not broken and self.split_intact is not False

    def to_json(self) -> dict[str, Any]:
        """The findings as one JSON value; the keys about a split only where one was given."""
        content = {name: value for name, value in asdict(self).items() if value is not None}
        content["expected"] = {
            label: {"expected": expected, "found": found}
            for label, (expected, found) in self.expected.items()
        }
        return {**content, "warnings": list(self.warnings)}


@dataclass
class _Findings:
    """What is collected while the cases are read one by one."""

    signatures: dict[str, Signature] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)
    size_mismatch: list[SizeMismatch] = field(default_factory=list)
    mask_values: list[OddValues] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


def audit(dataset: Dataset, split: Split | None = None, progress: Progress = iter) -> Audit:
    """Read every image and mask once and report what is wrong with them.

    `split` is looked through for groups and duplicates that cross it; whether it was made for
    this data set is `featherseg.splits.check_split`'s to say.
    """
    found = _Findings()
    for case in progress(dataset.cases):
        _look_at(dataset, case, found)
    duplicates = group_duplicates(found.signatures)
    repeated = sum(len(group) - 1 for group in duplicates.groups)
    return Audit(
        layout=dataset.layout,
        images=len(dataset.cases),
        distinct=len(found.signatures) - repeated,
        duplicate_groups=duplicates.groups,
        contradictions=_contradictions(dataset, duplicates, found),
        unreadable=tuple(found.unreadable),
        size_mismatch=tuple(found.size_mismatch),
        mask_values=tuple(found.mask_values),
        empty=tuple(found.empty),
        expected=_expected(dataset),
        crossings=None if split is None else _crossings(dataset, duplicates, split),
        split_intact=None if split is None else is_intact(split),
    )


def _look_at(dataset: Dataset, case: Case, found: _Findings) -> None:
    image_size = None
    try:
        pixels = read_case_image(dataset, case).pixels
        image_size = (pixels.shape[0], pixels.shape[1])
        found.signatures[case.id] = signature(pixels)
    except ImageError as error:
        found.unreadable.append(Unreadable(case.id, case.image.name, str(error)))
    read = raster.read_labels if dataset.mask_kind == "labels" else raster.read_mask
    has_lesion = False
    for path in case.masks:
        try:
            mask = read(path)
        except ImageError as error:
            found.unreadable.append(Unreadable(case.id, path.name, str(error)))
            has_lesion = True  # unknown, and so not reported as empty
            continue
        mask_size = (mask.shape[0], mask.shape[1])
        if image_size is not None and mask_size != image_size:
            found.size_mismatch.append(SizeMismatch(case.id, path.name, image_size, mask_size))
        odd = _odd_values(dataset, mask)
        if odd:
            found.mask_values.append(OddValues(case.id, path.name, odd[:_LISTED_VALUES]))
        has_lesion |= bool(mask.any())
    if not has_lesion:
        found.empty.append(case.id)


def _odd_values(dataset: Dataset, mask: Mask) -> tuple[int, ...]:
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=1))
    if dataset.mask_kind == "labels":
        odd = present[present > len(dataset.labels)]
    else:
        odd = present[present > 0][:-1]
    return tuple(int(value) for value in odd)


def _contradictions(
    dataset: Dataset, duplicates: Duplicates, found: _Findings
) -> tuple[Contradiction, ...]:
    labels = {case.id: case.label for case in dataset.cases}
    empty = set(found.empty)
    contradictions = []
    for group in duplicates.groups:
        classes = tuple(labels[name] for name in group)
        several = (len(set(classes)) > 1, len({name in empty for name in group}) > 1)
        differs = tuple(
            what for what, does in zip(("class", "presence"), several, strict=True) if does
        )
        if differs:
            contradictions.append(Contradiction(group, classes, differs))
    return tuple(contradictions)


def _expected(dataset: Dataset) -> dict[str, tuple[int, int]]:
    official = DATASETS[dataset.layout].expected or {}
    present = Counter(case.label for case in dataset.cases)
    return {label: (count, present[label]) for label, count in official.items()}


def _crossings(dataset: Dataset, duplicates: Duplicates, split: Split) -> tuple[Crossing, ...]:
    part = {name: label for label, ids in parts_of(split).items() for name in ids}
    groups: dict[str, list[str]] = {}
    for case in dataset.cases:
        groups.setdefault(case.group, []).append(case.id)
    together = [("duplicate", group) for group in duplicates.groups]
    together += [("group", tuple(group)) for group in groups.values()]
    crossings = []
    for why, names in together:
        parts = sorted({part[name] for name in names if name in part})
        if len(parts) > 1:
            crossings.append(Crossing(names, tuple(parts), why))
    return tuple(crossings)

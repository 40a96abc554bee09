"""Split files: which cases train, which choose, which are scored; made once, then only read.

What must stay together (a patient's images, and images that show the same picture) stays in
one part; the classes are spread evenly. A file names cases, never paths, and carries hashes
of itself and of the images it was made for.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from featherseg.datasets import Dataset, images_sha256
from featherseg.datasets.layout import load_json, named
from featherseg.duplicates import Duplicates, connected
from featherseg.errors import DataError
from featherseg.storage import sha256_bytes, sha256_json, write_json

SUBSETS = ("train", "validation", "test")
PROTOCOL = "safe"
_SCHEMA = 1
# One fold tests, one validates, the others train.
_FEWEST_FOLDS = 3
_FRACTION_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Split:
    """Which case belongs where.

    Either ``subsets`` (train, validation, test) or ``folds`` is set; both hold case ids.
    ``groups`` maps every id to the group that stays together, ``protocol`` "safe" says that
    no group and no duplicate crosses. ``images_sha256`` is that of the data set.
    """

    layout: str
    seed: int
    protocol: str
    subsets: dict[str, tuple[str, ...]] | None
    folds: tuple[tuple[str, ...], ...] | None
    groups: dict[str, str]
    images_sha256: str
    sha256: str


class _File(BaseModel):
    """The content of a split file, as it must be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal[1]
    layout: str
    seed: int
    protocol: str
    subsets: dict[str, tuple[str, ...]] | None = None
    folds: tuple[tuple[str, ...], ...] | None = None
    groups: dict[str, str]
    images_sha256: str
    sha256: str


def make_split(
    dataset: Dataset,
    duplicates: Duplicates,
    *,
    fractions: Sequence[float] | None = None,
    folds: int | None = None,
    seed: int,
) -> Split:
    """Deal the cases of `dataset` to train, validation and test, or to folds.

    `fractions` are three shares that add up to 1; `folds` is a number of 3 or more. Groups
    are dealt largest first to the part that lacks most of their classes; the same arguments
    give the same split everywhere. Raises DataError for other shares or too few groups.
    """
    shares = _shares(fractions, folds)
    groups = _joined_groups(dataset, duplicates)
    parts = _deal(dataset, groups, shares, seed)
    split = Split(
        layout=dataset.layout,
        seed=seed,
        protocol=PROTOCOL,
        subsets=None if folds else dict(zip(SUBSETS, parts, strict=True)),
        folds=parts if folds else None,
        groups=groups,
        images_sha256=images_sha256(dataset),
        sha256="",
    )
    return replace(split, sha256=sha256_json(_content(split)))


def save_split(split: Split, path: Path) -> None:
    """Write a split file."""
    write_json(path, {**_content(split), "sha256": split.sha256})


def load_split(path: Path) -> Split:
    """Read a split file; DataError where it is not one, or was changed since it was made."""
    split = read_split(path)
    if not is_intact(split):
        raise DataError(
            f"{path}: its content does not fit its sha256, so it was changed after it was made; "
            "make it again with: featherseg data split"
        )
    return split


def read_split(path: Path) -> Split:
    """Read a split file without trusting its hash, to look into it; DataError if it is not one."""
    content = load_json(path)
    keys = {"schema": "schema_"}
    try:
        file = _File.model_validate({keys.get(k, k): v for k, v in dict(content).items()})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]).rstrip("_")
        raise DataError(
            f"{path}: expected a split file of schema {_SCHEMA}, got a problem at '{place}' "
            f"({first['msg']}); make it again with: featherseg data split"
        ) from error
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: expected a split file, got something else") from error
    split = Split(**file.model_dump(exclude={"schema_"}))
    _check_parts(path, split)
    return split


def is_intact(split: Split) -> bool:
    """Whether the content is what its sha256 was made from."""
    return sha256_json(_content(split)) == split.sha256


def subset(split: Split, name: str, fold: int | None = None) -> tuple[str, ...]:
    """The case ids of "train", "validation" or "test".

    Of a split in K folds, `fold` k tests, fold (k + 1) modulo K validates, the rest trains.
    """
    if name not in SUBSETS:
        raise DataError(f"expected a subset out of {', '.join(SUBSETS)}, got '{name}'")
    if split.subsets is not None:
        if fold is not None:
            raise DataError(f"the split has no folds, got fold {fold}; leave it out")
        return split.subsets[name]
    folds = split.folds or ()
    if fold is None or not 0 <= fold < len(folds):
        raise DataError(f"expected a fold from 0 to {len(folds) - 1}, got {fold}")
    validating = (fold + 1) % len(folds)
    held = {"test": folds[fold], "validation": folds[validating]}
    rest = (ids for place, ids in enumerate(folds) if place not in (fold, validating))
    return held[name] if name in held else tuple(name for ids in rest for name in ids)


def check_split(split: Split, dataset: Dataset) -> None:
    """DataError unless `split` was made for exactly these images and masks."""
    if split.layout != dataset.layout:
        raise DataError(
            f"the split was made for other images: for the layout '{split.layout}', "
            f"not '{dataset.layout}'; make one with: featherseg data split"
        )
    present = {case.id for case in dataset.cases}
    missing = [name for name in split.groups if name not in present]
    surplus = [name for name in present if name not in split.groups]
    if missing or surplus:
        lacks = f"; not in the data: {named(missing)}" if missing else ""
        adds = f"; not in the split: {named(sorted(surplus))}" if surplus else ""
        raise DataError(
            f"the split was made for other images than those in {dataset.root}{lacks}{adds}"
        )
    if images_sha256(dataset) != split.images_sha256:
        raise DataError(
            f"the split was made for other images: files in {dataset.root} have the same names "
            "but another content; restore them or make a new split"
        )


def parts_of(split: Split) -> dict[str, tuple[str, ...]]:
    """The parts that nothing may cross: subsets by name, or folds as "fold 0", "fold 1", ..."""
    if split.subsets is not None:
        return split.subsets
    return {f"fold {place}": ids for place, ids in enumerate(split.folds or ())}


def _shares(fractions: Sequence[float] | None, folds: int | None) -> tuple[float, ...]:
    if (fractions is None) == (folds is None):
        raise DataError("expected either fractions or folds; give exactly one of them")
    if folds is not None:
        if folds < _FEWEST_FOLDS:
            raise DataError(
                f"expected at least {_FEWEST_FOLDS} folds (one tests, one validates, the rest "
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


def _joined_groups(dataset: Dataset, duplicates: Duplicates) -> dict[str, str]:
    """Case id -> group, where duplicates join the data set's own groups."""
    own = {case.id: case.group for case in dataset.cases}
    links = [(own[group[0]], own[other]) for group in duplicates.groups for other in group[1:]]
    names = {member: joined[0] for joined in connected(own.values(), links) for member in joined}
    return {name: names[group] for name, group in own.items()}


def _deal(
    dataset: Dataset, groups: dict[str, str], shares: tuple[float, ...], seed: int
) -> tuple[tuple[str, ...], ...]:
    """Give each group, largest first, to the part that lacks most of its classes."""
    classes: dict[str, Counter[str]] = {}
    for case in dataset.cases:
        classes.setdefault(groups[case.id], Counter())[case.label] += 1
    if len(classes) < len(shares):
        raise DataError(
            f"{dataset.root}: expected at least {len(shares)} groups that may be parted, got "
            f"{len(classes)} ({len(dataset.cases)} images); add images or ask for fewer parts"
        )
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
    """Groups, largest first; within a size shuffled by a hash that is the same everywhere."""

    def key(group: str) -> tuple[int, str]:
        return -classes[group].total(), sha256_bytes(f"{seed}:{group}".encode())

    return sorted(classes, key=key)


def _neediest(group: Counter[str], lacking: list[dict[str, float]], parts: Sequence[int]) -> int:
    def need(part: int) -> tuple[float, float]:
        own = sum(count * lacking[part][label] for label, count in group.items())
        return round(own, 9), round(sum(lacking[part].values()), 9)

    return max(parts, key=need)


def _content(split: Split) -> dict[str, Any]:
    """What a file holds besides its own hash: of subsets and folds only what is set."""
    known = {k: v for k, v in asdict(split).items() if k != "sha256" and v is not None}
    return {"schema": _SCHEMA, **known}


def _check_parts(path: Path, split: Split) -> None:
    has_subsets = split.subsets is not None and set(split.subsets) == set(SUBSETS)
    has_folds = split.folds is not None and len(split.folds) >= _FEWEST_FOLDS
    if has_subsets == has_folds or (split.subsets is not None and split.folds is not None):
        raise DataError(
            f"{path}: expected the subsets {', '.join(SUBSETS)}, or at least {_FEWEST_FOLDS} folds"
        )
    listed = [name for ids in parts_of(split).values() for name in ids]
    if sorted(listed) != sorted(split.groups):
        raise DataError(f"{path}: expected every case of 'groups' in exactly one part")

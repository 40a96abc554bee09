"""The split file: what it holds, how it is written and read, and which cases it names."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from featherseg.datasets import Dataset, images_sha256
from featherseg.datasets.layout import load_json, named
from featherseg.errors import DataError
from featherseg.storage import sha256_json, write_json

SUBSETS = ("train", "validation", "test")
_SCHEMA = 1
# One fold tests, one validates, the others train.
FEWEST_FOLDS = 3

Parts = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Split:
    """Which case belongs where.

    Either ``subsets`` (train, validation, test) or ``folds`` is set; both hold case ids.
    ``groups`` maps every id to the group that belongs together, duplicates included. ``protocol``
    "safe" says that no group and no duplicate crosses, "blocks" that folds are runs of neighbors,
    any other name the paper whose way of splitting was followed. ``images_sha256`` is that of the
    whole data set.

    ``excluded`` maps ids that are in no part to the reason, ``notes`` tell choices that were made,
    and ``gap`` is the number of neighbors left out beside held-out folds; None where there is none.
    """

    layout: str
    seed: int
    protocol: str
    subsets: dict[str, tuple[str, ...]] | None
    folds: tuple[tuple[str, ...], ...] | None
    groups: dict[str, str]
    images_sha256: str
    sha256: str
    excluded: dict[str, str] | None = None
    notes: tuple[str, ...] | None = None
    gap: int | None = None


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
    excluded: dict[str, str] | None = None
    notes: tuple[str, ...] | None = None
    gap: int | None = Field(default=None, ge=1)


@dataclass(frozen=True)
class Dealt:
    """Parts that were dealt, and how: what becomes a Split."""

    protocol: str
    seed: int
    parts: tuple[tuple[str, ...], ...]
    groups: dict[str, str]
    in_folds: bool
    notes: tuple[str, ...] = ()
    gap: int = 0


def finished(dataset: Dataset, dealt: Dealt, excluded: Mapping[str, str]) -> Split:
    """The split of `dealt` parts of a data set, with its hashes."""
    kept = {name for part in dealt.parts for name in part}
    split = Split(
        layout=dataset.layout,
        seed=dealt.seed,
        protocol=dealt.protocol,
        subsets=None if dealt.in_folds else dict(zip(SUBSETS, dealt.parts, strict=True)),
        folds=dealt.parts if dealt.in_folds else None,
        groups={name: group for name, group in dealt.groups.items() if name in kept},
        images_sha256=images_sha256(dataset),
        sha256="",
        excluded=dict(excluded) or None,
        notes=dealt.notes or None,
        gap=dealt.gap or None,
    )
    return replace(split, sha256=sha256_json(_content(split)))


def with_note(split: Split, note: str) -> Split:
    """The same split with one more note, and so with another hash."""
    noted = replace(split, notes=(*(split.notes or ()), note))
    return replace(noted, sha256=sha256_json(_content(noted)))


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


def grouped(dataset: Dataset, split: Split) -> Dataset:
    """The data set with the split's groups, which also hold duplicates together."""
    groups = split.groups
    cases = tuple(replace(case, group=groups.get(case.id, case.group)) for case in dataset.cases)
    return replace(dataset, cases=cases)


def subset(split: Split, name: str, fold: int | None = None) -> tuple[str, ...]:
    """The case ids of "train", "validation" or "test".

    Of a split in K folds, `fold` k tests, fold (k + 1) modulo K validates, the rest trains. With
    a gap, cases that near a tested one do not validate, and those near either do not train.
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
    if name == "test":
        return folds[fold]
    if name == "validation":
        near = _near(split, folds[fold])
        return tuple(case for case in folds[validating] if case not in near)
    near = _near(split, folds[fold]) | _near(split, folds[validating])
    rest = (ids for place, ids in enumerate(folds) if place not in (fold, validating))
    return tuple(case for ids in rest for case in ids if case not in near)


def dropped(split: Split, fold: int) -> tuple[str, ...]:
    """The cases that no subset of this fold holds, as they are too near to held-out ones."""
    used = {case for name in SUBSETS for case in subset(split, name, fold)}
    return tuple(case for ids in split.folds or () for case in ids if case not in used)


def check_split(split: Split, dataset: Dataset) -> None:
    """DataError unless `split` was made for exactly these images and masks."""
    if split.layout != dataset.layout:
        raise DataError(
            f"the split was made for other images: for the layout '{split.layout}', "
            f"not '{dataset.layout}'; make one with: featherseg data split"
        )
    present = {case.id for case in dataset.cases}
    known = (*split.groups, *(split.excluded or {}))
    missing = [name for name in known if name not in present]
    surplus = present.difference(known)
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


def _near(split: Split, held_out: tuple[str, ...]) -> set[str]:
    """The cases within the gap of `held_out`, counted in the order of all folds."""
    order = [case for ids in split.folds or () for case in ids]
    held, gap = set(held_out), split.gap or 0
    return {
        order[near]
        for place, case in enumerate(order)
        if case in held
        for near in range(max(0, place - gap), min(len(order), place + gap + 1))
    }


def _content(split: Split) -> dict[str, Any]:
    """What a file holds besides its own hash: of what may be missing, only what is set."""
    known = {k: v for k, v in asdict(split).items() if k != "sha256" and v is not None}
    return {"schema": _SCHEMA, **known}


def _check_parts(path: Path, split: Split) -> None:
    has_subsets = split.subsets is not None and set(split.subsets) == set(SUBSETS)
    has_folds = split.folds is not None and len(split.folds) >= FEWEST_FOLDS
    if has_subsets == has_folds or (split.subsets is not None and split.folds is not None):
        raise DataError(
            f"{path}: expected the subsets {', '.join(SUBSETS)}, or at least {FEWEST_FOLDS} folds"
        )
    listed = [name for ids in parts_of(split).values() for name in ids]
    if sorted(listed) != sorted(split.groups):
        raise DataError(f"{path}: expected every case of 'groups' in exactly one part")
    both = set(listed) & set(split.excluded or {})
    if both:
        raise DataError(f"{path}: expected excluded cases in no part, got {named(sorted(both))}")

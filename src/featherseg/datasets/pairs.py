"""Images and masks of a release, paired by what their names have in common."""

import re
from dataclasses import dataclass
from pathlib import Path

from featherseg.datasets.layout import named, natural_key
from featherseg.errors import DataError

Pairs = dict[str, tuple[Path, Path]]


@dataclass(frozen=True)
class Files:
    """The files of one folder whose whole name a pattern knows.

    The pattern's group `id` is the case's id; `shown` is the pattern for a human's eyes.
    """

    folder: Path
    pattern: re.Pattern[str]
    shown: str


def paired(images: Files, masks: Files) -> Pairs:
    """Id -> (image, mask) in natural order; DataError where either has no partner."""
    found, truth = by_id(images), by_id(masks)
    bare = [path.name for name, path in found.items() if name not in truth]
    if bare:
        raise DataError(
            f"{masks.folder}: expected {masks.shown} for every image, none for {named(bare)}; "
            "add the masks or remove the images"
        )
    orphans = [path.name for name, path in truth.items() if name not in found]
    if orphans:
        raise DataError(
            f"{images.folder}: expected {images.shown} for every mask, none for {named(orphans)}; "
            "add the images or remove the masks"
        )
    return {name: (path, truth[name]) for name, path in found.items()}


def by_id(files: Files) -> dict[str, Path]:
    """Id -> file in natural order; DataError where two files have one id."""
    found: dict[str, Path] = {}
    for path in sorted(files.folder.iterdir(), key=lambda path: natural_key(path.name)):
        matched = files.pattern.fullmatch(path.name)
        if not matched:
            continue
        name = matched["id"]
        if name in found:
            raise DataError(
                f"{files.folder}: expected one {files.shown} of each name, got "
                f"{found[name].name} and {path.name}; remove one of them"
            )
        found[name] = path
    return found


def find_root(folder: Path, parts: tuple[str, ...], nested: tuple[str, ...], what: str) -> Path:
    """The first of `folder` and its subfolders `nested` that has all `parts`, or DataError."""
    for root in (folder, *(folder / name for name in nested)):
        if all((root / part).exists() for part in parts):
            return root
    missing = " and no ".join(part for part in parts if not (folder / part).exists())
    raise DataError(
        f"{folder}: expected {what} with {' and '.join(parts)}, found no {missing}; "
        "give the folder that holds them"
    )

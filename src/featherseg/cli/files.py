"""File arguments of the verbs: which images they mean, where results may go, what failed."""

import glob
from collections.abc import Sequence
from pathlib import Path

import typer

from featherseg.errors import ImageError, StorageError
from featherseg.images.raster import SUFFIXES


def find_images(arguments: Sequence[str]) -> list[Path]:
    """The files that paths, folders and glob patterns name, in order, each once.

    A folder means its own image files (by suffix; folders inside it are not entered), sorted. A
    name that exists is never taken as a pattern, so brackets in file names are safe. Raises
    ImageError for an argument that names nothing.
    """
    found: dict[Path, Path] = {}
    for argument in arguments:
        for path in _named(argument):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _named(argument: str) -> list[Path]:
    path = Path(argument)
    if path.is_file():
        return [path]
    if path.is_dir():
        matches = [child for child in sorted(path.iterdir()) if child.suffix.lower() in SUFFIXES]
    else:
        matches = [Path(match) for match in sorted(glob.glob(argument, recursive=True))]
    images = [match for match in matches if match.is_file()]
    if not images:
        raise ImageError(
            f"{argument}: expected an image file, a folder with PNG, JPEG, TIFF or PPM images, "
            "or a pattern such as 'scans/*.png', found none"
        )
    return images


def refuse_occupied(out: Path, overwrite: bool) -> None:
    """Raise StorageError for a file, and for a folder with files unless `overwrite` is set."""
    if out.exists() and not out.is_dir():
        raise StorageError(f"--out {out}: expected a folder, found a file; choose another")
    if not overwrite and out.is_dir() and any(out.iterdir()):
        raise StorageError(
            f"--out {out} is not empty; choose another folder, or add --overwrite to replace "
            "the files in it"
        )


def end_with_errors(errors: Sequence[dict[str, str]]) -> None:
    """List the inputs that could not be used on stderr and exit with 1, if there are any."""
    if not errors:
        return
    typer.echo(f"{len(errors)} could not be used:", err=True)
    for each in errors:
        typer.echo(f"  {each['error']}", err=True)
    raise typer.Exit(1)

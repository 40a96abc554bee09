"""Where a bundle is written: nothing stands there until all of it is complete."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from featherseg.bundle import FILES, MANIFEST_FILE
from featherseg.errors import StorageError


def check_place(out: Path, overwrite: bool) -> None:
    """Raise StorageError unless `out` is free or, with `overwrite`, a bundle and nothing else."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise StorageError(f"--out {out}: expected a folder, found something else")
    names = {child.name for child in out.iterdir()} if out.is_dir() else set()
    if names and not overwrite:
        raise StorageError(
            f"--out {out} is not empty; choose another folder, or add --overwrite to replace "
            "a bundle that stands there"
        )
    foreign = sorted(names - FILES - {MANIFEST_FILE})
    if foreign:
        raise StorageError(
            f"--out {out} holds files that are no part of a bundle ({', '.join(foreign[:3])}); "
            "choose another folder"
        )


@contextlib.contextmanager
def built_beside(out: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `out` when the block succeeds."""
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            new, old = Path(scratch) / "new", Path(scratch) / "old"
            new.mkdir()
            yield new
            _swap(new, out, old)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}") from error


def _swap(new: Path, out: Path, old: Path) -> None:
    """Rename `new` to `out` and what stood there to `old`; on an error `out` is as before."""
    if out.exists():
        os.replace(out, old)
    try:
        os.replace(new, out)
    except OSError:
        if old.exists():
            os.replace(old, out)
        raise

"""The run folder: who may write into it, and what stands there from the start."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from featherseg.errors import RunError
from featherseg.storage import locked, write_json, write_text
from featherseg.train.checkpoint import Progress
from featherseg.train.distributed import is_first
from featherseg.train.files import AUTO_FILE, LOG_FILE, RECIPE_FILE, SPLIT_FILE
from featherseg.train.recipe import Recipe, load_recipe, to_yaml

# What a run that was killed while it wrote a file leaves (storage.replacing).
_HALF_WRITTEN = ".*.tmp"


def check_folder(out: Path, recipe: Recipe, resume: bool) -> None:
    """Refuse a folder that holds something else, or a run that was not asked to be resumed.

    Of several processes only the first looks: the others may come when it has begun to write.
    """
    if not is_first():
        return
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: expected a folder for the run, found a file")
    entries = list(out.iterdir()) if out.is_dir() else []
    present = {each.name for each in entries if not each.match(_HALF_WRITTEN)}
    present -= {".lock", AUTO_FILE}
    if not present:
        return
    if not resume:
        raise RunError(
            f"{out} is not empty; go on with the run in it by --resume, or choose another --out"
        )
    if RECIPE_FILE not in present:
        raise RunError(f"{out} holds no run to resume (no {RECIPE_FILE}); choose another --out")
    before = load_recipe(out / RECIPE_FILE)
    changed = [name for name in vars(recipe) if getattr(before, name) != getattr(recipe, name)]
    if changed:
        raise RunError(
            f"{out}: the recipe has changed in {', '.join(changed)} since this run began; "
            "resume with the same settings or choose another --out"
        )


@contextmanager
def held(out: Path, recipe: Recipe, provenance: Mapping[str, Any]) -> Iterator[None]:
    """Hold the folder for one training and write what is known before it begins."""
    if not is_first():
        yield
        return
    with locked(out, "training"):
        for leftover in out.glob(_HALF_WRITTEN):
            leftover.unlink()
        write_text(out / RECIPE_FILE, to_yaml(recipe))
        if "split" in provenance:
            write_json(out / SPLIT_FILE, provenance["split"])
        yield


def write_log(out: Path, done: Progress) -> None:
    """One line an epoch, written anew so that a resumed run has no line of a lost epoch."""
    lines = [json.dumps(entry, allow_nan=False) + "\n" for entry in done.history]
    write_text(out / LOG_FILE, "".join(lines))

"""What `train --sweep` does: runs in turn, a table, and the one that validates best."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featherseg.train.recipe import Recipe
    from featherseg.train.sweep import Result, Trial

    Planned = Sequence[tuple[Trial, Recipe]]


def plan_sweep(
    source: str, settings: Sequence[str], sweeps: Sequence[str], validation: Sequence[str]
) -> "Planned":
    """The trials and their recipes, checked before anything is trained.

    `validation` are the cases to choose by.
    """
    from featherseg.errors import DataError
    from featherseg.train.recipe import load_recipe
    from featherseg.train.sweep import check_comparable, make_trials

    if not validation:
        raise DataError(
            "a sweep chooses by validation images, and this split has none; make one that has"
        )
    planned = [
        (trial, load_recipe(source, [*settings, *trial.settings])) for trial in make_trials(sweeps)
    ]
    check_comparable([recipe for _, recipe in planned])
    return planned


def run_sweep(
    planned: "Planned",
    out: Path,
    fit_into: "Callable[[Recipe, Path], object]",
    provenance: Mapping[str, Any],
    *,
    resume: bool,
) -> "list[Result]":
    """Train what is not finished yet; `fit_into` trains a recipe into a folder.

    Folders that are in the way are refused before the first training.
    """
    from featherseg.cli.console import remarks
    from featherseg.errors import RunError
    from featherseg.train.files import RECIPE_FILE
    from featherseg.train.folder import check_folder
    from featherseg.train.sweep import is_finished, run_trials

    if (out / RECIPE_FILE).exists():
        raise RunError(f"{out} holds a single run; choose another --out for a sweep")
    finished = set()
    for trial, recipe in planned:
        folder = out / trial.name
        if is_finished(folder, recipe, provenance):
            finished.add(folder)
        else:
            check_folder(folder, recipe, resume)

    def train(recipe: "Recipe", folder: Path) -> None:
        state = "finished before" if folder in finished else "training"
        remarks().print(f"{folder.name}: {state}", markup=False, soft_wrap=True)
        if folder not in finished:
            fit_into(recipe, folder)

    return run_trials(planned, out, train)


def finish_sweep(
    results: "Sequence[Result]", planned: "Planned", out: Path, begun: tuple[str, Sequence[str]]
) -> str:
    """Write sweep.json, print the table, and give the name of the folder that was chosen.

    `begun` is the recipe and the settings that all trials began with.
    """
    from featherseg.storage import write_json
    from featherseg.train.sweep import SWEEP_FILE, choose, sweep_content

    select = planned[0][1].select
    chosen = choose(results, select)
    write_json(out / SWEEP_FILE, sweep_content(results, chosen, select, begun))
    _print_table(results, chosen)
    return chosen.trial.name


def _print_table(results: "Sequence[Result]", chosen: "Result") -> None:
    """A table of the trials; the chosen one is marked."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from featherseg.cli.console import output

    table = Table(*("settings", "epoch", "validation Dice", "validation loss", ""), box=SIMPLE_HEAD)
    for result in results:
        name = Text(", ".join(result.trial.settings))
        if result.best is None:
            table.add_row(name, "-", "-", "-", "diverged")
            continue
        scores = (f"{result.best[key]:.4f}" for key in ("validation_dice", "validation_loss"))
        mark = "chosen" if result is chosen else ""
        table.add_row(name, str(result.best["epoch"]), *scores, mark)
    output().print(table)

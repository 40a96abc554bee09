"""`featherseg train`: a recipe, a data set and a split become a run folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from featherseg.train.loop import Tick


def train(
    recipe: Annotated[
        str, typer.Argument(help="A built-in recipe (see `featherseg recipes`) or a YAML file.")
    ],
    data: Annotated[Path, typer.Option(help="The data set's folder, or a pack file of it.")],
    split: Annotated[Path, typer.Option(help="A split file of `featherseg data split`.")],
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    layout: Annotated[
        str | None, typer.Option(help="How the folder is arranged; a pack file knows it.")
    ] = None,
    fold: Annotated[int | None, typer.Option(help="Which fold tests, of a split in folds.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one setting of the recipe."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")
    ] = False,
) -> None:
    """Train a network into a run folder.

    The folder holds weights, curves, log and all that export needs. An interrupted run goes on
    with the same command and --resume, and ends with the weights it would have had.

    Examples:

    featherseg train simplified_unet --data BUSI --layout busi --split split.json --out runs/first
    --set input_size=256

    featherseg train lighter_unet --data busi256.pack --split split.json --out runs/lighter
    --set network=lighter_unet_128 --set augment.affine=0
    """
    from featherseg.extras import require

    require("train", "evaluate")
    from featherseg.cli.console import tracked
    from featherseg.splits import load_split, subset
    from featherseg.train.data import packed_for, provenance_of
    from featherseg.train.loop import check_folder, fit
    from featherseg.train.recipe import load_recipe

    chosen = load_recipe(recipe, settings or [])
    made = load_split(split)
    subsets = {name: subset(made, name, fold) for name in ("train", "validation")}
    check_folder(out, chosen, resume)
    packed = packed_for(
        chosen, data, layout, made, progress=lambda cases: tracked(cases, "packing")
    )
    provenance = provenance_of(made, split, fold)
    with training_progress() as tell:
        fit(chosen, packed, subsets, out, resume=resume, provenance=provenance, progress=tell)
    folder = data if data.is_dir() else "DIR"
    held = "" if fold is None else f" --fold {fold}"
    _say_next(out, f"--data {folder} --layout {made.layout} --split {split}{held}")


def _say_next(out: Path, given: str) -> None:
    """Print where the run is and the commands that follow; `given` are their options."""
    from featherseg.cli.console import output

    for line in (
        f"trained: {out}",
        "next:",
        f"  featherseg evaluate {out} {given} --subset test --out {out}/test",
        f"  featherseg export {out} --out {out}/bundle",
    ):
        output().print(line, markup=False, soft_wrap=True)


@contextmanager
def training_progress() -> "Iterator[Callable[[Tick], None]]":
    """A display of epochs, loss, validation Dice and time left on stderr, as a function to tell."""
    from rich.progress import TextColumn

    from featherseg.cli.console import progress_bar

    columns = (
        TextColumn("loss {task.fields[loss]}"),
        TextColumn("Dice {task.fields[dice]}"),
    )
    with progress_bar(*columns) as bar:
        task = bar.add_task("training", total=None, loss="-", dice="-")

        def tell(tick: "Tick") -> None:
            done = (tick.epoch - 1) * tick.steps + tick.step
            if bar.tasks[0].total is None:
                # A resumed run begins here: what it skips must not count as speed.
                bar.reset(task, total=tick.epochs * tick.steps, completed=done)
            dice = "-" if tick.validation_dice is None else f"{tick.validation_dice:.3f}"
            epoch = f"epoch {tick.epoch}/{tick.epochs}"
            bar.update(task, description=epoch, completed=done, loss=f"{tick.loss:.4f}", dice=dice)

        yield tell

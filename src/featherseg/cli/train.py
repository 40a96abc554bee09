"""`featherseg train`: a recipe, a data set and a split become a run folder."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from featherseg.datasets.pack import Packed
    from featherseg.splits import Split
    from featherseg.train.recipe import Recipe


@dataclass(frozen=True)
class _Given:
    """The data and the settings that were asked for."""

    data: Path
    layout: str | None
    split: "Split"
    fold: int | None
    settings: Sequence[str]


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
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V1,V2,...",
            help="Train with each value and choose on validation images; several make a grid.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write curves for TensorBoard, too.")
    ] = False,
) -> None:
    """Train a network into a run folder.

    The folder holds weights, curves, log and all that export needs. An interrupted run goes on
    with the same command and --resume, and ends with the weights it would have had.

    The recipe `auto` is chosen from the training images and this machine, and written with its
    reasons to OUT/auto.yaml. --sweep trains OUT/KEY=V1, OUT/KEY=V2, ... and says which one
    validates best; finished ones are not trained again.

    Examples:

    featherseg train simplified_unet --data BUSI --layout busi --split split.json --out runs/first
    --set input_size=256

    featherseg train lighter_unet --data busi256.pack --split split.json --out runs/lighter
    --set network=lighter_unet_128 --set augment.affine=0

    featherseg train auto --data DIR --layout folder --split split.json --out runs/auto

    featherseg train simplified_unet --data DIR --layout folder --split split.json --out runs/mine
    --set initial_weights=runs/first

    featherseg train lighter_unet --data DIR --split split.json --out runs/decay
    --sweep weight_decay=1e-2,1e-3,1e-4,1e-5,0
    """
    from featherseg.extras import require

    require("train", "evaluate", *(["tensorboard"] if tensorboard else []))
    from featherseg.cli.sweep import finish_sweep, plan_sweep, run_sweep
    from featherseg.splits import load_split, subset
    from featherseg.train.auto import AUTO
    from featherseg.train.data import provenance_of
    from featherseg.train.distributed import is_first
    from featherseg.train.folder import check_folder
    from featherseg.train.recipe import load_recipe

    if recipe == AUTO or sweep:
        _refuse_several_processes()
    made = load_split(split)
    provenance = provenance_of(made, split, fold)
    given = _Given(data, layout, made, fold, settings or [])
    source = _auto_file(given, out, resume, bool(sweep)) if recipe == AUTO else recipe
    fit_into = _fitting(given, provenance, resume=resume, tensorboard=tensorboard)
    folder = out
    if sweep:
        planned = plan_sweep(source, given.settings, sweep, subset(made, "validation", fold))
        results = run_sweep(planned, out, fit_into, provenance, resume=resume)
        folder = out / finish_sweep(results, planned, out, (recipe, given.settings))
    else:
        chosen = load_recipe(source, given.settings)
        check_folder(out, chosen, resume)
        fit_into(chosen, out)
    if is_first():
        where = data if data.is_dir() else "DIR"
        held = "" if fold is None else f" --fold {fold}"
        _say_next(folder, f"--data {where} --layout {made.layout} --split {split}{held}")


def _refuse_several_processes() -> None:
    """What reads the machine, or chooses among runs, is done once and not by each process."""
    from torch import distributed

    from featherseg.errors import RunError

    if distributed.is_torchelastic_launched():
        raise RunError(
            "the recipe auto and --sweep are for a single process, not for torchrun; write the "
            "recipe first (featherseg recipes auto ... > auto.yaml) and train each value by --set"
        )


def _auto_file(given: _Given, out: Path, resume: bool, is_sweep: bool) -> str:
    """OUT/auto.yaml: as it stands where runs go on or join a sweep, else chosen now."""
    from featherseg.cli.auto import choose_recipe
    from featherseg.errors import RunError
    from featherseg.storage import write_text
    from featherseg.train.files import AUTO_FILE
    from featherseg.train.folder import check_folder

    path = out / AUTO_FILE
    if path.is_file() and not (resume or is_sweep):
        raise RunError(
            f"{path} stands there already; train it by --resume, or choose another --out"
        )
    if not path.is_file():
        chosen, text = choose_recipe(
            given.data, given.layout, given.split, fold=given.fold, settings=given.settings
        )
        if not is_sweep:
            check_folder(out, chosen, resume)
        write_text(path, text)
    return str(path)


def _fitting(
    given: _Given, provenance: "Mapping[str, Any]", *, resume: bool, tensorboard: bool
) -> "Callable[[Recipe, Path], None]":
    """A function that trains a recipe into a folder; data are packed once for all of one size.

    Of several processes only the first shows how far it is.
    """
    from featherseg.cli.console import tracked
    from featherseg.cli.training_progress import training_progress
    from featherseg.splits import subset
    from featherseg.train.data import packed_for
    from featherseg.train.distributed import is_first
    from featherseg.train.loop import fit

    shown = is_first()
    subsets = {name: subset(given.split, name, given.fold) for name in ("train", "validation")}
    packs: dict[object, Packed] = {}

    def fit_into(recipe: "Recipe", folder: Path) -> None:
        size = (recipe.input_size, recipe.in_channels)
        if size not in packs:
            packs.clear()
            packs[size] = packed_for(
                recipe,
                given.data,
                given.layout,
                given.split,
                (lambda cases: tracked(cases, "packing")) if shown else iter,
            )
        with training_progress() if shown else nullcontext(None) as tell:
            fit(
                recipe,
                packs[size],
                subsets,
                folder,
                resume=resume,
                provenance=provenance,
                progress=tell,
                tensorboard=tensorboard,
            )

    return fit_into


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

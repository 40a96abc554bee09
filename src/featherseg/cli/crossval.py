"""`featherseg crossval`: a recipe scored on every image, each by a network that had not seen it."""

from pathlib import Path
from typing import Annotated

import typer

from featherseg.cli.options import SummaryAsJson


def crossval(
    recipe: Annotated[
        str, typer.Argument(help="A built-in recipe (see `featherseg recipes`) or a YAML file.")
    ],
    data: Annotated[Path, typer.Option(help="The data set's folder.")],
    split: Annotated[Path, typer.Option(help="A split in folds: `featherseg data split --folds`.")],
    out: Annotated[Path, typer.Option(help="The folder to fill.")],
    layout: Annotated[
        str | None, typer.Option(help="How the data are arranged; None: as the split says.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one setting of the recipe."),
    ] = None,
    final: Annotated[
        bool, typer.Option("--final", help="Then train on all images, for export.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep what is finished in --out, and go on.")
    ] = False,
    as_json: SummaryAsJson = False,
) -> None:
    """Train and score every fold of a split.

    OUT gets fold_0, fold_1, ... (each a run with the scores of its own test
    images), and cases.csv, summary.json and report.html of all images. The
    same command with --resume goes on where it was interrupted.

    --final trains on all images too, into OUT/final. No image is then left to
    choose anything on: the recipe must keep the last epoch, and the operating
    point is chosen on what the folds' networks found in images they had not
    seen. The bundle that is made of it has the cross-validated score in its card.

    Examples:

      featherseg data split HC18 --layout hc18 --folds 5 --out folds.json

      featherseg crossval fetal_head --data HC18 --split folds.json --out heads --final

      featherseg export heads/final --out bundle --weights fp16
    """
    from featherseg.extras import require

    require("train", "evaluate")
    from featherseg.cli.console import output, print_json
    from featherseg.cli.scores import print_summary
    from featherseg.cli.show import terminal_show
    from featherseg.crossval import FINAL, CrossValidation, cross_validate, load_folds
    from featherseg.train.recipe import load_recipe

    folds = load_folds(split)
    chosen = load_recipe(recipe, settings or [])
    made = CrossValidation(chosen, data, layout or folds.layout, folds, out)
    summary = cross_validate(made, terminal_show(), final=final, resume=resume)
    if as_json:
        print_json(summary)
        return
    print_summary(summary)
    output().print(f"cases.csv, summary.json and report.html are in {out}", markup=False)
    if final:
        output().print(
            f"next: featherseg export {out / FINAL} --out {out / 'bundle'} --weights fp16",
            markup=False,
            soft_wrap=True,
        )

"""`featherseg recipes`: the built-in recipes, the text of one, or one chosen from the data."""

from pathlib import Path
from typing import Annotated

import typer


def recipes(
    name: Annotated[
        str | None,
        typer.Argument(help="Print this recipe as YAML; `auto` chooses one from --data."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Of `auto`: the data set's folder, or a pack file of it.")
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="Of `auto`: a split file of `featherseg data split`.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Of `auto`: how the folder is arranged.")
    ] = None,
    fold: Annotated[int | None, typer.Option(help="Of `auto`: which fold tests.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Of `auto`: change one setting."),
    ] = None,
) -> None:
    """List the built-in recipes, print one, or print what `train auto` would choose.

    Examples:

    featherseg recipes

    featherseg recipes simplified_unet > mine.yaml

    featherseg recipes auto --data DIR --layout folder --split split.json > mine.yaml
    """
    from featherseg.extras import require

    require("train")
    from featherseg.errors import RecipeError
    from featherseg.train.auto import AUTO
    from featherseg.train.recipe import recipe_text

    if name == AUTO:
        if data is None or split is None:
            raise RecipeError(f"'{AUTO}' is chosen from training images; give --data and --split")
        typer.echo(_chosen(data, split, layout, fold, settings or []), nl=False)
        return
    if data or split or layout or fold is not None or settings:
        raise RecipeError(
            f"--data, --split, --layout, --fold and --set belong to `featherseg recipes {AUTO}`, "
            f"got {f'the recipe {name!r}' if name else 'no name'}"
        )
    if name:
        typer.echo(recipe_text(name), nl=False)
        return
    _list()


def _chosen(
    data: Path, split: Path, layout: str | None, fold: int | None, settings: list[str]
) -> str:
    from featherseg.cli.auto import choose_recipe
    from featherseg.splits import load_split

    _, text = choose_recipe(data, layout, load_split(split), fold=fold, settings=settings)
    return text


def _list() -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from featherseg.cli.console import output
    from featherseg.train.recipe import RECIPES, load_recipe

    # Fits a terminal of 80 columns.
    table = Table(
        *("recipe", "network", "input", "epochs", "batch", "loss"),
        box=SIMPLE_HEAD,
        padding=0,
        show_edge=False,
    )
    for each in RECIPES:
        recipe = load_recipe(each)
        size = "x".join(str(side) for side in recipe.input_size)
        numbers = (recipe.epochs, recipe.batch_size)
        table.add_row(each, recipe.network, size, *map(str, numbers), recipe.loss)
    output().print(table)
    output().print(
        "auto is chosen from your images: featherseg recipes auto --data DIR --split FILE",
        markup=False,
        soft_wrap=True,
    )

"""`featherseg recipes`: the built-in recipes, or the text of one."""

from typing import Annotated

import typer


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe as YAML.")] = None,
) -> None:
    """List the built-in recipes, or print one.

    Example: featherseg recipes simplified_unet > mine.yaml
    """
    from featherseg.extras import require

    require("train")
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from featherseg.cli.console import output
    from featherseg.train.recipe import RECIPES, load_recipe, recipe_text

    if name:
        typer.echo(recipe_text(name), nl=False)
        return
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

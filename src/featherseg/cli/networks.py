"""`featherseg networks`: every network's size and cost beside its paper's."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

_MILLION = 1e6


def networks(
    name: Annotated[str | None, typer.Argument(help="Show one network's card.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the cards as JSON.")] = False,
) -> None:
    """List the networks, their sizes and the published ones.

    Examples: featherseg networks --json; featherseg networks lighter_unet_16
    """
    from featherseg.extras import require

    require("train")
    from featherseg.cli.console import output, print_json
    from featherseg.compress.card import card, cards, story

    chosen = [card(name)] if name else cards()
    if as_json:
        print_json(chosen)
        return
    output().print(_table(chosen))
    for each in chosen:
        if each["note"]:
            output().print(f"{each['name']}: {each['note']}", markup=False)
    if name:
        output().print(f"\n{story(name)}", markup=False)


def _table(chosen: list[dict[str, Any]]) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    # Fits a terminal of 80 columns.
    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption="GMACs: 10^9 multiply-accumulates for one image of the input size",
    )
    for column in ("network", "status"):
        table.add_column(column, no_wrap=True)
    for column in ("parameters", "published", "GMACs", "published", "input"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in chosen:
        row = each["published"][0]
        table.add_row(
            each["name"],
            each["status"],
            f"{each['parameters']:,}",
            _published(row["parameters"], each["status"]),
            f"{each['gmacs']:.2f}",
            "" if row["gflops"] is None else f"{row['gflops']:g}",
            "x".join(str(side) for side in each["input_size"]),
        )
    return table


def _published(parameters: int, status: str) -> str:
    """The count as printed: every digit, or millions."""
    return f"{parameters:,}" if status == "exact" else f"{parameters / _MILLION:.1f} M"

"""`featherseg networks`: every network's size and cost beside its paper's."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

_MILLION = 1e6
# As long as the longest name, so that the tables of several papers stand in line.
_NAME_WIDTH = 25
_LEGEND = """\
GMACs: 10^9 multiply-accumulates for one image of the input size.
diff.: against what the paper counts (LAEDNet: with running statistics; AL-Net: branches merged).
exact: every digit; match: the digits printed; fit: the nearest reading of an incomplete text;
ours: designed here.
One network: featherseg networks NAME"""
_WEIGHTS = {
    "parameters": "trainable",
    "total": "with running statistics",
    "reparameterized": "branches merged",
    "fused": "batch norms folded as well",
}


def networks(
    name: Annotated[str | None, typer.Argument(help="Show one network's card.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the cards as JSON.")] = False,
) -> None:
    """List the networks, their sizes and the published ones.

    Examples: featherseg networks --json; featherseg networks lighter_unet_16
    """
    from featherseg.extras import require

    require("train")
    from featherseg.cli.console import print_json, tracked
    from featherseg.compress.card import card
    from featherseg.networks import NETWORKS

    names = [name] if name else list(NETWORKS)
    chosen = [card(each) for each in tracked(names, "Counting")]
    if as_json:
        print_json(chosen)
    elif name:
        _print_card(chosen[0])
    else:
        _print_overview(chosen)


def _table(*columns: str, title: str | None = None) -> "Table":
    """A table whose first column is text and whose other columns are numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=True)
    return table


def _print_overview(chosen: Iterable[Mapping[str, Any]]) -> None:
    from featherseg.cli.console import output

    out = output()
    for (paper, size), group in groupby(chosen, key=_paper_and_size):
        title = f"{paper}, input {size}"
        table = _table(
            *("network", "status", "parameters", "published", "diff.", "GMACs"), title=title
        )
        table.columns[0].min_width = _NAME_WIDTH
        notes = []
        for each in group:
            table.add_row(*_overview_row(each))
            if each["note"]:
                notes.append(f"{each['name']}: {each['note']}")
        out.print(table)
        for note in notes:
            out.print(note, markup=False)
        out.print()
    out.print(_LEGEND)


def _paper_and_size(card: Mapping[str, Any]) -> tuple[str, str]:
    return card["paper"], "x".join(str(side) for side in card["input_size"])


def _overview_row(card: Mapping[str, Any]) -> tuple[str, ...]:
    first = card["published"][0] if card["published"] else None
    return (
        card["name"],
        card["status"],
        f"{card['parameters']:,}",
        _published(first["parameters"], card["status"]) if first else "",
        _percent(first["difference_percent"], 1) if first else "",
        f"{card['gmacs']:.2f}",
    )


def _published(parameters: int, status: str) -> str:
    """The count as printed: every digit, or millions."""
    return f"{parameters:,}" if status == "exact" else f"{parameters / _MILLION:.2f} M"


def _percent(value: float, digits: int) -> str:
    # Adding 0 makes a negative zero positive.
    return f"{round(value, digits) + 0.0:+.{digits}f} %"


def _print_card(card: Mapping[str, Any]) -> None:
    from featherseg.cli.console import output
    from featherseg.compress.card import layers, story
    from featherseg.networks import network_options

    name, out = card["name"], output()
    out.print(f"[bold]{name}[/bold], {card['paper']}: {card['status']}")
    sizes = _table("parameters", "")
    for key, words in _WEIGHTS.items():
        sizes.add_row(words, f"{card[key]:,}")
    sizes.add_row(
        f"10^9 multiply-accumulates at {_paper_and_size(card)[1]}", f"{card['gmacs']:.3f}"
    )
    out.print(sizes)
    if card["published"]:
        out.print(_published_table(card["published"]))
    if card["note"]:
        out.print(card["note"], markup=False)
    options = ", ".join(f"{key}={value!r}" for key, value in network_options(name).items())
    out.print(f"Options: {options}", markup=False)
    modules = _table("module", "kind", "output", "parameters")
    for row in layers(name):
        modules.add_row(
            row["name"],
            row["kind"],
            "x".join(str(side) for side in row["shape"]),
            f"{row['parameters']:,}",
        )
    out.print(modules)
    out.print(f"\n{story(name)}", markup=False)


def _published_table(rows: Iterable[Mapping[str, Any]]) -> "Table":
    table = _table("published in", "table", "parameters", "diff.", "GFLOPs", "MB")
    for row in rows:
        table.add_row(
            row["paper"],
            row["table"],
            f"{row['parameters']:,}",
            _percent(row["difference_percent"], 2),
            *("" if row[key] is None else f"{row[key]:g}" for key in ("gflops", "mb")),
        )
    return table

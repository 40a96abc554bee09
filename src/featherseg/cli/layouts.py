"""`featherseg data layouts`: which data sets are read, and what is known of each."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from featherseg.datasets import Layout

LayoutName = Annotated[
    str, typer.Option("--layout", help="How it is arranged; see `featherseg data layouts`.")
]


def layouts(
    as_json: Annotated[bool, typer.Option("--json", help="Print the layouts as JSON.")] = False,
) -> None:
    """List what --layout takes: images, groups, license and citation of each.

    Counts are those of the official release; an audit says where yours differ. Images of one
    group never part in a split.

    Example: featherseg data layouts --json
    """
    from featherseg.cli.console import print_json
    from featherseg.datasets import DATASETS

    known = [_described(name, layout) for name, layout in DATASETS.items()]
    if as_json:
        print_json(known)
    else:
        _print(known)


def _described(name: str, layout: "Layout") -> dict[str, Any]:
    return {
        "name": name,
        "about": layout.about,
        "expected": dict(layout.expected) if layout.expected else None,
        "groups": layout.groups,
        "license": layout.license,
        "citation": layout.citation,
    }


def _print(known: list[dict[str, Any]]) -> None:
    """A block for each layout: a table of so many columns would not fit a terminal."""
    from rich.table import Table
    from rich.text import Text

    from featherseg.cli.console import output

    for each in known:
        output().print(Text.assemble((each["name"], "bold"), f"  {each['about']}"))
        facts = Table.grid(padding=(0, 1), pad_edge=True)
        for word, fact in (
            ("images", _counts(each["expected"])),
            ("together", each["groups"]),
            ("license", each["license"]),
            ("cite", each["citation"]),
        ):
            if fact:
                facts.add_row(Text(f"  {word}", "dim"), Text(fact))
        output().print(facts)
        output().print()


def _counts(expected: Mapping[str, int] | None) -> str:
    """For example "780: 437 benign, 210 malignant, 133 normal"."""
    if not expected:
        return ""
    total = str(sum(expected.values()))
    parts = ", ".join(f"{count} {label}" for label, count in expected.items())
    return f"{total}: {parts}" if len(expected) > 1 else total

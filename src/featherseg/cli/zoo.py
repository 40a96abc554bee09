"""`featherseg zoo`: the bundles that come with the package."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from featherseg.zoo import ZooEntry


def zoo(
    name: Annotated[str | None, typer.Argument(help="Show one bundle's card.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the trained bundles that come with featherseg.

    `predict --zoo NAME` runs one; elsewhere zoo:NAME stands for its folder.

    Examples:

      featherseg zoo

      featherseg zoo fetal-head

      featherseg predict --zoo fetal-head image.png --out masks
    """
    from featherseg.bundle import CARD_FILE
    from featherseg.cli.console import print_json
    from featherseg.zoo import ZOO, zoo_bundle

    folder = zoo_bundle(name) if name else None
    described = [_described(ZOO[each]) for each in ([name] if name else ZOO)]
    if as_json:
        print_json(described)
    elif folder is not None:
        typer.echo((folder / CARD_FILE).read_text(encoding="utf-8"), nl=False)
    else:
        _print_table(described)


def _described(entry: "ZooEntry") -> dict[str, Any]:
    """What is known of a bundle; its own facts are there where it is installed."""
    from featherseg.bundle import load_bundle
    from featherseg.zoo import is_installed

    known: dict[str, Any] = {
        "name": entry.name,
        "finds": entry.finds,
        "data": entry.data,
        "license": entry.license,
        "citation": entry.citation,
        "installed": is_installed(entry),
    }
    if not known["installed"]:
        return known
    bundle = load_bundle(entry.folder)
    manifest = bundle.manifest
    cross_validation = manifest.cross_validation
    return {
        **known,
        "bundle": bundle.id,
        "network": manifest.network.name,
        "input_size": list(manifest.preprocessing.input_size),
        "parameters": manifest.parameters,
        "size_mb": round(bundle.size_mb, 2),
        "cross_validation": cross_validation.model_dump() if cross_validation else None,
    }


def _print_table(described: Iterable[Mapping[str, Any]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from featherseg.cli.console import output

    # Fits a terminal of 80 columns.
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("what it is")
    for each in described:
        table.add_row(each["name"], "\n".join(_about(each)))
        table.add_section()
    output().print(table)
    output().print(
        "Dice: mean over images with something to find, each scored by a network that had not "
        "seen it (cross-validation), with its 95 % interval. No bundle is a medical device.\n"
        "One card: featherseg zoo NAME",
        markup=False,
    )


def _about(described: Mapping[str, Any]) -> Iterator[str]:
    """What it finds, the network, its score, its data; one line each."""
    yield described["finds"]
    if described["installed"]:
        height, width = described["input_size"]
        yield (
            f"{described['network']}, {described['parameters'] / 1e6:.2f} M parameters, input "
            f"{height}x{width}, {described['size_mb']:.1f} MB"
        )
        yield f"Dice {_dice(described['cross_validation'])}"
    else:
        yield "not installed"
    yield f"trained on {described['data']} ({described['license']})"


def _dice(cross_validation: Mapping[str, Any] | None) -> str:
    score = (cross_validation or {}).get("scores", {}).get("dice_lesion")
    if score is None:
        return "-"
    known = score["low"] is not None and score["high"] is not None
    interval = f" ({score['low']:.3f} to {score['high']:.3f})" if known else ""
    return f"{score['mean']:.3f}{interval}"

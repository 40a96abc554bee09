"""`featherseg data`: look into a data set, split it, pack it, or simulate one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featherseg.cli import export_data, split_data
from featherseg.cli.console import output, print_json, remarks, tracked
from featherseg.errors import DataError, StorageError

if TYPE_CHECKING:
    from featherseg.audit import Audit

app = typer.Typer(
    help="Audit, split, pack or simulate a data set.",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder.")]
LayoutName = Annotated[
    str, typer.Option("--layout", help="How the folder is arranged: busi, folder or phantom.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what stands at --out.")]

# How many names a table cell lists.
_LISTED = 3


@app.command()
def audit(
    folder: Folder,
    layout: LayoutName,
    split: Annotated[
        Path | None, typer.Option(help="A split file to look through for leaks.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Find duplicates, contradictions, damaged files and bad masks.

    Ends with status 1 where files are damaged or a duplicate crosses the split.

    Example: featherseg data audit BUSI --layout busi --split split.json
    """
    from featherseg.audit import audit as audit_dataset
    from featherseg.datasets import load_dataset
    from featherseg.splits import check_split, read_split

    dataset = load_dataset(folder, layout)
    given = read_split(split) if split else None
    if given:
        check_split(given, dataset)
    findings = audit_dataset(dataset, given, lambda cases: tracked(cases, "reading"))
    if as_json:
        print_json(findings.to_json())
    else:
        _print_findings(findings)
    if not findings.is_usable:
        raise typer.Exit(1)


@app.command()
def pack(
    folder: Folder,
    layout: LayoutName,
    size: Annotated[int, typer.Option(help="Height and width in pixels.")],
    out: Annotated[Path, typer.Option(help="The pack file to write.")],
    channels: Annotated[int, typer.Option(help="1 (gray) or 3 (RGB).")] = 3,
    overwrite: Overwrite = False,
) -> None:
    """Decode and resize a data set once, into one file that training maps into memory.

    Example: featherseg data pack BUSI --layout busi --size 256 --out busi256.pack
    """
    from featherseg.datasets import load_dataset
    from featherseg.datasets.pack import pack as pack_dataset
    from featherseg.datasets.pack import save_pack

    _refuse_file(out, overwrite)
    dataset = load_dataset(folder, layout)
    packed = pack_dataset(dataset, (size, size), channels, lambda cases: tracked(cases, "packing"))
    save_pack(packed, out)
    _say(f"{out}: {len(packed.ids)} images of {size}x{size}x{channels}")


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    cases: Annotated[int, typer.Option(help="How many images.")],
    seed: Annotated[int, typer.Option(help="Another seed simulates other images.")] = 0,
    size: Annotated[int, typer.Option(help="Nominal height and width in pixels.")] = 256,
    overwrite: Overwrite = False,
) -> None:
    """Simulate breast ultrasound: benign, malignant and normal images with masks.

    Example: featherseg data phantom --out phantoms --cases 200 --seed 1
    """
    from featherseg.datasets.phantom import write_phantom

    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not overwrite):
        raise StorageError(
            f"{out}: expected an empty or new folder; choose another or give --overwrite"
        )
    write_phantom(out, cases, seed, (size, size), lambda items: tracked(items, "simulating"))
    _say(f"{out}: {cases} simulated images; use it with --layout phantom")


app.command("export")(export_data.export)
app.command("split")(split_data.split)


def _say(text: str) -> None:
    """Print one line as it is: names may hold brackets, which rich would take for markup."""
    output().print(text, markup=False, soft_wrap=True)


def _warn(text: str, style: str) -> None:
    remarks().print(text, style=style, markup=False, soft_wrap=True)


def _refuse_file(out: Path, overwrite: bool) -> None:
    if out.is_dir():
        raise DataError(f"{out}: expected a file's name after --out, got a folder")
    if out.exists() and not overwrite:
        raise StorageError(f"{out} exists; choose another name or give --overwrite")


def _print_findings(findings: "Audit") -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("finding", "count", "cases", title=f"Audit of {findings.layout}")
    for name, value in findings.to_json().items():
        if isinstance(value, int) and not isinstance(value, bool):
            table.add_row(name, str(value), "")
        elif isinstance(value, list | tuple) and name != "warnings":
            table.add_row(name, str(len(value)), escape(_listed(value)))
    for label, (expected, found) in findings.expected.items():
        table.add_row(f"expected {label}", str(expected), f"found {found}")
    output().print(table)
    for warning in findings.warnings:
        _warn(f"warning: {warning}", "yellow")
    if findings.split_intact is False:
        _warn("the split file was changed after it was made", "red")
    for crossing in findings.crossings or ():
        where = ", ".join(crossing.parts)
        _warn(f"crosses {where} ({crossing.why}): {'; '.join(crossing.cases)}", "red")


def _listed(findings: list[Any] | tuple[Any, ...]) -> str:
    """The first few findings, one a line."""
    shown = [_one_line(finding) for finding in findings[:_LISTED]]
    more = len(findings) - _LISTED
    return "\n".join([*shown, f"and {more} more"] if more > 0 else shown)


def _one_line(finding: Any) -> str:
    if isinstance(finding, dict):
        return finding.get("case") or "; ".join(finding["cases"])
    return finding if isinstance(finding, str) else "; ".join(finding)

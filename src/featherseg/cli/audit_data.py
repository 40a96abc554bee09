"""`featherseg data audit` and `featherseg data fix-outlines`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featherseg.cli.console import output, print_json, remarks, tracked
from featherseg.cli.layouts import LayoutName
from featherseg.errors import StorageError

if TYPE_CHECKING:
    from rich.table import Table

    from featherseg.audit import Audit

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder.")]

# How many findings a table cell lists.
_LISTED = 3
# Titles break after this many characters, to leave room for what they mean.
_TITLE_WIDTH = 18
_LEVEL_STYLES = {"mend": "red", "judge": "yellow", "know": ""}


def audit(
    folder: Folder,
    layout: LayoutName,
    split: Annotated[
        Path | None, typer.Option(help="A split file, whoever made it, to look through for leaks.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Also write a page with pictures of every finding.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what stands at --html.")
    ] = False,
) -> None:
    """Find duplicates, contradictions, damaged files, bad masks, marks and leaks.

    Ends with status 1 where files are damaged, or where a duplicate, a group or a case crosses
    the split. A split file may be FeatherSeg's, nnU-Net's, JSON lists of cases by part, or CSV.

    Example: featherseg data audit BUSI --layout busi --split split.json --html audit.html
    """
    from featherseg.audit import audit as audit_dataset
    from featherseg.audit import read_given_split
    from featherseg.datasets import load_dataset

    if html is not None and html.exists() and (html.is_dir() or not overwrite):
        raise StorageError(f"{html} exists; choose another name or give --overwrite")
    dataset = load_dataset(folder, layout)
    given = read_given_split(split, dataset) if split else None
    findings = audit_dataset(dataset, given, lambda cases: tracked(cases, "reading"))
    if html is not None:
        from featherseg.report.audit_page import render_audit
        from featherseg.storage import write_text

        page = render_audit(findings, dataset, lambda items: tracked(items, "drawing"))
        write_text(html, page)
    if as_json:
        print_json(findings.to_json())
    else:
        _print_findings(findings, folder.name)
        if html is not None:
            output().print(f"pictures of all findings: {html}", markup=False, soft_wrap=True)
    if not findings.is_usable:
        raise typer.Exit(1)


def fix_outlines(
    folder: Folder,
    layout: Annotated[str, typer.Option(help="How it is arranged; only 'folder' can be mended.")],
    out: Annotated[Path, typer.Option(help="The new folder; DIR itself stays as it is.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files in the folder at --out.")
    ] = False,
) -> None:
    """Copy a data set to a new folder, with masks that are thin outlines filled.

    Example: featherseg data fix-outlines heads --layout folder --out heads-filled
    """
    from featherseg.audit.outlines import fill_outlines
    from featherseg.cli.files import refuse_occupied
    from featherseg.datasets import load_dataset

    refuse_occupied(out, overwrite)
    dataset = load_dataset(folder, layout)
    filled = fill_outlines(dataset, out, lambda cases: tracked(cases, "filling"))
    text = f"{out}: {len(dataset.cases)} cases, the outlines of {len(filled)} filled"
    output().print(text, markup=False, soft_wrap=True)


def _print_findings(findings: "Audit", name: str) -> None:
    from rich.markup import escape

    from featherseg.audit.words import KINDS, findings_of, not_found, overview

    console = output()
    console.print(f"[bold]Audit of {escape(name)}[/bold] (layout {findings.layout})")
    width = max(len(title) for title, _ in overview(findings))
    for title, text in overview(findings):
        console.print(f"  {title:{width}}  {text}", markup=False, soft_wrap=True)
    found = [(kind, each) for kind in KINDS if (each := findings_of(findings, kind))]
    if found:
        console.print(_table(found))
    absent = not_found(findings)
    if absent:
        console.print(f"Not found: {', '.join(absent)}.", markup=False, soft_wrap=True)
    _print_remarks(findings)


def _table(found: Sequence[tuple[Any, tuple[Any, ...]]]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_lines=True)
    table.add_column("finding", max_width=_TITLE_WIDTH)
    table.add_column("count", justify="right")
    table.add_column("what it means, what to do", ratio=3)
    table.add_column("cases", ratio=2)
    for kind, each in found:
        table.add_row(
            f"{escape(kind.title)}",
            str(len(each)),
            escape(f"{kind.meaning} {kind.advice}"),
            escape(_listed(each)),
            style=_LEVEL_STYLES[kind.level],
        )
    return table


def _print_remarks(findings: "Audit") -> None:
    """Warnings and leaks on stderr: they are the reason of a status that is not 0."""

    def say(text: str, style: str) -> None:
        remarks().print(text, style=style, markup=False, soft_wrap=True)

    for warning in findings.warnings:
        say(f"warning: {warning}", "yellow")
    if findings.split_intact is False:
        say("the split file was changed after it was made", "red")
    for crossing in findings.crossings or ():
        where = ", ".join(crossing.parts)
        say(f"crosses {where} ({crossing.why}): {'; '.join(crossing.cases)}", "red")


def _listed(findings: tuple[Any, ...]) -> str:
    """The first few findings, one a line."""
    from featherseg.audit.words import cases_of, remark

    lines = []
    for finding in findings[:_LISTED]:
        said = remark(finding)
        lines.append("; ".join(cases_of(finding)) + (f": {said}" if said else ""))
    more = len(findings) - _LISTED
    return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)

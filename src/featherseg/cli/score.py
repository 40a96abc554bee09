"""`featherseg score`: honest scores of masks that any tool has made."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featherseg.cli.options import NsdToleranceMm, OverwriteFolder, ScoresOut, SummaryAsJson

if TYPE_CHECKING:
    from featherseg.case_table import Row
    from featherseg.report.html import Section
    from featherseg.report.pictures import Picture
    from featherseg.scoring import MaskSet

_SPREAD_CASES = 8
# How many names a remark on the terminal lists; the summary lists all.
_LISTED = 5


def score(
    true: Annotated[Path, typer.Option("--true", help="Folder of true masks.", metavar="DIR")],
    found: Annotated[Path, typer.Option("--found", help="Folder of found masks.", metavar="DIR")],
    out: ScoresOut,
    spacing_mm: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Millimeters per pixel along rows and columns.", metavar="ROW COL"),
    ] = None,
    probability: Annotated[
        Path | None, typer.Option(help="Folder of probability maps.", metavar="DIR")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Names of the mask values 1, 2, ...", metavar="A,B")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images, for pictures.", metavar="DIR")
    ] = None,
    nsd_tolerance_mm: NsdToleranceMm = None,
    overwrite: OverwriteFolder = False,
    as_json: SummaryAsJson = False,
) -> None:
    """Score masks made by any tool: a table of cases, a summary and a report.

    The metrics, the rule for empty masks, the intervals and the three files are those of
    `featherseg evaluate`.

    A found mask belongs to the true mask of the same name without suffix. In a folder with
    files called NAME_mask, only those are masks, of NAME. Names that `featherseg data export`
    gave are translated by the names.json it left. A true mask without a found one is scored as
    if nothing was found there, and listed; nothing is resized.

    Masks are 0 and one other value, or label values 0 to K with --labels, labels.json or
    nnU-Net's dataset.json beside the true ones. Probability maps are 8- or 16-bit gray PNG,
    .npy, or the .npz of nnUNetv2_predict --save_probabilities.

    Examples:

      featherseg score --true BUSI/benign --found my-masks --out scores

      featherseg score --true Dataset501_busi/labelsTs --found nnunet --probability nnunet --out s
    """
    from featherseg.extras import require

    require("evaluate")
    from featherseg.cli.console import print_json, tracked
    from featherseg.cli.files import refuse_occupied
    from featherseg.cli.scores import print_summary
    from featherseg.evaluation import Scoring
    from featherseg.measure import check_spacing
    from featherseg.report.scores import SUMMARY_FILE, write_scores
    from featherseg.scoring import match_masks
    from featherseg.scoring import score as score_masks
    from featherseg.storage import write_json

    refuse_occupied(out, overwrite)
    if spacing_mm is not None:
        check_spacing(spacing_mm)
    masks = match_masks(
        true,
        found,
        labels=_names(labels),
        spacing_mm=spacing_mm,
        probabilities=probability,
        images=images,
    )
    total = len(masks.dataset.cases)
    evaluation = score_masks(
        masks, lambda cases: tracked(cases, "Scoring", total), Scoring(nsd_tolerance_mm)
    )
    summary = write_scores(evaluation, _stamp(masks), out)
    summary |= {"missing_predictions": masks.missing, "surplus_predictions": masks.surplus}
    write_json(out / SUMMARY_FILE, summary)
    _draw_report(
        f"{found.resolve().name}: masks of another tool", masks, summary, evaluation.rows, out
    )
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)
        for remark in _remarks(masks, evaluation.rows, _LISTED):
            typer.echo(remark)
        typer.echo(f"cases.csv, summary.json and report.html are in {out}")


def _names(labels: str | None) -> tuple[str, ...]:
    """The names between commas; () where none are given."""
    from featherseg.errors import DataError

    if labels is None:
        return ()
    names = tuple(name.strip() for name in labels.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise DataError(f"--labels: expected different names with commas between, got '{labels}'")
    return names


def _stamp(masks: "MaskSet") -> Any:
    from featherseg.datasets import images_sha256
    from featherseg.summary import Stamp

    return Stamp(
        subset="all",
        # Without the images it is not known which they are.
        images_sha256=images_sha256(masks.dataset) if masks.has_images else None,
        model={"id": masks.model_id, "kind": "masks"},
    )


def _remarks(masks: "MaskSet", rows: "tuple[Row, ...]", listed: int) -> list[str]:
    """What a reader must know of names that did not fit."""
    remarks = []
    if masks.missing:
        missing = set(masks.missing)
        lesions = {
            row.case
            for row in rows
            if row.case in missing and row.metric.startswith("area_true") and row.value
        }
        remarks.append(
            f"without a found mask, so scored as if nothing was found: {len(missing)} of "
            f"{len(masks.dataset.cases)}, {len(lesions)} with a lesion, which counts as missed "
            f"({_listed(masks.missing, listed)})"
        )
    if masks.surplus:
        remarks.append(
            f"without a true mask, so not scored: {len(masks.surplus)} "
            f"({_listed(masks.surplus, listed)})"
        )
    return remarks


def _listed(names: tuple[str, ...], most: int) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _draw_report(
    title: str, masks: "MaskSet", summary: dict[str, Any], rows: "tuple[Row, ...]", out: Path
) -> None:
    from featherseg.cli.console import remarks
    from featherseg.report.html import Report, render_report
    from featherseg.report.pictures import spread_cases
    from featherseg.report.scores import REPORT_FILE
    from featherseg.storage import write_text

    with remarks().status("Drawing the report"):
        worst = [entry["case"] for entry in summary["worst_cases"]]
        report = Report(
            title=title,
            summary=summary,
            rows=rows,
            labels=masks.dataset.labels,
            worst=_pictures(masks, worst, rows),
            spread=_pictures(masks, spread_cases(rows, _SPREAD_CASES), rows),
            sections=_sections(masks, rows),
        )
        write_text(out / REPORT_FILE, render_report(report))


def _sections(masks: "MaskSet", rows: "tuple[Row, ...]") -> "tuple[Section, ...]":
    from featherseg.report.html import Section

    remarks = _remarks(masks, rows, len(masks.missing) + len(masks.surplus))
    return (Section("Names that did not fit", tuple(remarks)),) if remarks else ()


def _pictures(masks: "MaskSet", case_ids: Any, rows: "tuple[Row, ...]") -> "tuple[Picture, ...]":
    """Found and true outlines over the images; nothing where no images were given."""
    from featherseg.report.pictures import Picture, case_caption, overlay_uri
    from featherseg.scoring import read_pair

    if not masks.has_images:
        return ()
    by_id = {case.id: case for case in masks.dataset.cases}
    pictures = []
    for case_id in case_ids:
        truth, found = read_pair(masks, by_id[case_id])
        drawn = overlay_uri(found.image.pixels, found.mask, truth)
        pictures.append(Picture(case_id, case_caption(case_id, rows), drawn))
    return tuple(pictures)

"""An evaluation to its files: cases.csv, summary.json and what a report shows of it."""

from pathlib import Path
from statistics import median
from typing import Any

from featherseg.case_table import write_cases_csv
from featherseg.datasets import Dataset
from featherseg.evaluation import Evaluation, Segments
from featherseg.report.html import Report
from featherseg.report.pictures import case_pictures, spread_cases
from featherseg.storage import write_json
from featherseg.summary import Stamp, summarize

CASES_FILE = "cases.csv"
SUMMARY_FILE = "summary.json"
REPORT_FILE = "report.html"
_SPREAD_CASES = 8


def write_scores(evaluation: Evaluation, stamp: Stamp, out: Path) -> dict[str, Any]:
    """Write cases.csv and summary.json into the folder `out`; gives the summary."""
    summary = summarize(evaluation.rows, stamp)
    write_cases_csv(evaluation.rows, out / CASES_FILE)
    write_json(out / SUMMARY_FILE, summary)
    return summary


def evaluation_report(
    title: str,
    summary: dict[str, Any],
    evaluation: Evaluation,
    segmenter: Segments,
    dataset: Dataset,
) -> Report:
    """The report of an evaluation: its scores, its worst cases and some of all ranks.

    A few cases are segmented again for their pictures. Curves, further costs and sections are
    added with `dataclasses.replace`.
    """
    rows = evaluation.rows
    worst = [entry["case"] for entry in summary["worst_cases"]]
    return Report(
        title=title,
        summary=summary,
        rows=rows,
        labels=evaluation.labels,
        worst=case_pictures(segmenter, dataset, worst, rows),
        spread=case_pictures(segmenter, dataset, spread_cases(rows, _SPREAD_CASES), rows),
        cost=(("Time for one image, median", f"{1000 * median(evaluation.seconds):.0f} ms"),),
    )

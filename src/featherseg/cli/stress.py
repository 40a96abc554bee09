"""`featherseg evaluate --stress`: the conditions on the terminal, and their files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featherseg.cli.models import Model
    from featherseg.datasets import Dataset

JSON_FILE = "stress.json"
TABLE_FILE = "stress.csv"


def score_under_stress(
    model: "Model", dataset: "Dataset", case_ids: Sequence[str] | None, out: Path
) -> dict[str, Any]:
    """Score the cases under every condition; writes stress.csv and stress.json."""
    from featherseg.case_table import write_cases_csv
    from featherseg.cli.console import tracked
    from featherseg.evaluation import select_cases
    from featherseg.storage import write_json
    from featherseg.stress import conditions, steps, stress, summarize_stress

    total = len(steps(select_cases(dataset, case_ids), conditions()))
    rows = stress(
        model.segmenter,
        dataset,
        case_ids,
        progress=lambda pairs: tracked(pairs, "Under stress", total),
    )
    summary = {"model": model.segmenter.model_id, **summarize_stress(rows)}
    write_cases_csv(rows, out / TABLE_FILE)
    write_json(out / JSON_FILE, summary)
    return summary


def print_stress(summary: Mapping[str, Any]) -> None:
    """A line a condition: Dice before and after, and what changed with its interval."""
    from rich.table import Table

    from featherseg.cli.console import output

    table = Table("condition", "n", "Dice", "change (95 %)", "", "missed", "alarms")
    for entry in summary["conditions"]:
        if entry["n"]:
            table.add_row(entry["name"], str(entry["n"]), *_cells(entry))
    output().print(table)
    absent = [entry["name"] for entry in summary["conditions"] if not entry["n"]]
    if absent:
        output().print(f"no image is concerned by: {', '.join(absent)}", markup=False)


def _cells(entry: Mapping[str, Any]) -> tuple[str, ...]:
    lesion = entry["dice_lesion"]
    missed, alarms = (_errors(entry[name]) for name in ("sensitivity", "specificity"))
    if lesion["difference"] is None:
        return ("-", "-", "-", missed, alarms)
    change = f"{lesion['difference']:+.3f}"
    if lesion["low"] is not None:
        change += f" ({lesion['low']:+.3f} to {lesion['high']:+.3f})"
    return (f"{lesion['after']:.3f}", change, lesion["verdict"], missed, alarms)


def _errors(change: Mapping[str, Any]) -> str:
    """How many images were wrong before and are after, such as 2 > 5."""
    if not change["n"]:
        return "-"
    before, after = (round((1 - change[key]) * change["n"]) for key in ("before", "after"))
    return f"{before} > {after}"

"""`featherseg evaluate --stress` and `--out-of-domain`: their files, and what is printed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featherseg.cli.models import Model
    from featherseg.datasets import Dataset
    from featherseg.report.html import Section
    from featherseg.stress import Doubt

JSON_FILE = "stress.json"
TABLE_FILE = "stress.csv"
DOMAIN_FILE = "domain.json"


def further_scores(
    model: "Model",
    dataset: "Dataset",
    case_ids: Sequence[str] | None,
    out: Path,
    under_stress: bool,
    other: "Dataset | None",
) -> dict[str, Any]:
    """What was asked for beside the scores: the parts `stress` and `domain`."""
    found = {}
    if under_stress:
        found["stress"] = score_under_stress(model, dataset, case_ids, out)
    if other is not None:
        found["domain"] = tell_domains_apart(model, dataset, case_ids, other, out)
    return found


def further_sections(further: Mapping[str, Any]) -> "tuple[Section, ...]":
    """The parts of the report."""
    from featherseg.report.stress import domain_section, stress_section

    draw = {"stress": stress_section, "domain": domain_section}
    return tuple(draw[name](part) for name, part in further.items())


def print_further(further: Mapping[str, Any]) -> None:
    """The parts on the terminal."""
    show = {"stress": print_stress, "domain": print_domains}
    for name, part in further.items():
        show[name](part)


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


def tell_domains_apart(
    model: "Model",
    dataset: "Dataset",
    case_ids: Sequence[str] | None,
    other: "Dataset",
    out: Path,
) -> dict[str, Any]:
    """Compare the doubts about the cases with those about another data set; writes domain.json."""
    from featherseg.cli.console import tracked
    from featherseg.datasets import images_sha256
    from featherseg.evaluation import select_cases
    from featherseg.storage import write_json
    from featherseg.stress import compare_domains, doubts

    def doubts_of(
        images: "Dataset", ids: Sequence[str] | None, description: str
    ) -> "tuple[Doubt, ...]":
        cases = select_cases(images, ids)
        return doubts(model.segmenter, images, cases, lambda each: tracked(each, description))

    inside = doubts_of(dataset, case_ids, "Doubts, inside")
    outside = doubts_of(other, None, "Doubts, outside")
    about = {"layout": other.layout, "images_sha256": images_sha256(other)}
    summary = {"out_of_domain": about, **compare_domains(inside, outside)}
    write_json(out / DOMAIN_FILE, summary)
    return summary


def print_domains(summary: Mapping[str, Any]) -> None:
    """The flagged images of both sides, and how well two scores tell them apart."""
    from featherseg.cli.console import output
    from featherseg.report.stress import domain_sentences

    for sentence in domain_sentences(summary):
        output().print(sentence, markup=False)


def print_stress(summary: Mapping[str, Any]) -> None:
    """A line a condition: Dice before and after, and what changed with its interval."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from featherseg.cli.console import output

    names = ("condition", "n", "Dice", "change", "95 %", "", "missed", "alarms")
    table = Table(*names, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for entry in summary["conditions"]:
        if entry["n"]:
            table.add_row(entry["name"], str(entry["n"]), *_cells(entry))
    output().print(table)
    absent = [entry["name"] for entry in summary["conditions"] if not entry["n"]]
    if absent:
        output().print(f"no image is concerned by: {', '.join(absent)}", markup=False)


def _cells(entry: Mapping[str, Any]) -> tuple[str, ...]:
    from featherseg.report.stress import signed

    lesion = entry["dice_lesion"]
    missed, alarms = (_errors(entry[name]) for name in ("sensitivity", "specificity"))
    if lesion["difference"] is None:
        return ("-", "-", "-", "-", missed, alarms)
    known = lesion["low"] is not None
    interval = f"{signed(lesion['low'])} {signed(lesion['high'])}" if known else "-"
    return (
        f"{lesion['after']:.3f}",
        signed(lesion["difference"]),
        interval,
        lesion["verdict"],
        missed,
        alarms,
    )


def _errors(change: Mapping[str, Any]) -> str:
    """How many images were wrong before and are now, such as 2 > 5."""
    if not change["n"]:
        return "-"
    before, after = (round((1 - change[key]) * change["n"]) for key in ("before", "after"))
    return f"{before} > {after}"

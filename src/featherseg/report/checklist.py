"""What reporting guidelines ask of a study, as far as an evaluation can answer.

CLAIM (Mongan, Moy, Kahn 2020, doi:10.1148/ryai.2020200029) and TRIPOD+AI (Collins et al. 2024,
doi:10.1136/bmj-2023-078378). What the tool cannot know is listed as open, so that nobody takes
the list for a finished one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from featherseg.report.section import Section

OPEN = "to be written by the authors"
_SHORT_HASH = 12

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Item:
    """One question: its numbers in CLAIM and in TRIPOD+AI, and what answers it; None is open."""

    claim: str
    tripod: str
    question: str
    answer: Callable[[Summary], str | None]


def checklist_section(summary: Summary) -> Section:
    """The checklist as a part of a report: the answered items first, then the open ones."""
    answered = [(item, item.answer(summary)) for item in ITEMS]
    rows = [(_name(item), answer) for item, answer in answered if answer]
    rows += [(_name(item), OPEN) for item, answer in answered if not answer]
    known = sum(1 for _, answer in answered if answer)
    text = (
        f"{known} of {len(ITEMS)} items of the reporting guidelines CLAIM and TRIPOD+AI that "
        "concern an evaluation are answered by this report; the others are the authors' to answer.",
    )
    return Section("Reporting checklist", text, tuple(rows))


def _name(item: Item) -> str:
    return f"{item.question} (CLAIM {item.claim}, TRIPOD+AI {item.tripod})"


def _nothing(_: Summary) -> None:
    return None


def _data(summary: Summary) -> str | None:
    stated = summary["images_sha256"]
    if not stated:
        return None
    where = "not those of the training" if summary["external"] else "of the model's own data set"
    return f"{summary['n']} images {where}, SHA-256 {stated[:_SHORT_HASH]}"


def _exclusions(summary: Summary) -> str | None:
    excluded = summary.get("excluded")
    if excluded is None:
        return None
    if not excluded:
        return "no image of the subset was left out"
    return "; ".join(f"{count} left out: {why}" for why, count in excluded.items())


def _partition(summary: Summary) -> str | None:
    if not summary["split_sha256"]:
        return None
    return (
        f"subset '{summary['subset']}' of the split {summary['split_sha256'][:_SHORT_HASH]}, "
        f"protocol '{summary['protocol']}'"
    )


def _disjoint(summary: Summary) -> str | None:
    if summary["protocol"] == "safe":
        return "no group (patient or exam, where known) and no duplicate picture crosses the parts"
    if summary["protocol"]:
        return f"protocol '{summary['protocol']}': images of one group may be in several parts"
    return None


def _sample(summary: Summary) -> str:
    counts = f"{summary['n_lesion']} with a lesion, {summary['n_normal']} without"
    classes = ", ".join(f"{name} {part['n']}" for name, part in summary["per_class"].items())
    by_class = f"; by class: {classes}" if classes else ""
    return (
        f"{summary['n']} images ({counts}) of {summary['n_groups']} independent cases{by_class}; "
        "whether that is enough is to be argued from the intervals"
    )


def _model(summary: Summary) -> str | None:
    model = summary["model"]
    if not model.get("network"):
        return None
    return f"{model['network']}, weights {model.get('id', 'not stated')}"


def _initial(summary: Summary) -> str | None:
    weights = summary["model"].get("weights")
    return f"training began {weights}" if weights == "from scratch" else weights


def _selection(summary: Summary) -> str | None:
    if not summary["chosen_on"]:
        return None
    return f"epoch, threshold, smallest area and components were chosen on: {summary['chosen_on']}"


def _uncertainty(summary: Summary) -> str:
    lesion = summary["dice_lesion"]
    rough = "; rough, fewer than 50 independent cases" if lesion["small_sample"] else ""
    return f"95 % bootstrap intervals that draw whole groups, Wilson's for proportions{rough}"


def _external(summary: Summary) -> str | None:
    if summary["external"] is None:
        return None
    return "yes, these images are external" if summary["external"] else "not in this report"


def _performance(summary: Summary) -> str:
    lesion = summary["dice_lesion"]
    if lesion["mean"] is None:
        return "see the table of metrics"
    low, high = (lesion[key] for key in ("ci_low", "ci_high"))
    interval = "" if low is None else f" ({low:.3f} to {high:.3f})"
    return f"Dice of images with a lesion {lesion['mean']:.3f}{interval}; all metrics above"


def _failures(summary: Summary) -> str:
    presence = summary["presence"]
    return (
        f"{presence['missed']} missed lesions, {presence['false_alarms']} false alarms, none "
        f"dropped; the {len(summary['worst_cases'])} worst cases are listed and shown"
    )


# Worded for segmentation; numbers as in the two guidelines.
ITEMS = (
    Item("7", "5a", "Source of the data", _data),
    Item("8, 13", "6b, 11", "Who was left out, and why", _exclusions),
    Item("20", "5a, 12a", "How data were assigned to training and test", _partition),
    Item("21", "12a", "At which level the parts are disjoint", _disjoint),
    Item("19, 33", "10, 20a", "Number of cases", _sample),
    Item("22", "12c, 22", "Which model", _model),
    Item("24", "12c", "Initial weights", _initial),
    Item("26", "12c", "What chose the final model", _selection),
    Item(
        "28",
        "12e",
        "Measures of performance",
        lambda _: "overlap, distance of outlines and presence, each defined in docs/evaluation.md",
    ),
    Item("29", "12e", "Uncertainty", _uncertainty),
    Item("32", "16", "Test on external data", _external),
    Item("35, 36", "23a", "Performance with its precision", _performance),
    Item("37", "23a", "Analysis of failures", _failures),
    Item("30", "12e, 14", "Robustness and subgroups", lambda _: "see the tables by subgroup"),
    Item("5, 6", "4", "Aim, and whether data were collected for it", _nothing),
    Item("12", "17", "De-identification and ethical approval", _nothing),
    Item("14 to 18", "8a, 8b", "Who drew the masks, with what, and how well they agree", _nothing),
    Item("34", "20b", "Patients and devices: age, sex, site, scanner", _nothing),
    Item("38, 39", "26, 27a", "Limits, and what follows for practice", _nothing),
    Item("40 to 42", "18a to 18f", "Registration, protocol, data, code, funding", _nothing),
)

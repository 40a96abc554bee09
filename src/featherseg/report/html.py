"""One self-contained HTML page from a summary, a table of cases and what else is known.

No script, no request to anywhere: style, figures and pictures are inside the file. Text is
escaped; only figures that this package drew itself are put in as markup.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from markupsafe import Markup

import featherseg
from featherseg.case_table import Row
from featherseg.images.overlay import label_colors
from featherseg.report.checklist import checklist_section
from featherseg.report.confidence import confidence_section
from featherseg.report.curves import Epoch, curves_svg
from featherseg.report.distributions import distribution_svgs
from featherseg.report.pictures import Picture
from featherseg.report.section import Section
from featherseg.report.words import HEADLINE, METRIC_NAMES, averages, notes

__all__ = ["Report", "Section", "render_report"]

_TEMPLATE = "report.html.j2"
_SHORT_HASH = 12


@dataclass(frozen=True)
class Report:
    """Everything a page shows; what is empty is left out.

    ``summary`` is that of `featherseg.summary.summarize`, ``rows`` its table; ``labels`` names
    the foreground labels; ``worst`` and ``spread`` are pictures of cases; ``history`` is that
    of the training; ``cost`` pairs a name with a value and its unit; ``sections`` come last.
    """

    title: str
    summary: Mapping[str, Any]
    rows: Sequence[Row]
    labels: tuple[str, ...]
    worst: tuple[Picture, ...] = ()
    spread: tuple[Picture, ...] = ()
    history: Sequence[Epoch] = ()
    cost: tuple[tuple[str, str], ...] = ()
    sections: tuple[Section, ...] = ()


def render_report(report: Report) -> str:
    """The page as text; write it with `storage.write_text`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("featherseg.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    summary = report.summary
    return environment.get_template(_TEMPLATE).render(
        report=report,
        summary=summary,
        version=featherseg.__version__,
        chips=_chips(summary),
        cards=_cards(summary),
        notes=notes(summary),
        metrics=_metric_rows(summary, HEADLINE),
        further_metrics=_metric_rows(summary, set(METRIC_NAMES) - set(HEADLINE)),
        classes=_parts(summary.get("per_class", {})),
        subgroups=_parts(summary.get("per_subgroup", {})),
        labels=_parts(summary.get("per_label", {})),
        legend=_legend(report.labels),
        distributions=[Markup(svg) for svg in distribution_svgs(report.rows)],
        curves=Markup(curves_svg(report.history)) if report.history else None,
        sections=(*confidence_section(summary), *report.sections, checklist_section(summary)),
        provenance=_provenance(summary),
    )


def _chips(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The stamp: (kind, text); the kind is a style class."""
    chips = [("plain", f"subset: {summary['subset'] or 'not stated'}")]
    if summary["external"]:
        chips.append(("notice", "external data"))
    if summary["protocol"]:
        chips.append(("plain", f"protocol: {summary['protocol']}"))
    if summary["split_sha256"]:
        chips.append(("plain", f"split {summary['split_sha256'][:_SHORT_HASH]}"))
    if summary["chosen_on"]:
        chips.append(("plain", f"model chosen on: {summary['chosen_on']}"))
    return chips


def _cards(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    presence = summary["presence"]
    cards = [
        _card("Dice, images with a lesion", summary["dice_lesion"], ("mean", "ci_low", "ci_high")),
        _card("Dice, all images", summary["dice_all"], ("mean", "ci_low", "ci_high")),
        _card("Sensitivity of presence", presence["sensitivity"], ("value", "low", "high")),
        _card("Specificity of presence", presence["specificity"], ("value", "low", "high")),
    ]
    cards[0]["remark"] = "a missed lesion counts as 0"
    cards[1]["remark"] = "both empty counts as 1, a false alarm as 0"
    cards[2]["remark"] = f"{presence['missed']} missed"
    cards[3]["remark"] = f"{_count(presence['false_alarms'], 'false alarm')}"
    return cards


def _card(title: str, entry: Mapping[str, Any], keys: tuple[str, str, str]) -> dict[str, Any]:
    value, low, high = (entry[key] for key in keys)
    card: dict[str, Any] = {"title": title, "n": entry["n"], "value": _number(value), "bar": None}
    card["interval"] = _interval(low, high)
    if value is not None and low is not None:
        card["bar"] = {
            "left": f"{100 * low:.2f}",
            "width": f"{100 * (high - low):.2f}",
            "mark": f"{100 * value:.2f}",
        }
    return card


def _metric_rows(summary: Mapping[str, Any], keys: Collection[str]) -> list[dict[str, Any]]:
    """A table of the metrics `keys`; beside each mean that of a model that finds nothing."""
    nothing = {
        (name, entry["over"]): entry["mean"]
        for name, _, entry in averages(summary.get("baselines", {}).get("all_empty", {}))
    }
    return [
        {
            "name": name,
            "over": entry["over"],
            "mean": _number(entry["mean"], digits),
            "interval": _interval(entry["ci_low"], entry["ci_high"], digits),
            "sd": _number(entry["sd"], digits),
            "median": _number(entry["median"], digits),
            "nothing": _number(nothing.get((name, entry["over"])), digits),
            "n": entry["n"],
        }
        for name, digits, entry in averages(summary, keys)
    ]


def _parts(parts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the table of classes or of labels."""
    rows = []
    for name, part in parts.items():
        lesion, presence = part["dice_lesion"], part["presence"]
        rows.append(
            {
                "name": name,
                "n": part["n"],
                "dice": _number(lesion["mean"]),
                "interval": _interval(lesion["ci_low"], lesion["ci_high"]),
                "dice_all": _number(part["dice_all"]["mean"]),
                "missed": _of(presence["missed"], part["n_lesion"]),
                "false_alarms": _of(presence["false_alarms"], part["n_normal"]),
            }
        )
    return rows


def _legend(labels: Sequence[str]) -> list[tuple[str, str]]:
    """(color, meaning) of every outline."""
    legend = []
    for number, label in enumerate(labels, start=1):
        found, truth = label_colors(number)
        what = f" {label}" if len(labels) > 1 else ""
        legend += [(f"rgb{truth}", f"true{what} outline"), (f"rgb{found}", f"found{what} outline")]
    return legend


def _provenance(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    flips = summary["model"].get("flips")
    named = {
        "Model": summary["model"].get("id"),
        "Made by": summary["model"].get("kind"),
        **({"Test-time flips": flips} if flips else {}),
        "Subset": summary["subset"],
        "Split protocol": summary["protocol"],
        "Split SHA-256": summary["split_sha256"],
        "Images SHA-256": summary["images_sha256"],
        "Epoch and operating point chosen on": summary["chosen_on"],
        "Table of cases SHA-256": summary["cases_sha256"],
    }
    return [(name, value or "not stated") for name, value in named.items()]


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _interval(low: float | None, high: float | None, digits: int = 3) -> str:
    return "–" if low is None or high is None else f"{low:.{digits}f} to {high:.{digits}f}"


def _of(count: int, total: int) -> str:
    return f"{count} of {total}" if total else "–"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"

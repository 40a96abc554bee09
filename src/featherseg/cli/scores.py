"""A summary as a compact table on the terminal, with the rule for empty masks."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from featherseg.cli.console import output
from featherseg.report.words import HEADLINE, averages, notes

_PARTS = (("class", "per_class"), ("subgroup", "per_subgroup"), ("label", "per_label"))


def print_summary(summary: Mapping[str, Any]) -> None:
    """Print what was scored, the headline averages, presence, each part, and the rule."""
    _say(_headline(summary))
    output().print(_averages(summary))
    presence = summary["presence"]
    _say(_proportion("sensitivity of presence", presence["sensitivity"], "seen"))
    _say(_proportion("specificity of presence", presence["specificity"], "rightly left empty"))
    _say(_baseline(summary))
    for what, parts in _PARTS:
        if summary.get(parts):
            output().print(_parts(what, summary[parts]))
    for note in notes(summary):
        output().print(f"note: {note}", style="yellow", markup=False)
    _say("Empty masks: " + "; ".join(summary["rule"]) + ".")


def _headline(summary: Mapping[str, Any]) -> str:
    stamps = [
        f"{summary['n']} images",
        f"{summary['n_lesion']} with a lesion",
        f"subset {summary['subset'] or 'not stated'}",
    ]
    if summary["model"].get("flips"):
        stamps.append(f"flips {summary['model']['flips']}")
    if summary["external"]:
        stamps.append("external data")
    if summary["split_sha256"]:
        stamps.append(f"split {summary['split_sha256'][:12]} ({summary['protocol']})")
    return ", ".join(stamps)


def _baseline(summary: Mapping[str, Any]) -> str:
    empty = summary["baselines"]["all_empty"]["dice_all"]["mean"]
    return f"finding nothing anywhere would give a Dice of {empty:.3f} over all images"


def _averages(summary: Mapping[str, Any]) -> Table:
    table = Table("metric", "mean", "95 % interval", "SD", "median", "n", "over")
    for name, digits, entry in averages(summary, HEADLINE):
        table.add_row(
            name,
            _number(entry["mean"], digits),
            f"{_number(entry['ci_low'], digits)} to {_number(entry['ci_high'], digits)}",
            _number(entry["sd"], digits),
            _number(entry["median"], digits),
            str(entry["n"]),
            entry["over"],
        )
    return table


def _parts(what: str, parts: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(what, "images", "Dice (lesion)", "Dice (all)", "missed", "false alarms")
    for name, part in parts.items():
        table.add_row(
            name,
            str(part["n"]),
            _number(part["dice_lesion"]["mean"]),
            _number(part["dice_all"]["mean"]),
            f"{part['presence']['missed']} of {part['n_lesion']}",
            f"{part['presence']['false_alarms']} of {part['n_normal']}",
        )
    return table


def _proportion(name: str, entry: Mapping[str, Any], what: str) -> str:
    if not entry["n"]:
        return f"{name}: no such image"
    count = round(entry["value"] * entry["n"])
    interval = f"{entry['low']:.3f} to {entry['high']:.3f}"
    return f"{name}: {entry['value']:.3f} ({interval}), {count} of {entry['n']} {what}"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _say(text: str) -> None:
    output().print(text, markup=False)

"""The README.md of a bundle."""

from collections.abc import Iterable, Mapping
from typing import Any

from featherseg.bundle import AgreementEntry, CrossValidationEntry, GateEntry, ScoreEntry
from featherseg.report.words import METRIC_NAMES, metric_key

# Pixels and millimeters to a tenth, shares to a thousandth: finer than any outline is drawn.
_DIGITS = {"": 3}
_DISTANCE_DIGITS = 1
_PRECISIONS = {
    "auto": "bf16 on a processor with AMX, f32 elsewhere",
    "f32": "f32",
    "bf16": "bf16, which is slower than f32 on a processor without AMX",
    "int8": "int8, in OpenVINO alone",
}


def model_card(facts: dict[str, Any]) -> str:
    """The README.md of a bundle, from the entries of its manifest."""
    network, point, training = facts["network"], facts["operating_point"], facts["training"]
    height, width = facts["preprocessing"]["input_size"]
    cross_validation = facts.get("cross_validation")
    lines = [
        f"# {network['name']}: {', '.join(facts['labels'])}",
        "",
        f"A segmentation network of {facts['parameters']:,} parameters, made by FeatherSeg "
        f"{facts['featherseg']}. It is not a medical device.",
        "",
        f"* Input: {height}x{width}, to which images are stretched, "
        f"{facts['preprocessing']['channels']} channel(s).",
        f"* Operating point, chosen on {facts['operating_point_chosen_on']}: probability above "
        f"{point['threshold']:g}, parts of at least {point['smallest_area']:g} of the image, "
        f"components kept: {point['components']}.",
        f"* Training: {training['epochs']} epochs, weights of epoch {training['best_epoch']}; "
        f"began with: {training['initial_weights']}.",
        *_members(facts.get("members", 1)),
        f"* Weights: stored as {facts['weights']}.",
        f"* Precision: {_PRECISIONS[facts.get('precision', 'auto')]}.",
        *_terms(facts.get("data")),
        "",
        "Use: `featherseg predict BUNDLE IMAGES --out MASKS`",
        "",
        *(_cross_validation(cross_validation) if cross_validation else _validation(training)),
        *_gate(facts.get("gate")),
        *_agreement(facts["checks"]),
        *_sources(facts["sources"]),
    ]
    return "\n".join(lines) + "\n"


def _members(count: int) -> list[str]:
    if count == 1:
        return []
    return [
        f"* An ensemble of {count} networks, whose probabilities are averaged: threshold and "
        "smallest area are the medians of theirs, validation scores the means."
    ]


def _terms(data: Mapping[str, str] | None) -> list[str]:
    """Under which terms the training images come."""
    if data is None:
        return []
    return [f"* Training images: {data['citation']} License: {data['license']}."]


def _validation(training: Mapping[str, Any]) -> list[str]:
    scores = [
        f"| {name.replace('_', ' ')} | {value:.4f} |"
        for name, value in sorted(training["validation"].items())
    ]
    return [
        f"## Validation ({training['validation_images']} images, used to choose the weights)",
        "",
        "| Score | Value |",
        "|---|---|",
        *scores,
        "",
        "Scores for comparison come from a test subset: `featherseg evaluate BUNDLE`.",
        "",
    ]


def _cross_validation(values: Mapping[str, Any]) -> list[str]:
    entry = CrossValidationEntry.model_validate(values)
    return [
        f"## Cross-validation ({entry.images} images in {entry.folds} folds)",
        "",
        "Each image was scored by a network that had not seen it: one was trained for each fold, "
        f"by the recipe of this one (split protocol: {entry.protocol}). This bundle's network was "
        "trained on all images, so that no image at hand can score it.",
        "",
        "| Score | Mean | 95 % interval | n | Over |",
        "|---|---|---|---|---|",
        *(_score_row(name, score) for name, score in entry.scores.items()),
        "",
    ]


def _score_row(name: str, score: ScoreEntry) -> str:
    digits = _DIGITS.get(score.unit, _DISTANCE_DIGITS)
    title = METRIC_NAMES.get(metric_key(name), name.replace("_", " "))
    title += f" ({score.unit})" if score.unit else ""
    interval = "-"
    if score.low is not None and score.high is not None:
        interval = f"{score.low:.{digits}f} to {score.high:.{digits}f}"
    return f"| {title} | {score.mean:.{digits}f} | {interval} | {score.n} | {score.over} |"


def _gate(gate: GateEntry | None) -> list[str]:
    """How the int8 network did beside the one it was made from."""
    if gate is None:
        return []
    kept = ", ".join(f"`{name}`" for name in gate.kept_layers) or "none"
    low, high = gate.difference.low, gate.difference.high
    interval = "-" if low is None or high is None else f"{low:+.4f} to {high:+.4f}"
    return [
        f"## Gate ({gate.images} {gate.over} images, {gate.lesions} with something to find)",
        "",
        f"Made by {gate.method}, calibrated on {gate.calibration_images} training images. Of "
        f"{gate.layers} layers these stayed in floating point: {kept}.",
        "",
        "| | f32 | int8 | int8 less f32 | 95 % interval |",
        "|---|---|---|---|---|",
        f"| Dice | {gate.dice_float:.4f} | {gate.dice_int8:.4f} | {gate.difference.mean:+.4f} "
        f"| {interval} |",
        f"| Missed | {gate.missed_float} | {gate.missed_int8} | {gate.newly_missed} newly | - |",
        f"| False alarms | {gate.false_alarms_float} | {gate.false_alarms_int8} "
        f"| {gate.false_alarms_int8 - gate.false_alarms_float:+d} | - |",
        "",
    ]


def _agreement(checks: Iterable[AgreementEntry]) -> list[str]:
    rows = [
        f"| {each.runtime} {each.precision} | {each.largest_difference:.1e} "
        f"| {each.differing_pixels:.1e} | {each.dice_change:+.4f} |"
        for each in checks
    ]
    return [
        "## Agreement with PyTorch on validation images",
        "",
        "| Runtime | Logits (share of the largest) | Pixels that differ | Dice change |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def _sources(sources: Mapping[str, Any]) -> list[str]:
    rows = [f"| {name.replace('_', ' ')} | `{value}` |" for name, value in sources.items()]
    return ["## Made from", "", "| What | Value |", "|---|---|", *rows]

"""The README.md of a bundle."""

from collections.abc import Iterable, Mapping
from typing import Any

from featherseg.bundle import AgreementEntry


def model_card(facts: dict[str, Any]) -> str:
    """The README.md of a bundle, from the entries of its manifest."""
    network, point, training = facts["network"], facts["operating_point"], facts["training"]
    height, width = facts["preprocessing"]["input_size"]
    scores = [
        f"| {name.replace('_', ' ')} | {value:.4f} |"
        for name, value in sorted(training["validation"].items())
    ]
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
        "",
        "Use: `featherseg predict BUNDLE IMAGES --out MASKS`",
        "",
        f"## Validation ({training['validation_images']} images, used to choose the weights)",
        "",
        "| Score | Value |",
        "|---|---|",
        *scores,
        "",
        "Scores for comparison come from a test subset: `featherseg evaluate BUNDLE`.",
        "",
        *_agreement(facts["checks"]),
        *_sources(facts["sources"]),
    ]
    return "\n".join(lines) + "\n"


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

"""What the arms of a distillation scored, beside the one without teachers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from featherseg.compare import (
    BASELINE,
    Comparison,
    MetricComparison,
    Run,
    Standing,
    compare,
    load_runs,
)
from featherseg.compare.runs import case_groups
from featherseg.compare.scores import compare_metric
from featherseg.report import compare_words as words
from featherseg.summary.subgroups import by_size

SCHEMA = "featherseg.arms/1"
METRICS = ("dice_lesion", "dice_all")
_DECIMALS = 6


@dataclass(frozen=True)
class ArmsTable:
    """The arms compared: on all test images by each of `METRICS`, and by size of lesion.

    ``sizes`` maps a third of the images with a lesion ("size: small (...)") to their comparison
    by Dice; it is empty where there are too few sizes.
    """

    comparison: Comparison
    sizes: dict[str, MetricComparison]


def compare_arms(folders: Sequence[Path], reference: str) -> ArmsTable:
    """Compare the arms scored in `folders` with the one named `reference`, image by image.

    Raises DataError where tables are missing or hold other cases.
    """
    runs = load_runs(folders)
    ordered = sorted(runs, key=lambda run: run.name != reference)
    compared = compare(ordered, METRICS)
    groups = case_groups(ordered)
    parts = by_size(ordered[0].cases, ordered[0].labels)
    sizes = {}
    for name, cases in parts.items():
        within = [_limited(run, {case.id for case in cases}) for run in ordered]
        (sizes[name],) = compare_metric(METRICS[0], within, groups)
    return ArmsTable(compared, sizes)


def arms_json(table: ArmsTable) -> dict[str, Any]:
    """The table as JSON: for each arm its means, differences and verdicts."""
    compared = table.comparison
    by_metric = {
        **{metric.name: metric for metric in compared.metrics},
        **table.sizes,
    }
    return {
        "schema": SCHEMA,
        "reference": compared.reference,
        "n": compared.n,
        "n_groups": compared.n_groups,
        "arms": {
            name: {
                key: _standing_json(_standing(metric, name)) for key, metric in by_metric.items()
            }
            for name in (*compared.runs, BASELINE)
        },
        "warnings": list(compared.warnings),
    }


def arms_markdown(table: ArmsTable, title: str) -> str:
    """The table as a page: Dice with differences, the same by size of lesion, and in words."""
    compared = table.comparison
    lines = [f"# {title}", "", _about(compared), ""]
    for metric in compared.metrics:
        head = f"{words.metric_title(metric)}, {metric.over}"
        lines += [f"## {head}", "", *_markdown(metric_rows(metric, compared.reference)), ""]
    if table.sizes:
        lines += ["## Dice by size of lesion", "", *_markdown(size_rows(table)), ""]
    lines += ["## In words", "", *(f"* {line}" for line in plain_words(table)), ""]
    return "\n".join(lines)


def metric_rows(metric: MetricComparison, reference: str) -> list[tuple[str, ...]]:
    """Head and rows: arm, mean, difference with its interval, p, verdict."""
    rows: list[tuple[str, ...]] = [
        ("arm", "mean (95 % interval)", f"less {reference}", "p", "verdict")
    ]
    for standing in metric.standings:
        own = f"{words.mean_text(standing, metric)} ({words.own_interval(standing, metric)})"
        versus = standing.versus
        if versus is None:
            role = "reference" if standing.run == reference else "finds nothing"
            rows.append((standing.run, own, "", "", role))
            continue
        p = words.p_text(versus.p_holm)
        rows.append((standing.run, own, _difference(standing, metric), p, versus.verdict))
    return rows


def size_rows(table: ArmsTable) -> list[tuple[str, ...]]:
    """Head and rows: arm, and for each third the mean and the difference with its interval."""
    heads = [name.removeprefix("size: ") for name in table.sizes]
    rows: list[tuple[str, ...]] = [("arm", *heads)]
    for name in table.comparison.runs:
        cells = []
        for metric in table.sizes.values():
            standing = _standing(metric, name)
            difference = "" if standing.versus is None else f", {_difference(standing, metric)}"
            cells.append(f"{words.mean_text(standing, metric)}{difference}")
        rows.append((name, *cells))
    return rows


def plain_words(table: ArmsTable) -> list[str]:
    """What may be said of the arms, and what to doubt, a sentence each."""
    compared = table.comparison
    metric = compared.metrics[0]
    said = {
        "better": "better than",
        "worse": "worse than",
        "tie": "not shown to differ from",
        "unknown": "too few images to compare with",
    }
    lines = []
    for verdict, text in said.items():
        names = [
            standing.run
            for standing in metric.standings
            if standing.versus is not None and standing.versus.verdict == verdict
        ]
        if names:
            lines.append(f"{text.capitalize()} {compared.reference}: {', '.join(names)}.")
    return [
        *lines,
        "Each arm is one training: the intervals are over test images and say nothing of what "
        "another seed would give.",
        *compared.warnings,
    ]


def _limited(run: Run, wanted: set[str]) -> Run:
    return replace(run, cases=tuple(case for case in run.cases if case.id in wanted))


def _standing(metric: MetricComparison, run: str) -> Standing:
    return next(standing for standing in metric.standings if standing.run == run)


def _standing_json(standing: Standing) -> dict[str, Any]:
    own, versus = standing.own, standing.versus
    known: dict[str, Any] = {
        "n": own.n,
        "mean": own.mean,
        "ci_low": own.ci_low,
        "ci_high": own.ci_high,
    }
    if versus is not None:
        known |= {
            "difference": versus.difference,
            "difference_low": versus.low,
            "difference_high": versus.high,
            "p_holm": versus.p_holm,
            "verdict": versus.verdict,
        }
    return {
        key: round(value, _DECIMALS) if isinstance(value, float) else value
        for key, value in known.items()
    }


def _difference(standing: Standing, metric: MetricComparison) -> str:
    assert standing.versus is not None
    figure = words.difference_text(standing.versus, metric)
    span = words.difference_interval(standing.versus, metric)
    return figure if span == words.NONE else f"{figure} ({span})"


def _about(compared: Comparison) -> str:
    return (
        f"{compared.n} test images of {compared.n_groups} independent cases. Differences are "
        f"paired, image by image, from `{compared.reference}`, with their 95 % intervals; p is a "
        "permutation test's, adjusted for all arms (Holm). An arm is better or worse where the "
        "interval leaves out 0 and the test agrees, else a tie: not shown to differ."
    )


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *others = ["| " + " | ".join(row) + " |" for row in rows]
    return [head, "|" + "---|" * len(rows[0]), *others]

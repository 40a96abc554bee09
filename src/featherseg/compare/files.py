"""A comparison as JSON and as CSV."""

import csv
import io
from dataclasses import asdict
from typing import Any

from featherseg.compare.comparison import Comparison
from featherseg.compare.presence import PresenceComparison
from featherseg.compare.scores import ALPHA, MetricComparison, Standing

SCHEMA = "featherseg.comparison/1"
COLUMNS = (
    *("metric", "unit", "run", "n", "mean", "ci_low", "ci_high", "n_pairs", "difference"),
    *("difference_low", "difference_high", "p", "p_holm", "wilcoxon_p", "paired_t_p", "welch_t_p"),
    *("cohens_dz", "superiority", "rank_biserial", "verdict"),
)
# As in summaries: far below any difference that matters, and equal on every machine.
_DECIMALS = 6
_DIGITS_OF_P = 4

Entry = dict[str, Any]


def comparison_json(comparison: Comparison) -> Entry:
    """Everything but the scores of the single cases, which stand in the tables; ready for JSON."""
    return {
        "schema": SCHEMA,
        "reference": comparison.reference,
        "runs": {
            name: None if stamp is None else asdict(stamp)
            for name, stamp in comparison.stamps.items()
        },
        "n": comparison.n,
        "n_groups": comparison.n_groups,
        "alpha": ALPHA,
        "warnings": list(comparison.warnings),
        "metrics": {metric.name: _metric(metric) for metric in comparison.metrics},
        "sensitivity": {each.run: _presence(each) for each in comparison.sensitivity},
        "specificity": {each.run: _presence(each) for each in comparison.specificity},
        "laednet_p": _rounded(dict(comparison.laednet_p)),
    }


def comparison_csv(comparison: Comparison) -> str:
    """One line for each metric and run, with presence as the metrics sensitivity, specificity."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for metric in comparison.metrics:
        for standing in metric.standings:
            about = {"metric": metric.name, "unit": metric.unit, "run": standing.run}
            writer.writerow({**about, **_line(standing)})
    for name in ("sensitivity", "specificity"):
        for each in getattr(comparison, name):
            writer.writerow({"metric": name, "run": each.run, **_presence_line(each)})
    return buffer.getvalue()


def _metric(metric: MetricComparison) -> Entry:
    return {
        "unit": metric.unit,
        "over": metric.over,
        "higher_is_better": metric.higher_is_better,
        "runs": {standing.run: _standing(standing) for standing in metric.standings},
    }


def _standing(standing: Standing) -> Entry:
    versus = None if standing.versus is None else _rounded(asdict(standing.versus))
    return {**_rounded(asdict(standing.own)), "versus": versus}


def _presence(each: PresenceComparison) -> Entry:
    entry = _rounded(asdict(each))
    del entry["run"]
    return entry


def _line(standing: Standing) -> Entry:
    own = {name: getattr(standing.own, name) for name in ("n", "mean", "ci_low", "ci_high")}
    if standing.versus is None:
        return _rounded(own)
    versus = asdict(standing.versus)
    paired = {
        "n_pairs": versus["n"],
        "difference_low": versus["low"],
        "difference_high": versus["high"],
        **{name: value for name, value in versus.items() if name in COLUMNS and name != "n"},
    }
    return _rounded({**own, **paired})


def _presence_line(each: PresenceComparison) -> Entry:
    share = each.right / each.n if each.n else None
    limits = {"ci_low": each.low, "ci_high": each.high} if each.n else {}
    return _rounded({"n": each.n, "mean": share, **limits, "p": each.p, "p_holm": each.p_holm})


def _rounded(values: Entry) -> Entry:
    """Floats at six decimals, p values at four significant digits: small ones stay told apart."""
    return {
        name: _round(value, is_p=name == "p" or "p_holm" in name or name.endswith("_p"))
        for name, value in values.items()
    }


def _round(value: Any, is_p: bool) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.{_DIGITS_OF_P}g}") if is_p else round(value, _DECIMALS)

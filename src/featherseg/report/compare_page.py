"""One self-contained HTML page from a comparison."""

from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup

import featherseg
from featherseg.compare import (
    Comparison,
    MetricComparison,
    PresenceComparison,
    Standing,
)
from featherseg.images.overlay import label_colors
from featherseg.report import compare_words as words
from featherseg.report.compare_figures import differences_svg, scores_svg
from featherseg.report.compare_pictures import GridRow

_TEMPLATE = "compare.html.j2"
_SHORT_HASH = 12


def render_comparison(
    comparison: Comparison, labels: Sequence[str] = ("",), grid: Sequence[GridRow] = ()
) -> str:
    """The page as text; without `grid` it says how to get one. `labels` are those of the runs."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("featherseg.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(_TEMPLATE).render(
        comparison=comparison,
        version=featherseg.__version__,
        title=" and ".join(comparison.runs)
        if len(comparison.runs) == 2
        else f"{len(comparison.runs)} runs on the same cases",
        metrics=[_metric(metric, comparison.reference) for metric in comparison.metrics],
        presence=[
            _presence("Images with a lesion", "seen", comparison.sensitivity),
            _presence("Images without a lesion", "rightly left empty", comparison.specificity),
        ],
        laednet=[(run, words.p_text(p)) for run, p in comparison.laednet_p.items()],
        legend=_legend(labels),
        grid=grid,
        provenance=_provenance(comparison),
    )


def _metric(metric: MetricComparison, reference: str) -> dict[str, Any]:
    differences = differences_svg(metric)
    return {
        "title": words.metric_title(metric),
        "over": metric.over,
        "better": "higher" if metric.higher_is_better else "lower",
        "rows": [_row(standing, metric, reference) for standing in metric.standings],
        "scores": Markup(scores_svg(metric)),
        "differences": Markup(differences) if differences else None,
    }


def _row(standing: Standing, metric: MetricComparison, reference: str) -> dict[str, Any]:
    versus = standing.versus
    row: dict[str, Any] = {
        "run": standing.run,
        "role": "" if versus else "reference" if standing.run == reference else "baseline",
        "mean": words.mean_text(standing, metric),
        "interval": words.own_interval(standing, metric),
        "n": standing.own.n,
        "versus": None,
    }
    if versus is not None:
        row["versus"] = {
            "difference": words.difference_text(versus, metric),
            "interval": words.difference_interval(versus, metric),
            "n": versus.n,
            "p": words.p_text(versus.p_holm),
            "wilcoxon": words.p_text(versus.wilcoxon_p),
            "t": words.p_text(versus.paired_t_p),
            "welch": words.p_text(versus.welch_t_p),
            "dz": words.number(versus.cohens_dz, 2),
            "superiority": words.number(versus.superiority, 2),
            "ranks": words.number(versus.rank_biserial, 2),
            "verdict": versus.verdict,
        }
    return row


def _presence(title: str, what: str, parts: Sequence[PresenceComparison]) -> dict[str, Any]:
    return {
        "title": title,
        "what": what,
        "n": parts[0].n,
        "rows": [
            {
                "run": each.run,
                "share": words.number(each.right / each.n if each.n else None, 3),
                "interval": words.span(each.low, each.high),
                "count": words.count_text(each),
                "changes": words.changes_text(each),
                "p": words.p_text(each.p_holm),
            }
            for each in parts
        ],
    }


def _legend(labels: Sequence[str]) -> list[tuple[str, str]]:
    """(color, meaning) of every outline of the grid."""
    legend = []
    for number, label in enumerate(labels, start=1):
        found, truth = label_colors(number)
        what = f" {label}" if label else ""
        legend += [(f"rgb{truth}", f"true{what} outline"), (f"rgb{found}", f"found{what} outline")]
    return legend


def _provenance(comparison: Comparison) -> list[dict[str, str]]:
    """What is known of each run, a row each."""
    rows = []
    for name, stamp in comparison.stamps.items():
        known = {
            "network": stamp.model.get("network") if stamp else None,
            "model": stamp.model.get("id", "")[:_SHORT_HASH] if stamp else None,
            "subset": stamp.subset if stamp else None,
            "protocol": stamp.protocol if stamp else None,
            "split": (stamp.split_sha256 or "")[:_SHORT_HASH] if stamp else None,
            "chosen": stamp.chosen_on if stamp else None,
        }
        rows.append({"run": name, **{key: value or words.NONE for key, value in known.items()}})
    return rows

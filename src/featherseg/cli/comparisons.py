"""A comparison as compact tables on the terminal."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from featherseg.cli.console import output
from featherseg.compare import Comparison, MetricComparison, PresenceComparison
from featherseg.report import compare_words as words

_STYLES = {"better": "green", "worse": "red", "tie": "dim", "unknown": "dim"}


def print_comparison(comparison: Comparison) -> None:
    """Print a table for each metric and one for presence, then what to doubt."""
    _say(
        f"{comparison.n} images of {comparison.n_groups} independent cases, "
        f"compared with {comparison.reference}"
    )
    for metric in comparison.metrics:
        output().print(_metric(metric, comparison.reference))
    for title, parts in (
        ("lesions seen", comparison.sensitivity),
        ("images without a lesion left empty", comparison.specificity),
    ):
        if parts[0].n:
            output().print(_presence(title, parts, comparison.reference))
    for warning in comparison.warnings:
        output().print(f"note: {warning}", style="yellow", markup=False)
    _say(
        "Below each figure its 95 % interval. p: permutation test, for presence McNemar's, "
        "adjusted for all runs (Holm). A tie is not shown to differ. Changes: images that only "
        "this run has right (+), that only the reference has (−)."
    )


def _metric(metric: MetricComparison, reference: str) -> Table:
    better = "higher" if metric.higher_is_better else "lower"
    table = Table(
        title=f"{words.metric_title(metric)}, {metric.over}; {better} is better",
        title_justify="left",
    )
    for name in ("run", "mean", "difference", "p", "verdict"):
        table.add_column(name, overflow="fold")
    for standing in metric.standings:
        own = _two_lines(words.mean_text(standing, metric), words.own_interval(standing, metric))
        versus = standing.versus
        if versus is None:
            role = "reference" if standing.run == reference else "baseline"
            table.add_row(escape(standing.run), own, role, "", "", style=_dim(role))
            continue
        difference = _two_lines(
            words.difference_text(versus, metric), words.difference_interval(versus, metric)
        )
        table.add_row(
            escape(standing.run),
            own,
            difference,
            words.p_text(versus.p_holm),
            f"[{_STYLES[versus.verdict]}]{versus.verdict}[/]",
        )
    return table


def _presence(title: str, parts: Sequence[PresenceComparison], reference: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("run", "share", "images", "changes", "p"):
        table.add_column(name, overflow="fold")
    for each in parts:
        share = _two_lines(f"{each.right / each.n:.3f}", words.span(each.low, each.high))
        changes = words.changes_text(each)
        if each.gained is None:
            changes = "reference" if each.run == reference else "baseline"
        table.add_row(
            escape(each.run),
            share,
            words.count_text(each),
            changes,
            "" if each.p_holm is None else words.p_text(each.p_holm),
            style=_dim(changes),
        )
    return table


def _two_lines(figure: str, interval: str) -> str:
    """A figure with its interval below, so that columns stay narrow; a dash where there is none."""
    return figure if interval == words.NONE else f"{figure}\n{interval}"


def _dim(role: str) -> str:
    return "dim" if role == "baseline" else ""


def _say(text: str) -> None:
    output().print(text, markup=False)

"""A comparison as figures: each run's scores, and its differences from the reference."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from featherseg.compare import MetricComparison, Versus
from featherseg.report.compare_words import metric_title
from featherseg.report.distributions import draw_group
from featherseg.report.figures import INK, PALETTE, panels, style, to_svg

_WIDTH_INCHES = 4.6
_HEIGHT_INCHES = 0.95
_HEIGHT_A_RUN_INCHES = 0.42
# Names longer than this would leave no room for the dots.
_LONGEST_NAME = 20
# Dots on one spot are spread evenly: multiples of the golden ratio, without their whole part.
_GOLDEN = 0.6180339887498949
_JITTER = 0.5


def scores_svg(metric: MetricComparison) -> str:
    """Every case a dot, a row for each run; quartiles, median and mean beside them."""
    runs = [run for run, values in metric.values.items() if values]
    with style(f"scores {metric.name}"):
        axes, figure = _rows(runs)
        axes.set_title(metric_title(metric))
        for place, run in enumerate(runs):
            draw_group(axes, place, list(metric.values[run].values()), _color(metric, run))
        if metric.unit:
            axes.set_xlim(left=0)
        else:
            axes.set_xlim(-0.02, 1.02)
        return to_svg(figure)


def differences_svg(metric: MetricComparison) -> str | None:
    """Every case a dot at its difference from the reference, the mean with its interval.

    None where no run shares a case with the reference.
    """
    reference, *others = metric.values
    known = {
        standing.run: standing.versus
        for standing in metric.standings
        if standing.run in others and standing.versus is not None and standing.versus.n
    }
    if not known:
        return None
    with style(f"differences {metric.name}"):
        axes, figure = _rows(list(known))
        better = "right" if metric.higher_is_better else "left"
        axes.set_title(f"Difference from {_short(reference)}, {better} is better")
        for place, (run, versus) in enumerate(known.items()):
            shared = [case for case in metric.values[run] if case in metric.values[reference]]
            own = [metric.values[run][case] - metric.values[reference][case] for case in shared]
            _draw_differences(axes, place, own, versus, _color(metric, run))
        axes.axvline(0, color=INK, linewidth=1, linestyle="--")
        return to_svg(figure)


def _rows(names: Sequence[str]) -> tuple[Axes, Figure]:
    """Axes with a named row for each run, top to bottom, and their figure."""
    height = _HEIGHT_INCHES + _HEIGHT_A_RUN_INCHES * len(names)
    figure, (axes,) = panels(1, 1, (_WIDTH_INCHES, height))
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return axes, figure


def _draw_differences(
    axes: Axes, place: int, differences: Sequence[float], versus: Versus, color: str
) -> None:
    ordered = np.sort(np.asarray(differences, np.float64))
    jitter = (np.arange(ordered.size) * _GOLDEN % 1 - 0.5) * _JITTER
    axes.plot(ordered, place + jitter, "o", color=color, alpha=0.3, markersize=3, mew=0)
    if versus.low is not None and versus.high is not None:
        axes.plot([versus.low, versus.high], [place, place], color=INK, linewidth=3)
    axes.plot([ordered.mean()], [place], "D", color="white", markersize=5.5, mec=INK, mew=1.4)


def _color(metric: MetricComparison, run: str) -> str:
    return PALETTE[list(metric.values).index(run) % len(PALETTE)]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"

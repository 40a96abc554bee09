"""How a metric spreads over the images: every image a dot, quartiles and mean beside them."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from featherseg.case_table import Row
from featherseg.report.figures import INK, PALETTE, panels, style, to_svg

TITLES: Mapping[str, str] = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "Precision",
    "recall": "Recall",
    "hd95": "HD95",
    "assd": "ASSD",
    "nsd": "NSD",
    "boundary_iou": "Boundary IoU",
}
_DISTANCES = ("hd95", "assd")
_WIDTH_INCHES = 4.3
_HEIGHT_INCHES = 0.85
_HEIGHT_A_GROUP_INCHES = 0.42
# The fractional part of multiples of the golden ratio fills an interval evenly: jitter that is
# the same every time.
_GOLDEN = 0.6180339887498949
_JITTER = 0.5

Groups = Mapping[str, Sequence[float]]


def distribution_svgs(rows: Sequence[Row]) -> list[str]:
    """One SVG a metric, in the order of `TITLES`; metrics without a defined value are left out."""
    figures = []
    for metric in TITLES:
        groups = _groups(rows, metric)
        if groups:
            figures.append(_distribution(metric, groups, _unit(rows, metric)))
    return figures


def _groups(rows: Sequence[Row], metric: str) -> Groups:
    """Defined values by label where there are several, else by class of the image."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        name, _, label = row.metric.partition(":")
        if name == metric and row.value is not None:
            groups.setdefault(label or row.class_name or "all images", []).append(row.value)
    return groups


def _unit(rows: Sequence[Row], metric: str) -> str:
    units = {row.unit for row in rows if row.metric.partition(":")[0] == metric}
    return " and ".join(sorted(units - {""}))


def _distribution(metric: str, groups: Groups, unit: str) -> str:
    height = _HEIGHT_INCHES + _HEIGHT_A_GROUP_INCHES * len(groups)
    with style(f"distribution {metric}"):
        figure, (axes,) = panels(1, 1, (_WIDTH_INCHES, height))
        axes.set_title(TITLES[metric] + (f" ({unit})" if unit else ""))
        for place, values in enumerate(groups.values()):
            draw_group(axes, place, values, PALETTE[place % len(PALETTE)])
            axes.text(
                1.01, place, f"n {len(values)}", transform=axes.get_yaxis_transform(), va="center"
            )
        axes.set_yticks(range(len(groups)), list(groups))
        axes.set_ylim(len(groups) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        if metric in _DISTANCES:
            axes.set_xlim(left=0)
        else:
            axes.set_xlim(-0.02, 1.02)
        return to_svg(figure)


def draw_group(axes: Axes, place: int, values: Sequence[float], color: str) -> None:
    """A row of dots at height `place`: quartiles a line, the median a bar, the mean a diamond."""
    ordered = np.sort(np.asarray(values, np.float64))
    jitter = (np.arange(ordered.size) * _GOLDEN % 1 - 0.5) * _JITTER
    axes.plot(ordered, place + jitter, "o", color=color, alpha=0.45, markersize=3.2, mew=0)
    low, middle, high = np.quantile(ordered, [0.25, 0.5, 0.75])
    axes.plot([low, high], [place, place], color=INK, linewidth=1.4)
    axes.plot([middle], [place], "|", color=INK, markersize=14, mew=1.6)
    axes.plot([ordered.mean()], [place], "D", color="white", markersize=5, mec=INK, mew=1.2)

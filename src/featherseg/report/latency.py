"""Accuracy against latency, as in figure 8 of AL-Net (Du et al. 2022): up and left is better."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from featherseg.report.figures import INK, PALETTE, panels, style, to_svg
from featherseg.report.labels import Box, place_labels

_SIZE_INCHES = (8.0, 5.2)
# A color and a shape for each precision, so that neither has to be told by color alone.
_LOOKS = {"f32": (PALETTE[0], "o"), "bf16": (PALETTE[2], "s"), "int8": (PALETTE[1], "D")}
# The area of a marker grows with the parameters; tiny networks stay visible.
_AREA_A_MILLION, _SMALLEST_AREA, _LARGEST_AREA = 9.0, 16.0, 800.0
_LEGEND_MILLIONS = (2, 20, 60)
_LABEL_POINTS = 8.5
# A label further away than this from its marker gets a line to it.
_NEAR_POINTS = 6.0
_POINTS_AN_INCH = 72
_MARGIN = 0.12


@dataclass(frozen=True)
class Point:
    """A network: its latency, its score with a 95 % interval (None: unknown), and its size."""

    name: str
    latency_ms: float
    score: float
    low: float | None
    high: float | None
    parameters: int
    precision: str


def latency_svg(points: Sequence[Point], score_name: str, latency_name: str) -> str:
    """A plot of at least one point, every one named; equal points give equal bytes."""
    with style("latency"):
        figure, (axes,) = panels(1, 1, _SIZE_INCHES)
        axes.set_xscale("log")
        axes.set_xlabel(latency_name)
        axes.set_ylabel(score_name)
        for point in points:
            _draw(axes, point)
        _limits(axes, points)
        _legend(axes, points)
        _name(figure, axes, points)
        return to_svg(figure)


def _draw(axes: Axes, point: Point) -> None:
    color, marker = _LOOKS[point.precision]
    if point.low is not None and point.high is not None:
        axes.plot([point.latency_ms] * 2, [point.low, point.high], color=color, lw=1, alpha=0.45)
    axes.scatter(
        [point.latency_ms],
        [point.score],
        s=_area(point.parameters),
        color=color,
        marker=marker,
        alpha=0.8,
        edgecolors="white",
        linewidths=0.8,
        zorder=3,
    )


def _area(parameters: int) -> float:
    return min(_LARGEST_AREA, max(_SMALLEST_AREA, _AREA_A_MILLION * parameters / 1e6))


def _side(point: Point) -> float:
    """The side of the box around a marker; a diamond stands on its corner."""
    standing = 2 if _LOOKS[point.precision][1] == "D" else 1
    return sqrt(standing * _area(point.parameters))


def _limits(axes: Axes, points: Sequence[Point]) -> None:
    """Room for names at the sides; ticks as plain numbers at 1, 2 and 5."""
    times = [point.latency_ms for point in points]
    axes.set_xlim(min(times) / 1.6, max(times) * 1.6)
    axes.margins(y=_MARGIN)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legend(axes: Axes, points: Sequence[Point]) -> None:
    used = {point.precision for point in points}
    for precision, (color, marker) in _LOOKS.items():
        if precision in used:
            axes.scatter([], [], s=36, color=color, marker=marker, label=precision)
    for millions in _LEGEND_MILLIONS:
        area = _area(millions * 1_000_000)
        axes.scatter([], [], s=area, color="#94a3b8", label=f"{millions} M parameters")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), labelspacing=1.0)


def _name(figure: Figure, axes: Axes, points: Sequence[Point]) -> None:
    """Write each point's name where it covers least, with a line where that is far away."""
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    scale = _POINTS_AN_INCH / figure.dpi
    places = [scale * axes.transData.transform((point.latency_ms, point.score)) for point in points]
    sides = [_side(point) for point in points]
    markers = [Box.around(x, y, side, side) for (x, y), side in zip(places, sides, strict=True)]
    bounds = axes.bbox
    frame = Box(*(scale * side for side in (bounds.x0, bounds.y0, bounds.x1, bounds.y1)))
    sizes = [_text_size(axes, canvas, point.name, scale) for point in points]
    for point, place, marker, box in zip(
        points, places, markers, place_labels(markers, sizes, frame), strict=True
    ):
        offset = ((box.left + box.right) / 2 - place[0], (box.bottom + box.top) / 2 - place[1])
        line = {"arrowstyle": "-", "color": "#94a3b8", "linewidth": 0.6}
        axes.annotate(
            point.name,
            (point.latency_ms, point.score),
            offset,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=_LABEL_POINTS,
            color=INK,
            arrowprops=line if _is_far(marker, box) else None,
            annotation_clip=False,
        )


def _text_size(axes: Axes, canvas: FigureCanvasAgg, text: str, scale: float) -> tuple[float, float]:
    drawn = axes.text(0.5, 0.5, text, fontsize=_LABEL_POINTS, transform=axes.transAxes)
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    extent = drawn.get_window_extent(renderer)
    drawn.remove()
    return scale * extent.width, scale * extent.height


def _is_far(marker: Box, label: Box) -> bool:
    across = max(label.left - marker.right, marker.left - label.right)
    along = max(label.bottom - marker.top, marker.bottom - label.top)
    return max(across, along) > _NEAR_POINTS

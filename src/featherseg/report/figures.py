"""What every figure shares: matplotlib's object interface and an SVG that is always the same.

No pyplot: figures have no global state and need no display. The SVG holds no date and no
random ids, so equal data give equal bytes.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#334155"
GRID = "#e2e8f0"
# Okabe-Ito (Wong 2011, doi:10.1038/nmeth.1618), darker ones first, for lines on white paper.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: small files that can be searched and read aloud
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#94a3b8",
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "legend.frameon": False,
}


@contextmanager
def style(salt: str) -> Iterator[None]:
    """Draw and save inside this block; `salt` makes the ids of one page's figures differ."""
    settings: Any = {**_STYLE, "svg.hashsalt": salt}
    with matplotlib.rc_context(settings):
        yield


def panels(rows: int, columns: int, size_inches: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A new figure of rows x columns axes, in reading order."""
    figure = Figure(figsize=size_inches, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


def to_svg(figure: Figure) -> str:
    """The figure as an `<svg>` element, transparent, without XML prolog, date or unused ids."""
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # The style sheet would reach the whole page, and a fixed size would not fit a phone.
    text = re.sub(r"<(metadata|style).*?</\1>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' (width|height)="[^"]*pt"', "", text, count=2)
    text = text.replace("<svg ", '<svg style="stroke-linejoin: round" ', 1)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    return re.sub(r' id="([^"]+)"', lambda found: _kept(found, used), text)


def _kept(found: re.Match[str], used: set[str]) -> str:
    return found.group(0) if found.group(1) in used else ""

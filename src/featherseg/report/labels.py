"""Names beside the points of a plot, placed so that they do not cover each other.

A label tries the places around its point, near ones first, and takes the first that is free;
where none is, the one that covers least. All lengths are in points of 1/72 inch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Self

# How far the near edge of a label is from its marker, nearest first.
_GAPS = (2.0, 9.0, 18.0, 30.0, 44.0)
# Right, left, above, below, then the corners: which way the label lies from the marker.
_WAYS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


@dataclass(frozen=True)
class Box:
    """A rectangle with its sides along the axes."""

    left: float
    bottom: float
    right: float
    top: float

    @classmethod
    def around(cls, x: float, y: float, width: float, height: float) -> Self:
        """A box with its middle at (x, y)."""
        return cls(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    @property
    def area(self) -> float:
        """Width times height."""
        return (self.right - self.left) * (self.top - self.bottom)

    def shared_area(self, other: "Box") -> float:
        """The area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(0.0, width) * max(0.0, height)


def place_labels(
    markers: Sequence[Box], sizes: Sequence[tuple[float, float]], frame: Box
) -> list[Box]:
    """A box for each label, of its size (width, height), beside its marker and inside `frame`."""
    placed: list[Box] = []
    for marker, size in zip(markers, sizes, strict=True):
        others = [*markers, *placed]
        # The first of the least covered: min keeps the earlier of equals.
        placed.append(min(_candidates(marker, size), key=lambda box: _covers(box, others, frame)))
    return placed


def _candidates(marker: Box, size: tuple[float, float]) -> Iterator[Box]:
    width, height = size
    middle_x, middle_y = (marker.left + marker.right) / 2, (marker.bottom + marker.top) / 2
    for gap, (right, up) in product(_GAPS, _WAYS):
        away_x = (marker.right - marker.left + width) / 2 + gap
        away_y = (marker.top - marker.bottom + height) / 2 + gap
        yield Box.around(middle_x + right * away_x, middle_y + up * away_y, width, height)


def _covers(box: Box, others: Sequence[Box], frame: Box) -> float:
    outside = box.area - box.shared_area(frame)
    return outside + sum(box.shared_area(other) for other in others)

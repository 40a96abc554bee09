"""Dotted and dashed measuring lines: small bright dots at equal steps along a straight line."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.calipers.ink import DARKEST_INK, Bools, Box
from featherseg.types import Pixels

# Dots are smaller than this on their shorter side, and this much brighter than what is around.
_DOT_SIDE_PX = 4
_DOT_CONTRAST = 40
_LONGEST_DOT_PX = 7
_DOT_WIDTH_PX = 3
_LARGEST_DOT_PX2 = 18
_SHORTEST_STEP_PX, _LONGEST_STEP_PX = 3.0, 16.0
# A dot may lie this far from where the line expects it: its center is rounded to pixels.
_NEAR_PX = 1.2
_LEAST_DOTS = 9
# Share of the way between two crosses that a dotted line covers, dots taken three pixels wide.
_LEAST_DOTTED = 0.6
_MOST_MISSED = 1
# An image with more specks than this is grainy; the brightest are looked at.
_MOST_DOTS = 1200

Points = NDArray[np.float64]


def find_dotted_lines(level: Pixels) -> tuple[list[Box], Bools]:
    """Boxes of dotted lines, and the pixels of the dots and between them, bool (H, W)."""
    centers = _dots(level)
    used: set[int] = set()
    boxes = []
    drawn = np.zeros(level.shape, np.uint8)
    for line in _lines(centers):
        if len(used.intersection(line)) > len(line) // 2:
            continue
        used.update(line)
        low, high = centers[line].min(axis=0), centers[line].max(axis=0)
        top, left = np.floor(low).astype(int).tolist()
        bottom, right = np.ceil(high).astype(int).tolist()
        boxes.append((top, left, bottom + 1, right + 1))
        ends = centers[[line[0], line[-1]]].round().astype(int)[:, ::-1].tolist()
        cv2.line(drawn, ends[0], ends[1], 1, _DOT_WIDTH_PX)
    return boxes, np.asarray(drawn > 0)


def lines_between(level: Pixels, crosses: Sequence[Box]) -> Bools:
    """Pixels of the dotted lines that join two crosses, faint ones too, bool (H, W)."""
    near_dot = cv2.dilate(_bright(level), np.ones((3, 3), np.uint8))
    drawn = np.zeros(level.shape, np.uint8)
    for one, other in combinations(crosses, 2):
        start, end = (
            np.array([(b[0] + b[2] - 1) / 2, (b[1] + b[3] - 1) / 2]) for b in (one, other)
        )
        arms = (one[2] - one[0] + other[2] - other[0]) / 2
        length = float(np.hypot(*(end - start)))
        if length <= 2 * arms:
            continue
        shares = np.linspace(arms / length, 1 - arms / length, int(length))
        rows, cols = np.round(start[:, None] + shares * (end - start)[:, None]).astype(int)
        if near_dot[rows, cols].mean() >= _LEAST_DOTTED:
            ends = [tuple(point.round().astype(int)[::-1].tolist()) for point in (start, end)]
            cv2.line(drawn, ends[0], ends[1], 1, _DOT_WIDTH_PX)
    return np.asarray(drawn > 0)


def _bright(level: Pixels) -> Pixels:
    """1 where a level stands out on less than a dot's width, else 0."""
    side = _DOT_SIDE_PX + 1
    above = cv2.morphologyEx(level, cv2.MORPH_TOPHAT, np.ones((side, side), np.uint8))
    return np.asarray((above >= _DOT_CONTRAST) & (level >= DARKEST_INK), np.uint8)


def _dots(level: Pixels) -> Points:
    """The (row, col) centers of all that may be dots."""
    bright = _bright(level)
    _, _, stats, centers = cv2.connectedComponentsWithStats(bright, connectivity=8)
    longest = np.maximum(stats[:, 2], stats[:, 3])
    small = (longest <= _LONGEST_DOT_PX) & (stats[:, 4] <= _LARGEST_DOT_PX2)
    small[0] = False
    numbers = np.flatnonzero(small)
    if numbers.size > _MOST_DOTS:
        peak = level[tuple(centers[numbers].round().astype(int)[:, ::-1].T)].astype(int)
        numbers = np.sort(numbers[np.argsort(-peak, kind="stable")[:_MOST_DOTS]])
    return np.asarray(centers[numbers][:, ::-1], np.float64)


def _lines(centers: Points) -> Iterator[list[int]]:
    """Dots of each straight, evenly stepped row, by the number of its first dot."""
    for first in range(len(centers)):
        away = np.hypot(*(centers - centers[first]).T)
        for second in np.flatnonzero((away >= _SHORTEST_STEP_PX) & (away <= _LONGEST_STEP_PX)):
            # Each row is walked from its left or upper end only.
            if (centers[second][1], centers[second][0]) > (centers[first][1], centers[first][0]):
                line = _walk(centers, first, int(second))
                if len(line) >= _LEAST_DOTS:
                    yield line


def _walk(centers: Points, first: int, second: int) -> list[int]:
    """The dots that follow at equal steps; one may be missing at a time."""
    line, steps, missed = [first, second], 1, 0
    while missed <= _MOST_MISSED:
        stride = (centers[line[-1]] - centers[first]) / steps
        expected = centers[line[-1]] + stride * (1 + missed)
        away = np.abs(centers - expected).max(axis=1)
        nearest = int(away.argmin())
        if away[nearest] <= _NEAR_PX and nearest not in line:
            line.append(nearest)
            steps, missed = steps + 1 + missed, 0
        else:
            missed += 1
    return line

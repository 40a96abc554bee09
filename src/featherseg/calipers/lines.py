"""Dotted and dashed measuring lines: small bright dots at equal steps along a straight line."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.calipers.ink import DARKEST_INK, Bools, Box
from featherseg.types import Pixels

# Dots are smaller than this on their shorter side, and this much brighter than what is around.
_DOT_SIDE_PX = 4
_DOT_CONTRAST = 40
_LONGEST_DOT_PX = 7
_LARGEST_DOT_PX2 = 18
_SHORTEST_STEP_PX, _LONGEST_STEP_PX = 3.0, 16.0
# A dot may lie this far from where the line expects it: its center is rounded to pixels.
_NEAR_PX = 1.2
_LEAST_DOTS = 9
_MOST_MISSED = 1
# An image with more specks than this is grainy; the brightest are looked at.
_MOST_DOTS = 1200

Points = NDArray[np.float64]


def find_dotted_lines(level: Pixels) -> tuple[list[Box], Bools]:
    """Boxes of dotted lines, and the pixels of their dots, bool (H, W)."""
    parts, numbers, centers = _dots(level)
    used: set[int] = set()
    boxes = []
    for line in _lines(centers):
        if len(used.intersection(line)) > len(line) // 2:
            continue
        used.update(line)
        low, high = centers[line].min(axis=0), centers[line].max(axis=0)
        top, left = np.floor(low).astype(int).tolist()
        bottom, right = np.ceil(high).astype(int).tolist()
        boxes.append((top, left, bottom + 1, right + 1))
    return boxes, np.isin(parts, numbers[sorted(used)])


def _dots(level: Pixels) -> tuple[NDArray[np.int32], NDArray[np.int64], Points]:
    """Numbered parts (H, W), the numbers of those that are dots, and their (row, col) centers."""
    side = _DOT_SIDE_PX + 1
    above = cv2.morphologyEx(level, cv2.MORPH_TOPHAT, np.ones((side, side), np.uint8))
    bright = ((above >= _DOT_CONTRAST) & (level >= DARKEST_INK)).astype(np.uint8)
    _, parts, stats, centers = cv2.connectedComponentsWithStats(bright, connectivity=8)
    longest = np.maximum(stats[:, 2], stats[:, 3])
    small = (longest <= _LONGEST_DOT_PX) & (stats[:, 4] <= _LARGEST_DOT_PX2)
    small[0] = False
    numbers = np.flatnonzero(small)
    if numbers.size > _MOST_DOTS:
        peak = above[tuple(centers[numbers].round().astype(int)[:, ::-1].T)].astype(int)
        numbers = np.sort(numbers[np.argsort(-peak, kind="stable")[:_MOST_DOTS]])
    return np.asarray(parts, np.int32), numbers, np.asarray(centers[numbers][:, ::-1], np.float64)


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

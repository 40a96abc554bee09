"""Burned-in letters and digits."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from featherseg.calipers.ink import Bools, Box, darkest_near, sharp_ink
from featherseg.types import Pixels

_LEAST_HEIGHT_PX, _MOST_HEIGHT_PX = 5, 64
_LEAST_AREA_PX = 8
# Widest letter, in its heights; letters that touch make it wider than one.
_WIDEST = 3.0
# Share of its box that a letter fills: less is a long curve, more is a blob (but see bars).
_LEAST_FILL = 0.18
# How far the level falls within one pixel of a letter's edge, in gray levels, and as a share of
# the fall within three; an echo is blurred by the beam and falls slowly.
_SHARP, _VERY_SHARP = 60.0, 105.0
_SUDDEN = 0.55
# Letters of one line: heights within this ratio, feet within this share, gaps below this share.
_HEIGHT_RATIO, _FOOT_SHARE, _GAP_SHARE = 1.6, 0.35, 1.2
# Letters this many heights away are neighbors, one letter between them.
_NEIGHBOR_HEIGHTS = 2.0
# Widest lone letter, in its heights.
_WIDEST_ALONE = 1.5
# A line of merely sharp figures is text from this many on.
_LEAST_IN_LINE = 3


@dataclass(frozen=True)
class _Glyph:
    box: Box
    fall: float


def find_text(level: Pixels, taken: Bools) -> list[list[Box]]:
    """Lines of letters and digits, a box each; `taken` pixels belong to other marks.

    A figure with a very sharp edge all around counts alone; others in lines of three and more.
    """
    lines = [
        line if len(line) >= _LEAST_IN_LINE else [one for one in line if _stands_out(one)]
        for line in _lines(_glyphs(level, taken))
    ]
    return [[glyph.box for glyph in line] for line in lines if line]


def _stands_out(glyph: _Glyph) -> bool:
    top, left, bottom, right = glyph.box
    return glyph.fall >= _VERY_SHARP and right - left <= _WIDEST_ALONE * (bottom - top)


def is_letter(box: Box, line: Sequence[Box]) -> bool:
    """Whether a cross is an x or part of a k: on a line of text, close to two of its letters."""
    top, left, bottom, right = box
    height = max(other[2] - other[0] for other in line)
    near = [
        other
        for other in line
        if top >= other[0] - _FOOT_SHARE * height
        and bottom <= other[2] + _FOOT_SHARE * height
        and max(left - other[3], other[1] - right) <= _NEIGHBOR_HEIGHTS * height
    ]
    return len(near) > 1


def _glyphs(level: Pixels, taken: Bools) -> list[_Glyph]:
    ink = (sharp_ink(level) & ~taken).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    near, far = darkest_near(level, 3), darkest_near(level, 7)
    left, top, width, height, area = stats.T
    fits = (height >= _LEAST_HEIGHT_PX) & (height <= _MOST_HEIGHT_PX) & (width <= _WIDEST * height)
    fits &= (area >= _LEAST_AREA_PX) & (area >= _LEAST_FILL * width * height)
    fits[0] = False
    glyphs = []
    for part in np.flatnonzero(fits).tolist():
        box = (top[part], left[part], top[part] + height[part], left[part] + width[part])
        place = (slice(box[0], box[2]), slice(box[1], box[3]))
        shape = parts[place] == part
        core = cv2.erode(np.pad(shape, 1).astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
        edge = shape & (core == 0)
        ink_value = float(np.percentile(level[place][shape], 75))
        fall = ink_value - float(np.median(near[place][edge]))
        whole = ink_value - float(np.median(far[place][edge]))
        if fall >= _SHARP and fall >= _SUDDEN * whole:
            glyphs.append(_Glyph((int(box[0]), int(box[1]), int(box[2]), int(box[3])), fall))
    return glyphs


def _lines(glyphs: list[_Glyph]) -> list[list[_Glyph]]:
    """Glyphs that stand side by side on one foot line, from left to right."""
    lines: list[list[_Glyph]] = []
    for glyph in sorted(glyphs, key=lambda each: (each.box[1], each.box[0])):
        home = next((line for line in lines if _follows(glyph.box, line[-1].box)), None)
        if home is None:
            lines.append([glyph])
        else:
            home.append(glyph)
    return lines


def _follows(box: Box, before: Box) -> bool:
    heights = (box[2] - box[0], before[2] - before[0])
    tall = max(heights)
    return (
        tall <= _HEIGHT_RATIO * min(heights)
        and abs(box[2] - before[2]) <= _FOOT_SHARE * tall
        and -2 <= box[1] - before[3] <= _GAP_SHARE * tall
    )

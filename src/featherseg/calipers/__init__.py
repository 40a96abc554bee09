"""Calipers and text that a scanner has burned into an image: where they are, and without them.

Marks are thin, flat and bright, and their edges are sharper than any echo's. A cross is four
equal arms that meet; a measuring line is a row of dots at equal steps; a letter is a small figure
in a row of others, or one that stands out as no echo does. Classical vision, no training: it
knows what is drawn, not what is meant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from featherseg.calipers.crosses import find_crosses
from featherseg.calipers.ink import Bools, Box, ink_level, sharp_ink, within
from featherseg.calipers.lines import find_dotted_lines
from featherseg.calipers.text import find_text
from featherseg.types import Pixels

# What is taken away is this much wider than the ink, for its soft and its black outline.
_RIM_PX = 2
_INPAINT_RADIUS_PX = 3.0
# The ground of a box is the median this far around it.
_SURROUNDINGS_PX = 8


@dataclass(frozen=True)
class Marks:
    """Burned-in marks of one image.

    ``mask`` is bool (H, W), True on marked pixels and the two around them; ``calipers`` (crosses
    and dotted measuring lines) and ``text`` are boxes (top, left, bottom, right) in pixels,
    bottom and right exclusive.
    """

    mask: Bools
    calipers: tuple[Box, ...]
    text: tuple[Box, ...]

    @property
    def has_calipers(self) -> bool:
        """Whether any cross or dotted measuring line was found."""
        return bool(self.calipers)

    @property
    def has_text(self) -> bool:
        """Whether any letters or digits were found."""
        return bool(self.text)


def find_marks(pixels: Pixels) -> Marks:
    """Find crosses (+ and x), dotted lines and text in (H, W) gray or (H, W, 3) RGB uint8 pixels.

    Marks are taken to be brighter than what they are on, in one channel at least. Arms of a
    cross have 3 to 24 px, letters are 5 to 64 px high, dots of a line stand 3 to 16 px apart.
    Dark marks, solid lines and frames are not looked for.
    """
    level = ink_level(pixels)
    crosses = find_crosses(level)
    lines, dots = find_dotted_lines(level)
    taken = within(crosses, level.shape, margin=1) | dots
    text, crosses = _letters_apart(find_text(level, taken), crosses)
    calipers = (*crosses, *lines)
    mask = sharp_ink(level) & within((*crosses, *text), level.shape, margin=1) | dots
    side = 2 * _RIM_PX + 1
    wider = cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8))
    return Marks(np.asarray(wider > 0), calipers, tuple(text))


def _letters_apart(
    text: Sequence[Box], crosses: Sequence[Box]
) -> tuple[tuple[Box, ...], tuple[Box, ...]]:
    """An x or a + between the letters of a line of text is a letter."""
    kept = tuple(cross for cross in crosses if not _in_a_line(cross, text))
    return tuple(text), kept


def _in_a_line(box: Box, text: Sequence[Box]) -> bool:
    """Whether letters of the same height stand close on both sides."""
    top, left, bottom, right = box
    height = bottom - top
    sides = set()
    for other in text:
        alike = abs(other[0] - top) <= 0.3 * height and abs(other[2] - bottom) <= 0.3 * height
        if alike and 0 <= left - other[3] <= height:
            sides.add("left")
        if alike and 0 <= other[1] - right <= height:
            sides.add("right")
    return len(sides) == 2


def remove_marks(pixels: Pixels, marks: Marks, how: Literal["inpaint", "mask"]) -> Pixels:
    """The image without its marks: ``inpaint`` continues what is around them, ``mask`` blanks.

    ``inpaint`` is Telea's fast marching (2004, doi:10.1080/10867651.2004.10487596) over
    ``marks.mask``; ``mask`` fills every connected part of it with the median of the pixels
    around. Other pixels stay as they are; a new array of the same shape, uint8.
    """
    if how == "inpaint":
        where = marks.mask.astype(np.uint8)
        return np.asarray(cv2.inpaint(pixels, where, _INPAINT_RADIUS_PX, cv2.INPAINT_TELEA))
    filled = pixels.copy()
    count, parts, stats, _ = cv2.connectedComponentsWithStats(marks.mask.astype(np.uint8))
    for part in range(1, count):
        left, top, width, height = stats[part, :4].tolist()
        rows = slice(max(0, top - _SURROUNDINGS_PX), top + height + _SURROUNDINGS_PX)
        cols = slice(max(0, left - _SURROUNDINGS_PX), left + width + _SURROUNDINGS_PX)
        ground = pixels[rows, cols][~marks.mask[rows, cols]]
        if ground.size:
            filled[rows, cols][parts[rows, cols] == part] = np.median(ground, axis=0)
    return filled


__all__ = ["Box", "Marks", "find_marks", "remove_marks"]

"""Calipers and text that a scanner has burned into an image: where they are, and without them.

Marks are thin, flat and bright, and their edges are sharper than any echo's. A cross is four
equal arms that meet; a measuring line is a row of dots at equal steps; a letter is a small figure
in a row of others, or one that stands out as no echo does. Classical vision, no training: it
knows what is drawn, not what is meant.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.calipers.crosses import find_crosses
from featherseg.calipers.ink import Bools, Box, ink_levels, sharp_ink, touching, within
from featherseg.calipers.lines import find_dotted_lines, lines_between
from featherseg.calipers.text import find_text, is_letter
from featherseg.types import Pixels

# What is taken away is this much wider than the ink, for its soft and its black outline.
_RIM_PX = 3
_INPAINT_RADIUS_PX = 3.0
# A cross is about as wide as high, and this like its mirror image (IoU).
_LEAST_SQUARE, _LEAST_OVERLAP = 0.75, 0.6
# What covers a mark is a median of its surroundings, tile by tile.
_TILE_PX, _SURROUNDINGS_PX = 16, 8


@dataclass(frozen=True)
class Marks:
    """Burned-in marks of one image.

    ``mask`` is bool (H, W), True on marked pixels and the three around them; ``calipers`` (crosses
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
    found = [_marks_of(level) for level in ink_levels(pixels)]
    mask = np.logical_or.reduce([each.mask for each in found])
    calipers = dict.fromkeys(box for each in found for box in each.calipers)
    text = dict.fromkeys(box for each in found for box in each.text)
    return Marks(mask, tuple(calipers), tuple(text))


def _marks_of(level: Pixels) -> Marks:
    """The marks of one level, in which ink is bright."""
    crosses = find_crosses(level)
    lines, dots = find_dotted_lines(level)
    text = find_text(level, within(crosses, level.shape, margin=_RIM_PX) | dots)
    letters = [cross for cross in crosses if any(is_letter(cross, line) for line in text)]
    crosses = [cross for cross in crosses if cross not in letters]
    ink = sharp_ink(level)
    boxes = [box for line in text for box in line]
    if crosses or lines:
        # Beside calipers, a lone figure with four like quarters is a cross that was overlooked.
        more = [line[0] for line in text if len(line) == 1 and _is_symmetric(ink, line[0])]
        boxes, crosses = [box for box in boxes if box not in more], [*crosses, *more]
    boxes += letters
    ink = touching(ink, within((*crosses, *boxes), level.shape, margin=1)) | dots
    ink |= lines_between(level, crosses)
    side = 2 * _RIM_PX + 1
    wider = cv2.dilate(ink.astype(np.uint8), np.ones((side, side), np.uint8))
    return Marks(np.asarray(wider > 0), (*crosses, *lines), tuple(boxes))


def _is_symmetric(ink: Bools, box: Box) -> bool:
    """Whether a square figure is nearly its own mirror image, both ways."""
    top, left, bottom, right = box
    shape = ink[top:bottom, left:right]
    mirrored = (shape[::-1], shape[:, ::-1])
    square = _LEAST_SQUARE <= shape.shape[0] / shape.shape[1] <= 1 / _LEAST_SQUARE
    return square and all(
        (shape & other).sum() >= _LEAST_OVERLAP * (shape | other).sum() for other in mirrored
    )


def remove_marks(pixels: Pixels, marks: Marks, how: Literal["inpaint", "mask"]) -> Pixels:
    """The image without its marks: ``inpaint`` continues what is around them, ``mask`` blanks.

    ``inpaint`` is Telea's fast marching (2004, doi:10.1080/10867651.2004.10487596) over
    ``marks.mask``; ``mask`` fills it, in tiles of 16 pixels, with the median of the unmarked
    pixels in and 8 pixels around the tile. Other pixels stay as they are; a new array of the
    same shape, uint8.
    """
    if how == "inpaint":
        where = marks.mask.astype(np.uint8)
        return np.asarray(cv2.inpaint(pixels, where, _INPAINT_RADIUS_PX, cv2.INPAINT_TELEA))
    filled = pixels.copy()
    for top, left in np.unique(np.argwhere(marks.mask) // _TILE_PX, axis=0) * _TILE_PX:
        tile = (slice(top, top + _TILE_PX), slice(left, left + _TILE_PX))
        filled[tile][marks.mask[tile]] = _ground(pixels, marks.mask, top, left)
    return filled


def _ground(pixels: Pixels, mask: Bools, top: int, left: int) -> NDArray[np.float64]:
    """The median of unmarked pixels near a tile, by channel; 0 where all pixels are marked."""
    around = _SURROUNDINGS_PX
    while around < 2 * max(mask.shape):
        rows = slice(max(0, top - around), top + _TILE_PX + around)
        cols = slice(max(0, left - around), left + _TILE_PX + around)
        ground = pixels[rows, cols][~mask[rows, cols]]
        if ground.size:
            return np.asarray(np.median(ground, axis=0), np.float64)
        around *= 2
    return np.zeros(pixels.shape[2:], np.float64)


__all__ = ["Box", "Marks", "find_marks", "remove_marks"]

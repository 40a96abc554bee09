"""What all marks share: a level in which they are bright, and edges sharper than an echo's."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.types import Pixels

Box = tuple[int, int, int, int]
Bools = NDArray[np.bool_]

# Strokes are narrower than this, so an opening of this width takes them away.
_WIDEST_STROKE_PX = 10
_LARGEST_MARK_PX = 64
# Ink exceeds what is under it by this many gray levels, and is at least this bright.
CONTRAST = 60
DARKEST_INK = 120


def ink_levels(pixels: Pixels) -> list[Pixels]:
    """Images, uint8 (H, W), in which ink is bright: brightest channel, and saturation if any.

    Echoes are gray, so colored ink stands out from them in saturation however bright they are.
    """
    if pixels.ndim == 2:
        return [pixels]
    brightest, darkest = pixels.max(axis=2), pixels.min(axis=2)
    saturation = brightest - darkest
    return [brightest, saturation] if (saturation >= DARKEST_INK).any() else [brightest]


def sharp_ink(level: Pixels, contrast: int = CONTRAST) -> Bools:
    """Pixels that stand out from their surroundings on a narrow stroke, bool (H, W)."""
    side = _WIDEST_STROKE_PX + 1
    above = cv2.morphologyEx(level, cv2.MORPH_TOPHAT, np.ones((side, side), np.uint8))
    return np.asarray((above >= contrast) & (level >= DARKEST_INK))


def darkest_near(level: Pixels, side: int) -> Pixels:
    """The minimum over a square of `side` pixels."""
    return np.asarray(cv2.erode(level, np.ones((side, side), np.uint8)), np.uint8)


def within(boxes: Iterable[Box], size: tuple[int, ...], margin: int) -> Bools:
    """True inside the boxes, each wider by `margin` on every side."""
    inside = np.zeros(size[:2], np.bool_)
    for top, left, bottom, right in boxes:
        inside[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin] = 1
    return inside


def touching(ink: Bools, where: Bools) -> Bools:
    """All of each connected part of `ink` that reaches into `where`, if it is small.

    Of a larger part only what is inside: there a mark runs into tissue.
    """
    _, parts, stats, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    small = np.maximum(stats[:, 2], stats[:, 3]) <= _LARGEST_MARK_PX
    small[0] = False
    reached = np.zeros(len(stats), np.bool_)
    reached[np.unique(parts[where])] = True
    return np.asarray((reached & small)[parts] | (ink & where))

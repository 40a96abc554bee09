"""Pictures of results: thin outlines and a light fill over an image.

Colors are those of Okabe and Ito, told apart with every common color blindness (Wong 2011,
doi:10.1038/nmeth.1618): warm for what was found, cool for the truth, one pair a label.
"""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

from featherseg.errors import ImageError
from featherseg.types import Mask, Pixels

Color = tuple[int, int, int]
# A label that occurs, its pixels (0 and 1) in their box, and (left, top, width, height): only the
# box is worked on, since most of a frame is background.
Part = tuple[int, Mask, Sequence[int]]

FOUND_COLORS: tuple[Color, ...] = ((230, 159, 0), (204, 121, 167), (240, 228, 66))
TRUTH_COLORS: tuple[Color, ...] = ((86, 180, 233), (0, 158, 115), (255, 255, 255))
_FILL_OPACITY = 0.14
_VALUES = 256
# One pixel of outline for this many pixels of the shorter side, so that large frames stay legible.
_PIXELS_PER_OUTLINE_PIXEL = 220
# The truth lies below and a little wider, so that it is seen where both agree.
_TRUTH_MARGIN_PX = 2


def overlay(pixels: Pixels, mask: Mask, truth: Mask | None = None) -> Pixels:
    """Draw what was found, and the truth where it is known, over an image.

    `pixels` is uint8 (H, W) or (H, W, 3); `mask` and `truth` are integer labels (H, W), 0 the
    background. Gives a new uint8 RGB (H, W, 3). Raises ImageError when the sizes differ.
    """
    for name, drawn in (("mask", mask), ("true mask", truth)):
        if drawn is not None and drawn.shape != pixels.shape[:2]:
            raise ImageError(
                f"the {name} is {_size(drawn)}, the image {_size(pixels)}; "
                "draw a mask on the image it was made from"
            )
    is_gray = pixels.ndim == 2
    canvas = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if is_gray else pixels.copy()
    canvas = np.asarray(canvas, np.uint8)
    found = _parts(mask)
    _fill(canvas, found)
    width_px = max(1, round(min(mask.shape) / _PIXELS_PER_OUTLINE_PIXEL))
    if truth is not None:
        _outline(canvas, _parts(truth), TRUTH_COLORS, width_px + _TRUTH_MARGIN_PX)
    _outline(canvas, found, FOUND_COLORS, width_px)
    return canvas


def label_colors(label: int) -> tuple[Color, Color]:
    """The RGB colors (found, truth) of a label 1, 2, ...; they repeat after three."""
    place = (label - 1) % len(FOUND_COLORS)
    return FOUND_COLORS[place], TRUTH_COLORS[place]


def _fill(canvas: Pixels, parts: list[Part]) -> None:
    for label, part, (left, top, width, height) in parts:
        window = canvas[top : top + height, left : left + width]
        window[:] = cv2.copyTo(cv2.LUT(window, _blended(label)), part, window)


@cache
def _blended(label: int) -> Pixels:
    """What each value of each channel becomes below a label's color: uint8 (1, 256, 3)."""
    color = np.asarray(label_colors(label)[0], np.float32)
    values = np.arange(_VALUES, dtype=np.float32)[np.newaxis, :, np.newaxis]
    return np.round((1 - _FILL_OPACITY) * values + _FILL_OPACITY * color).astype(np.uint8)


def _outline(canvas: Pixels, parts: list[Part], colors: tuple[Color, ...], width_px: int) -> None:
    for label, part, (left, top, _, _) in parts:
        contours, _ = cv2.findContours(
            part, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top)
        )
        color = colors[(label - 1) % len(colors)]
        cv2.drawContours(canvas, contours, -1, color, width_px, cv2.LINE_AA)


def _parts(mask: Mask) -> list[Part]:
    parts: list[Part] = []
    for label in range(1, int(mask.max(initial=0)) + 1):
        part = (mask == label).view(np.uint8)
        left, top, width, height = box = cv2.boundingRect(part)
        if width:
            window = np.ascontiguousarray(part[top : top + height, left : left + width])
            parts.append((label, window, box))
    return parts


def _size(array: Pixels) -> str:
    return f"{array.shape[0]}x{array.shape[1]}"

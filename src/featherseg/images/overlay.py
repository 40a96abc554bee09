"""Pictures of results: thin outlines and a light fill over an image.

Colors are those of Okabe and Ito, told apart with every common color blindness (Wong 2011,
doi:10.1038/nmeth.1618): warm for what was found, cool for the truth, one pair a label.
"""

from collections.abc import Iterable

import cv2
import numpy as np

from featherseg.errors import ImageError
from featherseg.postprocess import Window, label_parts
from featherseg.types import Mask, Pixels

Color = tuple[int, int, int]
# A label, its pixels (0 and 1) in their box, and the box: only that is worked on.
Part = tuple[int, Mask, Window]

FOUND_COLORS: tuple[Color, ...] = ((230, 159, 0), (204, 121, 167), (240, 228, 66))
TRUTH_COLORS: tuple[Color, ...] = ((86, 180, 233), (0, 158, 115), (255, 255, 255))
_FILL_OPACITY = 0.14
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
    found = list(label_parts(mask))
    _fill(canvas, found)
    width_px = max(1, round(min(mask.shape) / _PIXELS_PER_OUTLINE_PIXEL))
    if truth is not None:
        _outline(canvas, label_parts(truth), TRUTH_COLORS, width_px + _TRUTH_MARGIN_PX)
    _outline(canvas, found, FOUND_COLORS, width_px)
    return canvas


def label_colors(label: int) -> tuple[Color, Color]:
    """The RGB colors (found, truth) of a label 1, 2, ...; they repeat after three."""
    place = (label - 1) % len(FOUND_COLORS)
    return FOUND_COLORS[place], TRUTH_COLORS[place]


def _fill(canvas: Pixels, parts: Iterable[Part]) -> None:
    for label, part, box in parts:
        window = canvas[box]
        color = np.empty_like(window)
        # Much quicker than assigning three values to every pixel.
        cv2.rectangle(color, (0, 0), part.shape[::-1], label_colors(label)[0], cv2.FILLED)
        blended = cv2.addWeighted(window, 1 - _FILL_OPACITY, color, _FILL_OPACITY, 0)
        cv2.copyTo(blended, part, window)


def _outline(
    canvas: Pixels, parts: Iterable[Part], colors: tuple[Color, ...], width_px: int
) -> None:
    for label, part, (rows, columns) in parts:
        contours, _ = cv2.findContours(
            part, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(columns.start, rows.start)
        )
        color = colors[(label - 1) % len(colors)]
        cv2.drawContours(canvas, contours, -1, color, width_px, cv2.LINE_AA)


def _size(array: Pixels) -> str:
    return f"{array.shape[0]}x{array.shape[1]}"

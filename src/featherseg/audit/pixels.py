"""What an image's pixels show besides anatomy: color drawn into gray, or nothing at all."""

import numpy as np
from numpy.typing import NDArray

from featherseg.types import Pixels

# Channels of a gray picture differ by less after lossy compression.
_COLORED = 24
# Fewer colored pixels are noise; a picture with more than half of them is a color picture.
_FEWEST_COLORED, _MOST_COLORED_SHARE = 25, 0.5
# Gray values that deviate less (standard deviation) show nothing.
_BLANK_DEVIATION = 0.5


def colored(pixels: Pixels) -> NDArray[np.bool_]:
    """Where an image has color, bool (H, W); nowhere in a gray one."""
    if pixels.ndim == 2:
        return np.zeros((pixels.shape[0], pixels.shape[1]), np.bool_)
    spread = pixels.max(axis=2) - pixels.min(axis=2)
    return np.asarray(spread > _COLORED)


def has_color_overlay(pixels: Pixels) -> bool:
    """Whether an otherwise gray image holds colored pixels: a Doppler box, a mark, a frame."""
    count = int(colored(pixels).sum())
    height, width = pixels.shape[:2]
    return bool(_FEWEST_COLORED <= count <= _MOST_COLORED_SHARE * height * width)


def is_constant(pixels: Pixels) -> bool:
    """Whether an image is of one gray value, or nearly so."""
    return bool(pixels.std() < _BLANK_DEVIATION)

"""An image to a network's input, and the geometry that leads back.

This is the only place where the size and the intensities of an input are decided; training
packs its data with `fit_pixels` and deployment prepares frames with it.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from featherseg.types import Floats, Pixels

_UINT8_MAX = 255.0


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects.

    ``input_size`` is (height, width) in pixels; images are stretched to it, as in the papers.
    ``channels`` is 1 (gray) or 3 (RGB, gray repeated). Values are divided by 255, then
    ``mean`` is subtracted and the result divided by ``std``.
    """

    input_size: tuple[int, int]
    channels: int = 3
    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True)
class Geometry:
    """Where an input came from: sizes in pixels, (height, width)."""

    image_size: tuple[int, int]
    input_size: tuple[int, int]


def preprocess(pixels: Pixels, expected: Preprocessing) -> tuple[Floats, Geometry]:
    """Turn (H, W) or (H, W, 3) uint8 pixels into a float32 batch (1, C, h, w)."""
    fitted = fit_pixels(pixels, expected.input_size, expected.channels)
    geometry = Geometry((pixels.shape[0], pixels.shape[1]), expected.input_size)
    return normalize(fitted[np.newaxis], expected), geometry


def fit_pixels(pixels: Pixels, size: tuple[int, int], channels: int) -> Pixels:
    """Stretch to `size` (height, width) and give (h, w, channels) uint8.

    Shrinking averages areas (no aliasing), enlarging is bilinear, each axis for itself. Gray is
    repeated for three channels; color is weighed by ITU-R BT.601 luma for one.
    """
    if pixels.ndim == 3 and channels == 1:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    fitted = _stretch(pixels, size)
    if fitted.ndim == 3:
        return fitted
    if channels == 1:
        return fitted[:, :, np.newaxis]
    return np.asarray(cv2.cvtColor(fitted, cv2.COLOR_GRAY2RGB), np.uint8)


def _stretch(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Shrink the axes that shrink, then enlarge the others: one may shrink and one grow."""
    shrunk = (min(pixels.shape[0], size[0]), min(pixels.shape[1], size[1]))
    for target, interpolation in ((shrunk, cv2.INTER_AREA), (size, cv2.INTER_LINEAR)):
        if pixels.shape[:2] != target:
            resized = cv2.resize(pixels, target[::-1], interpolation=interpolation)
            pixels = np.asarray(resized, np.uint8)
    return pixels


def fit_mask(mask: Pixels, size: tuple[int, int]) -> Pixels:
    """Bring integer labels (H, W) to `size` (height, width) by nearest neighbor."""
    height, width = size
    resized = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, np.uint8)


def normalize(batch: Pixels, expected: Preprocessing) -> Floats:
    """Turn uint8 (N, h, w, C) into contiguous float32 (N, C, h, w)."""
    scale, shift = scale_and_shift(expected)
    planes = np.ascontiguousarray(batch.transpose(0, 3, 1, 2), dtype=np.float32)
    planes *= scale
    planes -= shift
    return planes


def scale_and_shift(expected: Preprocessing) -> tuple[np.float32, np.float32]:
    """What uint8 values are multiplied by, and what is then subtracted."""
    scale = np.float32(1.0 / (_UINT8_MAX * expected.std))
    return scale, np.float32(expected.mean / expected.std)

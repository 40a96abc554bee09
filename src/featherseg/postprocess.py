"""Logits to a mask on the image's own grid, at an operating point.

The order is the Lighter U-net paper's: probabilities are brought to the image's size, then
thresholded; small parts and, if asked, all but the largest part of each label are removed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.preprocess import Geometry
from featherseg.shape import components
from featherseg.types import Floats, Mask

Window = tuple[slice, slice]


@dataclass(frozen=True)
class OperatingPoint:
    """How probabilities become a mask.

    A pixel is foreground where the probability of any foreground is greater than
    ``threshold``. Connected parts (8-neighborhood) smaller than ``smallest_area`` (a fraction
    of the image's area, so that it holds at any resolution) are dropped; ``components`` keeps
    all parts or the largest one of each label. A network with a presence output finds nothing
    where the probability of presence is not above ``presence_threshold``; None asks for nothing.
    """

    threshold: float = 0.5
    smallest_area: float = 0.0
    components: Literal["all", "largest"] = "all"
    presence_threshold: float | None = None


def postprocess(
    logits: Floats, geometry: Geometry, point: OperatingPoint, presence: Floats | None = None
) -> tuple[Mask, Floats]:
    """Turn logits (C, h, w) into a uint8 mask and a float32 foreground probability, both (H, W).

    C = 1 is one sigmoid map (labels 0 and 1); C > 1 is a softmax with channel 0 as background.
    `presence` holds the presence logit of a network that has that output; it decides about the
    mask, and leaves the probability as it is.
    """
    probabilities = resize_maps(class_probabilities(logits), geometry.image_size)
    if is_present(presence, point):
        mask = select_components(label_pixels(probabilities, point.threshold), point)
    else:
        mask = np.zeros(geometry.image_size, np.uint8)
    return mask, np.ascontiguousarray(foreground(probabilities))


def is_present(presence: Floats | None, point: OperatingPoint) -> bool:
    """Whether `point` lets a mask stand, given a presence logit; without either it does."""
    if presence is None or point.presence_threshold is None:
        return True
    return bool(sigmoid(presence).item() > point.presence_threshold)


def class_probabilities(logits: Floats) -> Floats:
    """Sigmoid of one channel, softmax over several; (C, h, w) float32 in [0, 1]."""
    if logits.shape[0] == 1:
        return sigmoid(logits)
    raised = np.exp(logits - logits.max(axis=0))
    return np.asarray(raised / raised.sum(axis=0), np.float32)


def sigmoid(values: Floats) -> Floats:
    """The logistic function, without overflow for any finite float32."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float32)


def resize_maps(maps: Floats, size: tuple[int, int]) -> Floats:
    """Bilinear resize of (C, h, w) float32 maps to `size` (height, width)."""
    height, width = size
    if maps.shape[1:] == (height, width):
        return maps
    resized = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in maps]
    return np.asarray(np.stack(resized), np.float32)


def foreground(probabilities: Floats) -> Floats:
    """The probability of any foreground, (H, W), from (C, H, W) class probabilities."""
    first = probabilities[0]
    return np.asarray(first if probabilities.shape[0] == 1 else 1.0 - first, np.float32)


def label_pixels(probabilities: Floats, threshold: float) -> Mask:
    """Labels (H, W): 0 where the foreground is not above `threshold`, else the likeliest label."""
    found = foreground(probabilities) > threshold
    if probabilities.shape[0] <= 2:
        return found.astype(np.uint8)
    likeliest = probabilities[1:].argmax(axis=0).astype(np.uint8) + np.uint8(1)
    return np.where(found, likeliest, np.uint8(0))


def select_components(mask: Mask, point: OperatingPoint) -> Mask:
    """Drop parts of each label that `point` does not keep; the input is not changed.

    Where nothing is dropped, it is what is given back.
    """
    if point.smallest_area == 0.0 and point.components == "all":
        return mask
    kept = mask
    for _, part, window in label_parts(mask):
        numbered, areas = components(part)
        wanted = kept_components(areas[1:], mask.size, point)
        if not wanted.all():
            kept = mask.copy() if kept is mask else kept
            kept[window][np.concatenate(([False], ~wanted))[numbered]] = 0
    return kept


def label_parts(mask: Mask) -> Iterator[tuple[int, Mask, Window]]:
    """Each label that occurs in uint8 (H, W), and where: its pixels as 0 and 1 in their box.

    Only the box of what is not background is gone through, since most of a mask is background.
    """
    left, top, width, height = cv2.boundingRect(mask)
    found = mask[top : top + height, left : left + width]
    for label in range(1, int(found.max(initial=0)) + 1):
        part = (found == label).view(np.uint8)
        x, y, width, height = cv2.boundingRect(part)
        if width:
            window = slice(top + y, top + y + height), slice(left + x, left + x + width)
            yield label, np.ascontiguousarray(part[y : y + height, x : x + width]), window


def kept_components(
    areas_px: NDArray[np.int64], image_px: int, point: OperatingPoint
) -> NDArray[np.bool_]:
    """Which components of one label `point` keeps, from their areas; of equals, the first."""
    wanted = areas_px >= point.smallest_area * image_px
    if point.components == "largest" and areas_px.size:
        wanted &= np.arange(areas_px.size) == areas_px.argmax()
    return np.asarray(wanted, np.bool_)

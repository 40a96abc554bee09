"""A network's answer to label masks at the network's size, by one rule for every runtime.

This is the rule in numpy; `mask_graph` is the same rule inside an OpenVINO model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from featherseg.postprocess import (
    OperatingPoint,
    class_probabilities,
    is_present,
    label_pixels,
    sigmoid,
)
from featherseg.preprocess import Preprocessing
from featherseg.types import Floats, Mask

# The name of the output that says whether there is anything to find, where a network has one.
PRESENCE = "presence"

# Called, it waits for work that was begun and gives the masks.
Started = Callable[[], Mask]

# Beyond it the sigmoid is exactly 0 or 1 in float32.
_SATURATED = 32.0


@dataclass(frozen=True)
class Answer:
    """What a network says: logits (N, K, h, w), and presence logits (N, 1) where it has them."""

    logits: Floats
    presence: Floats | None = None


@dataclass(frozen=True)
class MaskRule:
    """How pixels become a batch and an answer becomes masks.

    Of `point` only the thresholds are used: parts are chosen afterwards, by
    `postprocess.select_components`.
    """

    preprocessing: Preprocessing
    point: OperatingPoint


def answer_masks(answer: Answer, point: OperatingPoint) -> Mask:
    """Label masks uint8 (N, h, w): those of `postprocess.label_pixels`, at the network's size."""
    if answer.logits.shape[1] == 1:
        masks = (answer.logits[:, 0] > logit_cutoff(point.threshold)).astype(np.uint8)
    else:
        masks = np.stack(
            [label_pixels(class_probabilities(each), point.threshold) for each in answer.logits]
        )
    if answer.presence is not None:
        present = [is_present(each, point) for each in answer.presence]
        masks *= np.asarray(present, np.uint8)[:, np.newaxis, np.newaxis]
    return masks


def _is_above(logit: np.float32, threshold: float) -> bool:
    return bool(sigmoid(np.asarray([logit], np.float32))[0] > threshold)


@cache
def logit_cutoff(threshold: float) -> np.float32:
    """The largest float32 logit whose probability is not above `threshold`.

    It is log(t / (1 - t)) up to rounding, and exactly where `postprocess.sigmoid` crosses the
    threshold: comparing logits with it gives the same mask bit for bit, ties included.
    """
    low, high = np.float32(-_SATURATED), np.float32(_SATURATED)
    # Also for thresholds below 1 that are 1 in float32, the type of probabilities.
    if not _is_above(high, threshold):
        return np.float32(np.inf)
    while (middle := np.float32(0.5) * (low + high)) not in (low, high):
        if _is_above(middle, threshold):
            high = middle
        else:
            low = middle
    return low

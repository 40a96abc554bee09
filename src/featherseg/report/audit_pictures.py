"""Small pictures of what an audit found, each drawn so that the finding is seen."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from featherseg.audit.masks import odd_places
from featherseg.audit.pixels import colored
from featherseg.calipers import find_marks
from featherseg.datasets import DATASETS, Dataset, read_case_image
from featherseg.errors import FeatherSegError
from featherseg.images.overlay import FOUND_COLORS, TRUTH_COLORS, Color, overlay
from featherseg.report.pictures import image_uri
from featherseg.types import Case, Mask, Pixels

Draw = Callable[[Dataset, Case, Pixels], Pixels]
Box = tuple[int, int, int, int]

_LONGER_SIDE_PX = 320
_LINE = FOUND_COLORS[0]
_SECOND_LINE = TRUTH_COLORS[0]
_BOX_MARGIN_PX = 4
# Colored pixels nearer than this share one box.
_JOINED_PX = 15


def thumbnail(dataset: Dataset, case: Case, key: str) -> str:
    """A picture of a case for the finding `key` as a data URI; '' where it cannot be read."""
    try:
        pixels = read_case_image(dataset, case).pixels
        canvas = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2)
        return image_uri(_DRAWN.get(key, _with_outline)(dataset, case, canvas))
    except FeatherSegError:
        return ""


def _shrunk(pixels: Pixels) -> Pixels:
    scale = min(1.0, _LONGER_SIDE_PX / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _shrunk_mask(mask: Mask, like: Pixels) -> Mask:
    size = (like.shape[1], like.shape[0])
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def _mask(dataset: Dataset, case: Case, canvas: Pixels) -> Mask:
    """The mask, or an empty one where it cannot be laid over the image."""
    try:
        mask = DATASETS[dataset.layout].read_mask(dataset, case)
    except FeatherSegError:
        mask = np.zeros(canvas.shape[:2], np.uint8)
    return mask if mask.shape == canvas.shape[:2] else np.zeros(canvas.shape[:2], np.uint8)


def _plain(_: Dataset, __: Case, canvas: Pixels) -> Pixels:
    return _shrunk(canvas)


def _with_outline(dataset: Dataset, case: Case, canvas: Pixels) -> Pixels:
    shown = _shrunk(canvas)
    mask = _shrunk_mask(_mask(dataset, case, canvas), shown)
    return overlay(shown, np.zeros_like(mask), mask)


def _with_line(dataset: Dataset, case: Case, canvas: Pixels) -> Pixels:
    """The mask's own pixels, thickened so that a thin line survives the shrinking."""
    mask = _mask(dataset, case, canvas)
    shown = _shrunk(canvas)
    step = max(1, round(canvas.shape[0] / shown.shape[0]))
    grown = np.asarray(cv2.dilate(mask, np.ones((step, step), np.uint8)), np.uint8)
    shown[_shrunk_mask(grown, shown) > 0] = _LINE
    return shown


def _with_odd_places(dataset: Dataset, case: Case, canvas: Pixels) -> Pixels:
    """The outline, with a ring around every speck and hole that is too small to be seen."""
    shown = _with_outline(dataset, case, canvas)
    scale = shown.shape[0] / canvas.shape[0]
    for row, col in odd_places(_mask(dataset, case, canvas)):
        place = (round(col * scale), round(row * scale))
        cv2.circle(shown, place, 2 * _BOX_MARGIN_PX, _LINE, 1, cv2.LINE_AA)
    return shown


def _with_calipers(_: Dataset, __: Case, canvas: Pixels) -> Pixels:
    return _with_boxes(canvas, {_LINE: find_marks(canvas).calipers})


def _with_text(_: Dataset, __: Case, canvas: Pixels) -> Pixels:
    return _with_boxes(canvas, {_SECOND_LINE: find_marks(canvas).text})


def _with_colors(_: Dataset, __: Case, canvas: Pixels) -> Pixels:
    joined = cv2.dilate(colored(canvas).astype(np.uint8), np.ones((_JOINED_PX, _JOINED_PX)))
    stats = cv2.connectedComponentsWithStats(np.asarray(joined, np.uint8))[2]
    boxes = [
        (int(top), int(left), int(top + height), int(left + width))
        for left, top, width, height, _ in stats[1:]
    ]
    return _with_boxes(canvas, {_LINE: tuple(boxes)})


def _with_boxes(canvas: Pixels, boxes: Mapping[Color, tuple[Box, ...]]) -> Pixels:
    """Boxes (top, left, bottom, right) of the image drawn on its small picture."""
    shown = _shrunk(canvas)
    scale = shown.shape[0] / canvas.shape[0]
    for color, each in boxes.items():
        for top, left, bottom, right in each:
            start = [max(0, round(side * scale) - _BOX_MARGIN_PX) for side in (left, top)]
            limits = (shown.shape[1] - 1, shown.shape[0] - 1)
            end = [
                min(limit, round(side * scale) + _BOX_MARGIN_PX)
                for side, limit in zip((right, bottom), limits, strict=True)
            ]
            cv2.rectangle(shown, start, end, color, 1, cv2.LINE_AA)
    return shown


_DRAWN: Mapping[str, Draw] = {
    "calipers": _with_calipers,
    "burned_in_text": _with_text,
    "color_overlays": _with_colors,
    "outlines": _with_line,
    "mask_values": _with_line,
    "holes": _with_odd_places,
    "multi_component": _with_odd_places,
    "unreadable": _plain,
    "small_images": _plain,
    "constant_images": _plain,
    "empty": _plain,
}

"""Pictures of cases for a report: found and true outlines, as data that needs no other file."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from featherseg.case_table import Row
from featherseg.datasets import Dataset, read_case
from featherseg.evaluation import Segments, select_cases
from featherseg.images.overlay import overlay
from featherseg.types import Mask, Pixels

_LONGER_SIDE_PX = 520
_JPEG_QUALITY = 86


@dataclass(frozen=True)
class Picture:
    """One picture of a report; ``image`` is a data URI."""

    title: str
    caption: str
    image: str


def case_pictures(
    segmenter: Segments, dataset: Dataset, case_ids: Sequence[str], rows: Sequence[Row]
) -> tuple[Picture, ...]:
    """Segment some cases again and draw them with the truth, in the order of `case_ids`.

    Images are not kept during an evaluation; `rows` is its table, for the captions.
    """
    pictures = []
    for case in select_cases(dataset, case_ids) if case_ids else ():
        image, truth = read_case(dataset, case)
        drawn = overlay_uri(image.pixels, segmenter(image).mask, truth)
        pictures.append(Picture(case.id, case_caption(case.id, rows), drawn))
    return tuple(pictures)


def overlay_uri(pixels: Pixels, found: Mask, truth: Mask | None = None) -> str:
    """An overlay as a JPEG data URI, its longer side at most 520 pixels."""
    scale = min(1.0, _LONGER_SIDE_PX / max(pixels.shape[:2]))
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    shown = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    true_mask = None if truth is None else _shrunk(truth, size)
    drawn = overlay(shown, _shrunk(found, size), true_mask)
    return image_uri(drawn)


def image_uri(pixels: Pixels) -> str:
    """RGB uint8 pixels (H, W, 3) as a JPEG data URI."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def spread_cases(rows: Sequence[Row], count: int) -> tuple[str, ...]:
    """Cases with a defined Dice, evenly spaced from the lowest to the highest."""
    dice: dict[str, list[float]] = {}
    for row in rows:
        if row.metric.partition(":")[0] == "dice" and row.value is not None:
            dice.setdefault(row.case, []).append(row.value)
    ordered = sorted(dice, key=lambda case: (np.mean(dice[case]), case))
    places = np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int)
    return tuple(ordered[place] for place in places)


def case_caption(case_id: str, rows: Sequence[Row]) -> str:
    """What a case is and how it was scored, in one line."""
    own = [row for row in rows if row.case == case_id]
    values = {row.metric: row for row in own}
    true_px = sum(row.value or 0 for row in own if row.metric.startswith("area_true"))
    found_px = sum(row.value or 0 for row in own if row.metric.startswith("area_found"))
    words = [own[0].class_name] if own and own[0].class_name else []
    if true_px and not found_px:
        return " · ".join([*words, "missed lesion"])
    if not true_px:
        words.append("false alarm" if found_px else "no lesion, none found")
    words += [
        f"{name.replace('dice', 'Dice').replace(':', ' ')} {row.value:.3f}"
        for name, row in values.items()
        if name.startswith("dice") and row.value is not None
    ]
    distance = values.get("hd95")
    if distance is not None and distance.value is not None:
        words.append(f"HD95 {distance.value:.1f} {distance.unit}")
    return " · ".join(words)


def _shrunk(mask: Mask, size: tuple[int, int]) -> Mask:
    """Labels at `size` (width, height), as OpenCV has it."""
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)

"""The rule and the submission file of Kaggle's ultrasound nerve challenge (2016).

The file has the columns img and pixels; pixels holds pairs "start length", counted from 1 down
the columns, and nothing where no nerve was found.
"""

import csv
import io
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from featherseg.errors import DataError
from featherseg.metrics.overlap import Confusion, dice
from featherseg.storage import write_text
from featherseg.types import Mask

COLUMNS = ("img", "pixels")
# The challenge has 5,508 test images of 580x420: all masks at their worst are far below this.
_LARGEST_FILE_BYTES = 1_000_000_000


def kaggle_dice(counts: Confusion) -> float:
    """Dice where "both empty" is 1: one found pixel in an image without a nerve costs all of it.

    The challenge's score is the mean over all images; always defined.

    >>> kaggle_dice(Confusion(both=0, only_found=0, only_true=0, neither=9))
    1.0
    >>> kaggle_dice(Confusion(both=0, only_found=1, only_true=0, neither=8))
    0.0
    """
    value = dice(counts)
    return 1.0 if value is None else value


def encode_runs(mask: Mask) -> str:
    """The runs of a mask (H, W), anything but 0: "start length ...", from 1, down the columns.

    >>> encode_runs(np.array([[0, 1], [1, 1]], np.uint8))
    '2 3'
    """
    flat = np.concatenate(([False], mask.ravel(order="F") != 0, [False]))
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    starts, ends = changes[::2], changes[1::2]
    runs = np.column_stack((starts + 1, ends - starts)).ravel()
    return " ".join(str(number) for number in runs.tolist())


def decode_runs(text: str, size_px: tuple[int, int]) -> Mask:
    """The mask (height, width) of 0 and 1 that `encode_runs` would write as `text`.

    DataError for anything but pairs of positive integers, in order, without overlap, inside.

    >>> decode_runs("2 3", (2, 2)).tolist()
    [[0, 1], [1, 1]]
    """
    words = text.split()
    if len(words) % 2 or not all(word.isascii() and word.isdigit() for word in words):
        raise DataError(f"expected pairs 'start length' of whole numbers, got '{text[:40]}'")
    # Longer words than the number of pixels has digits are outside anyway, and slow to read.
    longest = len(str(size_px[0] * size_px[1]))
    if any(len(word.lstrip("0")) > longest for word in words):
        raise DataError(f"a run lies outside of {size_px[0]}x{size_px[1]} pixels")
    numbers = [int(word) for word in words]
    runs = [
        (start - 1, start - 1 + length)
        for start, length in zip(numbers[::2], numbers[1::2], strict=True)
    ]
    _check_runs(runs, size_px)
    flat = np.zeros(size_px[0] * size_px[1], np.uint8)
    for start, end in runs:
        flat[start:end] = 1
    return np.ascontiguousarray(flat.reshape(size_px, order="F"))


def write_submission(masks: Mapping[str, Mask], path: Path) -> None:
    """Write masks (H, W) by image id, in their order, as a submission; atomically."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((name, encode_runs(mask)) for name, mask in masks.items())
    write_text(path, buffer.getvalue())


def read_submission(path: Path, size_px: tuple[int, int]) -> dict[str, Mask]:
    """Masks (height, width) of 0 and 1 by image id; DataError names the row that is wrong."""
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise DataError(f"{path}: expected a submission, the file is larger than 1 GB")
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from error
    if not lines or tuple(lines[0]) != COLUMNS:
        raise DataError(
            f"{path}: expected the columns {','.join(COLUMNS)}, "
            f"got {','.join(lines[0]) if lines else 'an empty file'}"
        )
    masks: dict[str, Mask] = {}
    for number, fields in enumerate(lines[1:], start=2):
        place = f"{path}, row {number}"
        if len(fields) != len(COLUMNS):
            raise DataError(f"{place}: expected {len(COLUMNS)} fields, got {len(fields)}")
        name, text = fields
        if name in masks:
            raise DataError(f"{place}: the image '{name}' stands there twice")
        try:
            masks[name] = decode_runs(text, size_px)
        except DataError as error:
            raise DataError(f"{place}: {error}") from error
    return masks


def _check_runs(runs: list[tuple[int, int]], size_px: tuple[int, int]) -> None:
    if any(start < 0 or end <= start for start, end in runs):
        raise DataError("expected starts from 1 and lengths of at least 1")
    if any(later[0] < earlier[1] for earlier, later in pairwise(runs)):
        raise DataError("expected runs in ascending order that do not overlap")
    if runs and runs[-1][1] > size_px[0] * size_px[1]:
        raise DataError(f"a run lies outside of {size_px[0]}x{size_px[1]} pixels")

"""Polygons and run lengths to masks, as COCO defines them."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from featherseg.errors import DataError

Bools = NDArray[np.bool_]

# One character of a compressed count: 5 bits of value, then whether another follows.
_ZERO_CHARACTER, _VALUE_BITS, _MORE, _SIGN = 48, 5, 0x20, 0x10
_LARGEST_CHARACTER = 0x3F
# Counts of up to 10 ** 9 pixels take 7 characters.
_MOST_CHARACTERS = 7
# Counts from the fourth on are differences to the one before last.
_FIRST_DIFFERENCE = 3


class RunLengths(BaseModel):
    """Runs of 0 and 1 in column order, 0 first; ``size`` is (height, width).

    ``counts`` are the lengths, or COCO's text of them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    size: tuple[int, int]
    counts: list[Annotated[int, Field(ge=0)]] | str


def fill_runs(runs: RunLengths, size: tuple[int, int]) -> Bools:
    """The region as bool (H, W); DataError unless the runs fill exactly `size`."""
    counts = _decoded(runs.counts) if isinstance(runs.counts, str) else runs.counts
    whole = sum(counts) == size[0] * size[1] and all(count >= 0 for count in counts)
    if tuple(runs.size) != size or not counts or not whole:
        raise DataError(
            f"expected run lengths of {size[0]}x{size[1]} pixels, got some of "
            f"{runs.size[0]}x{runs.size[1]} that add up to {sum(counts)}"
        )
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(size[::-1]).T


def _decoded(text: str) -> list[int]:
    """The counts of a compressed text (the variable-length code of COCO's maskApi)."""
    counts: list[int] = []
    value, place = 0, 0
    for character in text:
        bits = ord(character) - _ZERO_CHARACTER
        if not 0 <= bits <= _LARGEST_CHARACTER or place >= _MOST_CHARACTERS:
            raise DataError(f"expected compressed run lengths, got '{text[:20]}'")
        value |= (bits & (_MORE - 1)) << (_VALUE_BITS * place)
        place += 1
        if bits & _MORE:
            continue
        if bits & _SIGN:
            value -= 1 << (_VALUE_BITS * place)
        counts.append(value + (counts[-2] if len(counts) >= _FIRST_DIFFERENCE else 0))
        value, place = 0, 0
    if place or not counts:
        raise DataError(f"expected compressed run lengths, got the end within '{text[-20:]}'")
    return counts


def fill_polygon(corners: Sequence[float], size: tuple[int, int]) -> Bools:
    """The pixels whose center is inside, bool (H, W); parts outside the image are cut off.

    `corners` are x, y, x, y ... with (0, 0) at the image's corner, so that the first pixel's
    center is (0.5, 0.5). Where the outline crosses itself, what it surrounds twice is outside.
    """
    height, width = size
    if len(corners) % 2:
        raise DataError(f"expected pairs of coordinates in a polygon, got {len(corners)} numbers")
    points = np.asarray(corners, np.float64).reshape(-1, 2)
    toggles = np.zeros((height, width + 1), np.bool_)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        low, high = np.clip(np.ceil(np.array(sorted((y0, y1))) - 0.5), 0, height).astype(int)
        rows = np.arange(low, high)
        crossing = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0) if low < high else 0.0)
        columns = np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)
        toggles[rows, columns] ^= True
    return np.logical_xor.accumulate(toggles, axis=1)[:, :width]

"""Crosses that mark the ends of a measured distance: + and x."""

import cv2
import numpy as np

from featherseg.calipers.ink import DARKEST_INK, Box
from featherseg.types import Floats, Pixels

# Arms of a cross, center to end.
_SHORTEST_ARM_PX, _LONGEST_ARM_PX = 3, 24
# What a cross exceeds its surroundings by, in gray levels.
_CONTRAST = 35.0
_MOST_CANDIDATES = 200
# The level along an arm may vary by this share of its contrast (standard deviation).
_UNEVEN = 0.25
# Arms are equal when the third shortest is at most this many times the shortest, and a pixel.
_UNEQUAL_ARMS = 1.35

Cross = tuple[int, int, int]


def find_crosses(level: Pixels) -> list[Box]:
    """Boxes of all crosses in a level (H, W) where marks are bright."""
    crosses = _plus_signs(level) + _turned_crosses(level)
    return [_box(row, col, arm, level.shape) for row, col, arm in crosses]


def _turned_crosses(level: Pixels) -> list[Cross]:
    """Crosses of the form x: those of the form + after an eighth of a turn."""
    height, width = level.shape
    side = int(np.ceil(np.hypot(height, width))) + 2
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 45.0, 1.0)
    turn[:, 2] += (side - width) / 2, (side - height) / 2
    # Pixels of a thin diagonal touch at corners only: a square of two closes the stroke.
    closed = cv2.dilate(level, np.ones((2, 2), np.uint8))
    turned = np.asarray(cv2.warpAffine(closed, turn, (side, side)), np.uint8)
    back = cv2.invertAffineTransform(turn)
    found = []
    for row, col, arm in _plus_signs(turned):
        x, y = back @ np.array([col, row, 1.0])
        if 0 <= y < height and 0 <= x < width:
            found.append((round(float(y)), round(float(x)), max(1, round(arm / np.sqrt(2.0)))))
    return found


def _plus_signs(level: Pixels) -> list[Cross]:
    """(row, column, arm) of every +."""
    score = np.maximum(_cross_score(level, 3, 2), _cross_score(level, 6, 4))
    peaks = (score >= _CONTRAST) & (score >= cv2.dilate(score, np.ones((5, 5))))
    places = np.argwhere(peaks)
    best_first = np.argsort(-score[peaks], kind="stable")[:_MOST_CANDIDATES]
    padded = np.pad(level, _LONGEST_ARM_PX + 4)
    found: list[Cross] = []
    for row, col in places[best_first].tolist():
        arm = _arm_length(padded, row, col)
        if arm and not any(max(abs(row - r), abs(col - c)) <= max(arm, a) for r, c, a in found):
            found.append((row, col, arm))
    return found


def _cross_score(level: Pixels, arm: int, gap: int) -> Floats:
    """By how much the darkest pixel of a small + exceeds its surroundings between the arms.

    The brightest of the four quarters is left out: a number or a dotted line may be there.
    """
    across = cv2.erode(level, np.ones((1, 2 * arm + 1), np.uint8))
    ink = np.minimum(across, cv2.erode(level, np.ones((2 * arm + 1, 1), np.uint8)))
    side = arm - gap + 1
    means = cv2.blur(level, (side, side)).astype(np.float32)
    offset = (arm + gap) // 2
    quarters = [
        _shifted(means, rows, cols) for rows in (-offset, offset) for cols in (-offset, offset)
    ]
    ground = _second_largest(quarters)
    return np.asarray(np.where(ink >= DARKEST_INK, ink - ground, 0.0), np.float32)


def _second_largest(four: list[Floats]) -> Floats:
    """Of four arrays, pixel by pixel; many times faster than sorting them."""
    first, second, third, fourth = four
    losers = np.maximum(np.minimum(first, second), np.minimum(third, fourth))
    winners = np.minimum(np.maximum(first, second), np.maximum(third, fourth))
    return np.asarray(np.maximum(losers, winners), np.float32)


def _shifted(values: Floats, rows: int, cols: int) -> Floats:
    """`values` of the place (rows, cols) away; the border is repeated."""
    height, width = values.shape
    take_rows = np.clip(np.arange(height) + rows, 0, height - 1)
    take_cols = np.clip(np.arange(width) + cols, 0, width - 1)
    return np.asarray(values[np.ix_(take_rows, take_cols)], np.float32)


def _arm_length(padded: Pixels, row: int, col: int) -> int:
    """The length of a cross's arms, 0 where there is none; `padded` has room for the longest."""
    reach = _LONGEST_ARM_PX + 4
    patch = padded[row : row + 2 * reach + 1, col : col + 2 * reach + 1].astype(np.float32)
    center = patch[reach - 3 : reach + 4, reach - 3 : reach + 4]
    ink = float(np.median(np.concatenate([center[3], center[:, 3]])))
    corners = np.concatenate([patch[reach - 7 : reach - 3], patch[reach + 4 : reach + 8]])
    ground = float(np.median(corners[:, np.r_[reach - 7 : reach - 3, reach + 4 : reach + 8]]))
    least = ink - 0.45 * (ink - ground)
    if ink - ground < _CONTRAST:
        return 0
    rays = (
        patch[reach::-1, reach],
        patch[reach:, reach],
        patch[reach, ::-1][reach:],
        patch[reach, reach:],
    )
    arms = sorted(_run(ray, least) for ray in rays)
    if (
        arms[0] < _SHORTEST_ARM_PX
        or arms[2] > _UNEQUAL_ARMS * arms[0] + 1
        or arms[2] > _LONGEST_ARM_PX
    ):
        return 0
    arm = arms[1]
    levels = np.concatenate([ray[: arms[0]] for ray in rays])
    if levels.std() > _UNEVEN * (ink - ground):
        return 0
    return arm if _is_thin(patch, arm, least) else 0


def _run(ray: Floats, least: float) -> int:
    """How many pixels after the first are at least this bright, without a break."""
    dark = np.flatnonzero(ray[1:] < least)
    return int(dark[0]) if dark.size else ray.size - 1


def _is_thin(patch: Floats, arm: int, least: float) -> bool:
    """Whether the space between the arms is dark: a cross, not a blob."""
    middle = patch.shape[0] // 2
    inner = patch[middle - arm : middle + arm + 1, middle - arm : middle + arm + 1]
    distance = np.abs(np.arange(-arm, arm + 1))
    between = np.minimum.outer(distance, distance) >= max(2, round(0.4 * arm))
    return bool((inner[between] < least).mean() >= 0.8)


def _box(row: int, col: int, arm: int, size: tuple[int, ...]) -> Box:
    top, left = max(0, row - arm), max(0, col - arm)
    return top, left, min(size[0], row + arm + 1), min(size[1], col + arm + 1)

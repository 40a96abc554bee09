"""Calipers and labels as scanners burn them into an image, for phantoms."""

from dataclasses import dataclass

import cv2
import numpy as np

from featherseg.types import Mask, Pixels

Ink = tuple[int, int, int]
Point = tuple[int, int]

# White, light gray, yellow, green and cyan, RGB: what scanners draw with.
INKS: tuple[Ink, ...] = (
    (255, 255, 255),
    (225, 225, 225),
    (255, 255, 0),
    (0, 255, 0),
    (0, 255, 255),
)
_GRAY_INKS = 2
_LABELS = ("RT UOQ", "LT 3", "RIGHT BREAST", "RT AXILLA", "LT C", "10 o'clock", "MASS 2", "LUOQ")
_ARMS_PX, _STEPS_PX = (4, 11), (4, 9)
_LETTER_SCALES = (0.35, 0.7)
_BORDER_PX = 12


@dataclass(frozen=True)
class Pen:
    """How marks are drawn: ink, stroke width in pixels, and whether a black rim is around it."""

    ink: Ink
    width_px: int
    rim: bool


def draw_pen(rng: np.random.Generator, color: bool) -> Pen:
    """A pen by chance; gray images take gray ink."""
    inks = INKS if color else INKS[:_GRAY_INKS]
    return Pen(inks[rng.integers(len(inks))], int(rng.integers(1, 3)), bool(rng.random() < 0.5))


def draw_calipers(
    pixels: Pixels, mask: Mask, rng: np.random.Generator, *, numbers: bool = True
) -> Pixels:
    """Measure a lesion: crosses (+ or x) at the ends of its diameters, often a dotted line.

    `pixels` is uint8 (H, W) or (H, W, 3); an empty `mask` has a place measured by chance. The
    marks differ in ink, size and form; half of them have a digit, unless `numbers` is False. A
    new array is returned.
    """
    drawn = pixels.copy()
    pen = draw_pen(rng, pixels.ndim == 3)
    arm, turned = int(rng.integers(*_ARMS_PX)), bool(rng.random() < 0.4)
    step = int(rng.integers(*_STEPS_PX)) if rng.random() < 0.7 else 0
    for number, ends in enumerate(_diameters(mask, rng)[: int(rng.integers(1, 3))], start=1):
        if step:
            _dots(drawn, ends, pen, step)
        for end in ends:
            _cross(drawn, end, pen, arm, turned)
        if numbers and rng.random() < 0.5:
            _write(drawn, str(number), (ends[1][0] + arm + 1, ends[1][1] + arm), pen, 0.4)
    return drawn


def draw_label(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Write a label as examiners do, somewhere it fits; a new array is returned."""
    drawn = pixels.copy()
    text, pen = _LABELS[rng.integers(len(_LABELS))], draw_pen(rng, pixels.ndim == 3)
    scale = float(rng.uniform(*_LETTER_SCALES))
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, pen.width_px)
    x = int(rng.integers(2, max(3, pixels.shape[1] - width - 2)))
    y = int(rng.integers(height + 2, max(height + 3, pixels.shape[0] - 4)))
    _write(drawn, text, (x, y), pen, scale)
    return drawn


def _diameters(mask: Mask, rng: np.random.Generator) -> list[tuple[Point, Point]]:
    """End points (x, y) of two crossing diameters of the mask, or of an oval by chance."""
    height, width = mask.shape
    rows, cols = np.nonzero(mask)
    if rows.size:
        center = np.array([cols.mean(), rows.mean()])
        radii = np.array([np.ptp(cols) / 2.0, np.ptp(rows) / 2.0])
    else:
        center = rng.uniform(0.35, 0.65, 2) * (width, height)
        radii = rng.uniform(0.08, 0.2, 2) * (width, height)
    angle = rng.uniform(-0.5, 0.5)
    inner = (width - 1 - _BORDER_PX, height - 1 - _BORDER_PX)
    ends = []
    for turn in (angle, angle + np.pi / 2):
        reach = radii * (np.cos(turn), np.sin(turn))
        low, high = (np.clip(center + sign * reach, _BORDER_PX, inner) for sign in (-1, 1))
        ends.append(((round(low[0]), round(low[1])), (round(high[0]), round(high[1]))))
    return ends


def _cross(pixels: Pixels, center: Point, pen: Pen, arm: int, turned: bool) -> None:
    x, y = center
    strokes = (
        [((x - arm, y - arm), (x + arm, y + arm)), ((x - arm, y + arm), (x + arm, y - arm))]
        if turned
        else [((x - arm, y), (x + arm, y)), ((x, y - arm), (x, y + arm))]
    )
    if pen.rim:
        for start, end in strokes:
            cv2.line(pixels, start, end, (0, 0, 0), pen.width_px + 2)
    for start, end in strokes:
        cv2.line(pixels, start, end, pen.ink, pen.width_px)


def _dots(pixels: Pixels, ends: tuple[Point, Point], pen: Pen, step: int) -> None:
    start, end = np.array(ends[0], float), np.array(ends[1], float)
    count = max(2, round(float(np.hypot(*(end - start))) / step))
    for share in np.linspace(0.0, 1.0, count + 1)[1:-1]:
        x, y = np.round(start + share * (end - start)).astype(int).tolist()
        pixels[y : y + pen.width_px, x : x + pen.width_px] = _value(pixels, pen.ink)


def _write(pixels: Pixels, text: str, foot: Point, pen: Pen, scale: float) -> None:
    font, smooth = cv2.FONT_HERSHEY_SIMPLEX, cv2.LINE_AA
    if pen.rim:
        cv2.putText(pixels, text, foot, font, scale, (0, 0, 0), pen.width_px + 3, smooth)
    cv2.putText(pixels, text, foot, font, scale, pen.ink, pen.width_px, smooth)


def _value(pixels: Pixels, ink: Ink) -> int | Ink:
    return ink if pixels.ndim == 3 else ink[0]

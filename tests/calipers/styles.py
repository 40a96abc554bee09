"""Drawing styles that the detector was not tuned on: another library, other fonts, JPEG."""

import io

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from featherseg.types import Pixels

_TEXTS = ("Left 2h", "GE L9", "DIST 1.2cm", "SAG", "12:00 N+3", "Nerve")
_INKS = ((255, 255, 255), (255, 160, 0), (90, 220, 255), (200, 200, 200))


def held_out_calipers(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Two + or x of Pillow's strokes, up to 3 px wide, with dashes between them or nothing."""
    image = PIL.Image.fromarray(pixels)
    draw = PIL.ImageDraw.Draw(image)
    ink = _ink(pixels, rng)
    row, col = (rng.uniform(0.25, 0.7) * side for side in pixels.shape[:2])
    down, across = rng.uniform(-15, 15), rng.uniform(35, 60)
    arm, width, turned = int(rng.integers(5, 13)), int(rng.integers(1, 4)), rng.random() < 0.5
    for x, y in ((int(col), int(row)), (int(col + across), int(row + down))):
        a = arm if turned else 0
        draw.line((x - arm, y - a, x + arm, y + a), fill=ink, width=width)
        draw.line((x - a, y + arm, x + a, y - arm), fill=ink, width=width)
    if rng.random() < 0.5:
        for start in np.arange(0.0, 1.0, 8.0 / across):
            end = start + 4.0 / across
            line = (col + across * start, row + down * start, col + across * end, row + down * end)
            draw.line(line, fill=ink)
    return _as_stored(image, rng)


def held_out_text(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A few words in Pillow's own font, with a black rim or without."""
    image = PIL.Image.fromarray(pixels)
    font = PIL.ImageFont.load_default(size=int(rng.integers(11, 22)))
    place = (int(rng.uniform(4, 60)), int(rng.uniform(4, pixels.shape[0] - 30)))
    black = 0 if pixels.ndim == 2 else (0, 0, 0)
    PIL.ImageDraw.Draw(image).text(
        place,
        str(rng.choice(_TEXTS)),
        fill=_ink(pixels, rng),
        font=font,
        stroke_width=int(rng.integers(0, 2)),
        stroke_fill=black,
    )
    return _as_stored(image, rng)


def _ink(pixels: Pixels, rng: np.random.Generator) -> int | tuple[int, int, int]:
    if pixels.ndim == 2:
        return int(rng.integers(190, 256))
    return _INKS[rng.integers(len(_INKS))]


def _as_stored(image: PIL.Image.Image, rng: np.random.Generator) -> Pixels:
    """Half of the images have been through JPEG."""
    if rng.random() < 0.5:
        return np.asarray(image)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(70, 95)))
    with PIL.Image.open(buffer) as stored:
        return np.asarray(stored)

"""What can happen to an image on its way to a network, each with its strength and meaning.

A gray level is taken as log-compressed amplitude over a dynamic range of 60 dB, a usual setting of
B-mode ultrasound: 1 dB is 255/60 gray levels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.calipers import find_marks, remove_marks
from featherseg.types import Image, Mask, Pixels

DYNAMIC_RANGE_DB = 60.0
_WHITE = 255.0

Pair = tuple[Image, Mask]
How = Literal["inpaint", "mask"]
Random = np.random.Generator
Change = Callable[[Image, Mask, float, Random], Pair | None]


@dataclass(frozen=True)
class Condition:
    """One way to change an image, at one strength.

    ``name`` stands in tables; ``kind`` gathers the strengths of one change; ``meaning`` says
    what is done; ``change`` takes an image, its mask, the strength and random numbers, and gives
    image and mask on one grid, or None for an image that the condition does not concern.
    """

    name: str
    kind: str
    meaning: str
    strength: float
    change: Change

    def __call__(self, image: Image, mask: Mask, random: Random) -> Pair | None:
        """The changed image with its mask; neither argument is written to."""
        return self.change(image, mask, self.strength, random)


def gain(pixels: Pixels, decibel: float) -> Pixels:
    """Brighter or darker by some dB of the dynamic range; black (outside the scan) stays black."""
    shifted = pixels + decibel * _WHITE / DYNAMIC_RANGE_DB
    return _to_pixels(np.where(pixels == 0, 0.0, shifted))


def dynamic_range(pixels: Pixels, range_db: float) -> Pixels:
    """The same echoes shown over another dynamic range; the brightest keep their level."""
    return _to_pixels(_WHITE - (_WHITE - pixels) * (DYNAMIC_RANGE_DB / range_db))


def gamma(pixels: Pixels, exponent: float) -> Pixels:
    """Another gray curve: level to the power of `exponent`, black and white fixed."""
    return _to_pixels(_WHITE * (pixels / _WHITE) ** exponent)


def speckle(pixels: Pixels, sd: float, random: Random) -> Pixels:
    """Each level times 1 + `sd` times a standard normal number, the same in all channels."""
    factor = 1.0 + sd * random.standard_normal(pixels.shape[:2])
    return _to_pixels(pixels * (factor if pixels.ndim == 2 else factor[..., np.newaxis]))


def blur(pixels: Pixels, share: float) -> Pixels:
    """Blurred by a Gaussian whose standard deviation is a share of the image's height."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), share * pixels.shape[0]), np.uint8)


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Stored as a JPEG of this quality (libjpeg's scale, 1 to 100) and read again."""
    # OpenCV has blue first; turned around on both ways.
    _, stored = cv2.imencode(
        ".jpg",
        pixels[..., ::-1] if pixels.ndim == 3 else pixels,
        [cv2.IMWRITE_JPEG_QUALITY, quality],
    )
    decoded = np.asarray(cv2.imdecode(stored, cv2.IMREAD_UNCHANGED), np.uint8)
    return decoded[..., ::-1].copy() if pixels.ndim == 3 else decoded


def shallower(image: Image, mask: Mask, share: float) -> Pair:
    """The upper `share` of the depth, of image and mask alike."""
    rows = max(1, round(share * mask.shape[0]))
    return replace(image, pixels=image.pixels[:rows].copy()), mask[:rows].copy()


def zoomed(image: Image, mask: Mask, share: float) -> Pair:
    """The middle `share` of both sides, of image and mask alike."""
    sides = [max(1, round(share * side)) for side in mask.shape]
    top, left = ((side - kept) // 2 for side, kept in zip(mask.shape, sides, strict=True))
    window = (slice(top, top + sides[0]), slice(left, left + sides[1]))
    return replace(image, pixels=image.pixels[window].copy()), mask[window].copy()


def without_calipers(image: Image, how: How) -> Image | None:
    """An image with calipers without any of its marks; None for one without calipers."""
    marks = find_marks(image.pixels)
    if not marks.has_calipers:
        return None
    return replace(image, pixels=remove_marks(image.pixels, marks, how))


def without_text(image: Image, how: How) -> Image | None:
    """An image with text alone without its text; None for one without text or with calipers."""
    marks = find_marks(image.pixels)
    if marks.has_calipers or not marks.has_text:
        return None
    return replace(image, pixels=remove_marks(image.pixels, marks, how))


def conditions() -> tuple[Condition, ...]:
    """All conditions of `featherseg evaluate --stress`, in the order of its tables."""
    return tuple(
        Condition(name.format(strength), kind, meaning, strength, change)
        for kind, name, meaning, change, strengths in _TABLE
        for strength in strengths
    )


def _gain(image: Image, mask: Mask, strength: float, _: Random) -> Pair:
    return replace(image, pixels=gain(image.pixels, strength)), mask


def _dynamic_range(image: Image, mask: Mask, strength: float, _: Random) -> Pair:
    return replace(image, pixels=dynamic_range(image.pixels, strength)), mask


def _gamma(image: Image, mask: Mask, strength: float, _: Random) -> Pair:
    return replace(image, pixels=gamma(image.pixels, strength)), mask


def _speckle(image: Image, mask: Mask, strength: float, random: Random) -> Pair:
    return replace(image, pixels=speckle(image.pixels, strength, random)), mask


def _blur(image: Image, mask: Mask, strength: float, _: Random) -> Pair:
    return replace(image, pixels=blur(image.pixels, strength)), mask


def _jpeg(image: Image, mask: Mask, strength: float, _: Random) -> Pair:
    return replace(image, pixels=jpeg(image.pixels, round(strength))), mask


def _shallower(image: Image, mask: Mask, strength: float, _: Random) -> Pair:
    return shallower(image, mask, strength)


def _zoomed(image: Image, mask: Mask, strength: float, _: Random) -> Pair:
    return zoomed(image, mask, strength)


def _removal(remove: Callable[[Image, How], Image | None], how: How) -> Change:
    def change(image: Image, mask: Mask, _: float, __: Random) -> Pair | None:
        clean = remove(image, how)
        return None if clean is None else (clean, mask)

    return change


def _to_pixels(levels: NDArray[np.floating]) -> Pixels:
    return np.asarray(np.clip(np.round(levels), 0, _WHITE), np.uint8)


# kind, name in tables, meaning, change, strengths
_TABLE: tuple[tuple[str, str, str, Change, tuple[float, ...]], ...] = (
    (
        *("gain", "gain {:+g} dB"),
        "all levels moved by this gain, 1 dB being 255/60 levels; black stays black",
        *(_gain, (-10.0, -5.0, 5.0, 10.0)),
    ),
    (
        *("dynamic range", "range {:g} dB"),
        "the same echoes shown over this dynamic range instead of 60 dB",
        *(_dynamic_range, (45.0, 80.0)),
    ),
    (
        *("gamma", "gamma {:g}"),
        "another gray curve: relative level to this power",
        *(_gamma, (0.7, 1.4)),
    ),
    (
        *("speckle", "speckle {:g}"),
        "each pixel times 1 + this times a standard normal number",
        *(_speckle, (0.1, 0.2, 0.4)),
    ),
    (
        *("blur", "blur {:.2%}"),
        "Gaussian blur, its standard deviation this share of the image height",
        *(_blur, (0.0025, 0.005, 0.01)),
    ),
    (
        *("JPEG", "JPEG {:g}"),
        "stored as a JPEG of this quality, 100 being the best",
        *(_jpeg, (70.0, 40.0, 15.0)),
    ),
    (
        *("depth", "depth {:.0%}"),
        "only this upper share of the picture, the lower end cut away with its mask",
        *(_shallower, (0.85, 0.7)),
    ),
    (
        *("zoom", "zoom {:.0%}"),
        "only this middle share of both sides, the rest cut away with its mask",
        *(_zoomed, (0.9, 0.75)),
    ),
    (
        *("calipers", "calipers in-painted"),
        "images with calipers, all marks continued from around them",
        *(_removal(without_calipers, "inpaint"), (1.0,)),
    ),
    (
        *("calipers", "calipers masked"),
        "images with calipers, all marks covered by the median around them",
        *(_removal(without_calipers, "mask"), (1.0,)),
    ),
    (
        *("text", "text in-painted"),
        "images with text and no calipers, the text continued from around it",
        *(_removal(without_text, "inpaint"), (1.0,)),
    ),
    (
        *("text", "text masked"),
        "images with text and no calipers, the text covered by the median around it",
        *(_removal(without_text, "mask"), (1.0,)),
    ),
)

"""Breast ultrasound simulated from tissue to gray levels, fast enough to make on demand.

A map of echo strength (skin, fat, gland, muscle, lesion) multiplies random scatterers; a
point spread function that widens with depth, attenuation with time-gain compensation, noise
and compounding make the picture, and the lesion's geometry is the mask. Maps are
float32 (H, W), rows are depth; echo strength is log10 of amplitude, lengths are fractions
of the image height unless they end in _px.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.types import Floats, Mask, Pixels

Kind = Literal["benign", "malignant", "normal"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# log10 echo amplitudes, chosen by eye on B-mode pictures.
_SKIN, _FAT, _GLAND, _MUSCLE, _FASCIA, _GEL = 0.1, -0.75, -0.25, -0.7, 0.35, -2.2
_DYNAMIC_RANGE_DB, _GAMMA, _HEADROOM_DB = 60.0, 1.25, 4.0
_LOOKS, _LOOK_CORRELATION = 3, 0.2
# Standard deviations of the pulse, and of the beam at the focus, half way and far from it.
_PULSE_PX, _BEAM_WIDTHS_PX = 0.75, (0.9, 1.6, 2.6)
# The point spread function was tuned at this image height.
_REFERENCE_PX = 256.0


@dataclass(frozen=True)
class _Tissue:
    """What the beam meets: echo strength (log10) and extra attenuation (dB per height)."""

    echo: Floats
    attenuation: Floats


def simulate(seed: int, kind: Kind, size: tuple[int, int] = (256, 256)) -> tuple[Pixels, Mask]:
    """Simulate one image: gray pixels uint8 (H, W) and the lesion's mask, 0 or 1, uint8 (H, W).

    The same arguments give the same picture; the mask of a normal image is empty.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    tissue, gland = _breast(rng, size)
    mask = np.zeros(size, np.uint8)
    if kind != "normal":
        draw = _benign if kind == "benign" else _malignant
        tissue, inside = draw(rng, tissue, gland)
        mask = inside.astype(np.uint8)
    return _image(rng, tissue), mask


def _breast(rng: np.random.Generator, size: tuple[int, int]) -> tuple[_Tissue, Floats]:
    """Layers from skin to muscle, and where the gland is, 0..1."""
    depth = _depth(size)
    skin = _boundary(rng, size, rng.uniform(0.008, 0.02), 0.003)
    skin_end = skin + rng.uniform(0.02, 0.04)
    gland_top = skin_end + _boundary(rng, size, rng.uniform(0.06, 0.2), 0.06)
    gland_end = gland_top + _boundary(rng, size, rng.uniform(0.35, 0.5), 0.06)
    muscle_top = gland_end + _boundary(rng, size, rng.uniform(0.03, 0.08), 0.03)
    muscle_end = muscle_top + _boundary(rng, size, rng.uniform(0.12, 0.2), 0.02)

    in_gland = _step(depth - gland_top, 0.012) * _step(gland_end - depth, 0.012)
    echo = _fat(rng, size)
    echo += in_gland * (_gland(rng, size) - echo)
    echo += _step(depth - muscle_top, 0.006) * (_muscle(rng, size) - echo)
    echo += _step(depth - muscle_end, 0.02) * (_fat(rng, size) - 0.3 - echo)
    for place in (gland_top, gland_end, muscle_top, muscle_end):
        echo += _fascia(rng, depth - place) * (_FASCIA - echo)
    in_skin = _step(depth - skin, 0.004) * _step(skin_end - depth, 0.006)
    dermis = _line(_float32(depth - (skin + skin_end) / 2.0), 0.008)
    echo += in_skin * (_SKIN - 0.6 * dermis - echo)
    echo += _step(skin - depth, 0.004) * (_GEL - echo)

    contact = rng.uniform(3.0, 12.0) * _noise(rng, size, 1.0, 0.12)
    attenuation = contact + 14.0 * in_gland * _noise(rng, size, 0.1, 0.09)
    attenuation += rng.uniform(0.0, 30.0) + _step(depth - muscle_end, 0.05) * 60.0
    return _Tissue(echo, _float32(attenuation)), in_gland


def _fascia(rng: np.random.Generator, distance: Floats) -> Floats:
    """A thin bright sheet, broken where it turns away from the beam, 0..1."""
    size = (distance.shape[0], distance.shape[1])
    facing = _step(_noise(rng, size, 0.05, 0.15) - rng.uniform(-0.6, 0.6), 0.4)
    return rng.uniform(0.3, 0.9) * facing * _line(distance, rng.uniform(0.005, 0.009))


def _fat(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Dark lobules parted by thin bright septa (Cooper's ligaments)."""
    field = _shear(_noise(rng, size, 0.06, 0.25), rng.uniform(-0.25, 0.25))
    septa = _line(field, rng.uniform(0.05, 0.1)) * _step(_noise(rng, size, 0.08, 0.12), 0.4)
    grain = 0.07 * _noise(rng, size, 0.008, 0.02) + 0.12 * _noise(rng, size, 0.06, 0.1)
    return _float32(_FAT + grain + rng.uniform(0.4, 0.9) * septa)


def _gland(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Bright fibrous tissue, streaked, with darker ducts and lobules of fat in it."""
    streaks = 0.13 * _noise(rng, size, 0.01, 0.05) + 0.16 * _noise(rng, size, 0.05, 0.1)
    lobules = _noise(rng, size, rng.uniform(0.025, 0.06), rng.uniform(0.06, 0.14))
    fatty = _step(lobules - rng.uniform(0.2, 1.4), 0.2)
    fibers = _line(_noise(rng, size, 0.03, 0.2), 0.09) * _step(_noise(rng, size, 0.1, 0.15), 0.3)
    echo = _GLAND + streaks + 0.45 * fibers
    return _float32(echo + fatty * (_FAT - 0.15 - echo))


def _muscle(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Dark tissue with long thin fibers, a little inclined."""
    slope = rng.uniform(-0.12, 0.12)
    fibers = _line(_noise(rng, size, 0.012, 0.3), 0.2) * _step(_noise(rng, size, 0.03, 0.15), 0.4)
    return _float32(_MUSCLE + 0.6 * _shear(fibers, slope) + 0.1 * _noise(rng, size, 0.02, 0.06))


def _benign(
    rng: np.random.Generator, tissue: _Tissue, gland: Floats
) -> tuple[_Tissue, NDArray[np.bool_]]:
    """A smooth oval, wider than tall, with a thin rim and an enhanced stripe below it."""
    radius = rng.uniform(0.09, 0.22)
    form = (rng.uniform(0.5, 0.85), rng.uniform(-0.35, 0.35))
    harmonics = 0.04 * rng.standard_normal(4) / np.arange(1, 5)
    level = _radial(rng, gland, radius, form, harmonics)
    inside = _step(1.0 - level, 0.06)
    size = (gland.shape[0], gland.shape[1])
    cystic = rng.random() < 0.3
    target = -2.6 if cystic else rng.uniform(-1.5, -1.1)
    texture = 0.08 * _noise(rng, size, 0.012, 0.02) + 0.1 * _noise(rng, size, 0.05, 0.06)
    echo = tissue.echo + inside * (target + texture - tissue.echo)
    rim = rng.uniform(0.2, 0.7) * _line(level - 1.04, 0.05) * _axial_facing(level)
    echo += rim * (_FASCIA - 0.2 - echo)
    through = rng.uniform(30.0, 55.0) if cystic else rng.uniform(5.0, 30.0)
    edges = rng.uniform(20.0, 90.0) * _line(level - 1.0, 0.06) * (1.0 - _axial_facing(level))
    attenuation = tissue.attenuation - through * inside + edges
    return _Tissue(_float32(echo), _float32(attenuation)), level < 1.0


def _malignant(
    rng: np.random.Generator, tissue: _Tissue, gland: Floats
) -> tuple[_Tissue, NDArray[np.bool_]]:
    """An angular, spiculated mass with an echogenic halo, specks of calcium and a shadow."""
    radius = rng.uniform(0.09, 0.2)
    form = (rng.uniform(0.7, 1.25), rng.uniform(-0.6, 0.6))
    orders = np.arange(2, 14)
    harmonics = rng.uniform(0.2, 0.4) / orders * rng.standard_normal(orders.size)
    level = _radial(rng, gland, radius, form, harmonics)
    inside = _step(1.0 - level, rng.uniform(0.08, 0.2))
    size = (gland.shape[0], gland.shape[1])
    texture = 0.14 * _noise(rng, size, 0.012, 0.02) + 0.2 * _noise(rng, size, 0.04, 0.05)
    echo = tissue.echo + inside * (rng.uniform(-1.4, -1.0) + texture - tissue.echo)
    halo = rng.uniform(0.1, 0.5) * _line(level - 1.25, 0.18)
    echo += halo * (0.0 - echo)
    specks = (rng.random(size) < rng.choice([0.0, 0.002, 0.006])) & (level < 0.8)
    echo += cv2.GaussianBlur(specks.astype(np.float32), (0, 0), 0.7) * 4.0
    attenuation = tissue.attenuation + rng.uniform(15.0, 80.0) * inside
    return _Tissue(_float32(echo), _float32(attenuation)), level < 1.0


def _radial(
    rng: np.random.Generator,
    gland: Floats,
    radius: float,
    form: tuple[float, float],
    harmonics: NDArray[np.float64],
) -> Floats:
    """Distance from a center in the gland in units of the outline's radius: 1 on the outline.

    `form` is (height to width, rotation in radians); `harmonics` are the Fourier amplitudes
    of the outline from order 2 on.
    """
    height, width = gland.shape
    tallness, angle = form
    rows, cols = _center(rng, gland, radius)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = (y - rows) / height, (x - cols) / height
    across = np.cos(angle) * x + np.sin(angle) * y
    along = (np.cos(angle) * y - np.sin(angle) * x) / tallness
    scale = radius / np.sqrt(tallness) * np.sqrt(min(1.0, 1.0 / tallness) * tallness)
    theta = np.arctan2(along, across)
    outline = np.ones_like(theta)
    for order, amplitude in enumerate(harmonics, start=2):
        outline += amplitude * np.cos(order * theta + rng.uniform(0.0, 2.0 * np.pi))
    return np.asarray(np.hypot(along, across) / (scale * np.maximum(outline, 0.35)), np.float32)


def _center(rng: np.random.Generator, gland: Floats, radius: float) -> tuple[float, float]:
    """A pixel well inside the gland, and far enough from the image's sides."""
    height, width = gland.shape
    margin = min(int(radius * height * 0.9), width // 3)
    inner = gland[: int(height * 0.8), margin : width - margin]
    chosen = rng.choice(np.flatnonzero(inner > 0.5 * inner.max()))
    row, col = np.unravel_index(chosen, inner.shape)
    return max(float(row), (radius + 0.06) * height), float(col + margin)


def _image(rng: np.random.Generator, tissue: _Tissue) -> Pixels:
    """Scatterers, beam, attenuation, noise, compounding and log compression."""
    size = (tissue.echo.shape[0], tissue.echo.shape[1])
    depth = _depth(size)
    decay_db = _float32(np.cumsum(tissue.attenuation, axis=0) / size[0])
    strength = tissue.echo - _soften(decay_db, 0.012 * size[0]) / 20.0
    amplitude = np.power(np.float32(10.0), strength)
    amplitude *= 1.0 + 2.0 * (rng.random(size, dtype=np.float32) < 0.003)
    noise = np.power(np.float32(10.0), rng.uniform(-3.3, -2.9) + 0.5 * depth**2)
    common = _scatterers(rng, size)
    envelope = np.zeros(size, np.float32)
    for _ in range(_LOOKS):
        own = np.sqrt(1.0 - _LOOK_CORRELATION) * _scatterers(rng, size)
        look = np.float32(np.sqrt(_LOOK_CORRELATION)) * common + np.float32(1.0) * own
        field = _beam(look * amplitude[..., np.newaxis], depth)
        field += noise[..., np.newaxis] * _scatterers(rng, size)
        envelope += np.hypot(field[..., 0], field[..., 1]) / _LOOKS
    envelope += _reverberation(rng, envelope)
    return _compress(envelope)


def _compress(envelope: Floats) -> Pixels:
    """Log compression and the slight smoothing of speckle that scanners do."""
    loudest = np.percentile(envelope, 99.5)
    decibel = 20.0 * np.log10(envelope / loudest + 1e-6) - _HEADROOM_DB
    level = np.clip(1.0 + decibel / _DYNAMIC_RANGE_DB, 0.0, 1.0)
    level = 0.35 * level + 0.65 * cv2.GaussianBlur(level, (0, 0), 0.9)
    return np.asarray(np.round(255.0 * level**_GAMMA), np.uint8)


def _beam(field: Floats, depth: Floats) -> Floats:
    """Blur (H, W, 2) by a Gaussian pulse: axially fixed, laterally wider away from the focus."""
    scale = field.shape[0] / _REFERENCE_PX
    place = np.clip(2.0 * np.abs(depth - 0.4) / 0.6, 0.0, 2.0)[..., np.newaxis]
    blended = np.zeros_like(field)
    for step, width in enumerate(_BEAM_WIDTHS_PX):
        sigma_px = width * scale
        part = cv2.GaussianBlur(field, (0, 0), sigmaX=sigma_px, sigmaY=_PULSE_PX * scale)
        # A wider beam averages more scatterers: its energy is kept.
        blended += np.maximum(0.0, 1.0 - np.abs(place - step)) * np.sqrt(width) * part
    return blended


def _reverberation(rng: np.random.Generator, envelope: Floats) -> Floats:
    """A faint copy of the near field, one skin echo deeper."""
    size = (envelope.shape[0], envelope.shape[1])
    shift = int(rng.uniform(0.05, 0.09) * size[0])
    echo = np.zeros_like(envelope)
    echo[shift:] = envelope[:-shift] * rng.uniform(0.02, 0.08)
    return _float32(echo * np.exp(-_depth(size) / 0.15))


def _scatterers(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Real and imaginary part of complex Gaussian scatterers, (H, W, 2)."""
    return rng.standard_normal((*size, 2), dtype=np.float32)


def _noise(rng: np.random.Generator, size: tuple[int, int], rows: float, cols: float) -> Floats:
    """Smooth noise, zero mean and unit deviation, with these lengths down and across."""
    height, width = size
    cells = (_cells(height, rows * height), _cells(width, cols * height))
    field = rng.standard_normal((cells[0] + 3, cells[1] + 3), dtype=np.float32)
    # Three more cells than shown, so that the resized border is never seen.
    whole = (width * (cells[1] + 3) // cells[1], height * (cells[0] + 3) // cells[0])
    shown = cv2.resize(field, whole, interpolation=cv2.INTER_CUBIC)[:height, :width]
    return _float32((shown - shown.mean()) / shown.std())


def _cells(side_px: int, length_px: float) -> int:
    return min(side_px, max(1, round(1.2 * side_px / length_px)))


def _boundary(
    rng: np.random.Generator, size: tuple[int, int], thickness: float, swing: float
) -> Floats:
    """A layer's thickness at each column, (1, W), never under a fifth of `thickness`."""
    curve = 0.5 * _noise(rng, (1, size[1]), 1.0, 0.35 * size[0])
    return np.maximum(_float32(thickness + swing * curve), np.float32(0.2 * thickness))


def _depth(size: tuple[int, int]) -> Floats:
    """The depth of every pixel, 0 at the probe and 1 at the lower edge."""
    column = (np.arange(size[0], dtype=np.float32) + 0.5) / size[0]
    return np.repeat(column[:, np.newaxis], size[1], axis=1)


def _step(values: Floats, width: float) -> Floats:
    """A soft step from 0 to 1 around 0."""
    return _float32(0.5 + 0.5 * np.tanh(values / width))


def _line(values: Floats, width: float) -> Floats:
    """1 where `values` is 0, falling to 0 over `width`."""
    return _float32(np.exp(-np.square(values / width)))


def _axial_facing(level: Floats) -> Floats:
    """1 where an outline faces the probe, 0 where it runs along the beam."""
    down, across = np.gradient(level)
    return _float32(np.square(down) / (np.square(down) + np.square(across) + 1e-9))


def _soften(values: Floats, sigma_px: float) -> Floats:
    """Blur across the beam only."""
    return _float32(cv2.GaussianBlur(values, (0, 0), sigmaX=sigma_px, sigmaY=0.01))


def _shear(values: Floats, slope: float) -> Floats:
    matrix = np.array([[1.0, 0.0, 0.0], [slope, 1.0, 0.0]])
    size = (values.shape[1], values.shape[0])
    return _float32(cv2.warpAffine(values, matrix, size, borderMode=cv2.BORDER_REFLECT))


def _float32(values: Any) -> Floats:
    return np.asarray(values, np.float32)

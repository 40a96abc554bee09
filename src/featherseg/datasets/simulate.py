"""Breast ultrasound simulated from tissue to gray levels, fast enough to make on demand.

A map of echo strength (skin, fat, gland, muscle, lesion) multiplies random scatterers; a
point spread function that widens with depth, attenuation with time-gain compensation, noise
and compounding make the picture, and the lesion's geometry is the mask. Maps are
float32 (H, W), rows are depth; echo strength is log10 of amplitude, lengths are fractions
of the image height unless they end in _px.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.types import Floats, Mask, Pixels

Kind = Literal["benign", "malignant", "normal"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# log10 echo amplitudes, and two-way attenuation in dB over the image's height beyond what
# time-gain compensation expects. Chosen by eye on B-mode pictures.
_SKIN, _FAT, _GLAND, _MUSCLE, _FASCIA, _GEL = 0.35, -0.75, -0.12, -0.55, 0.25, -2.2
_DYNAMIC_RANGE_DB, _GAMMA = 60.0, 1.25
_LOOKS, _LOOK_CORRELATION = 3, 0.35
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
    skin = _boundary(rng, size, rng.uniform(0.015, 0.04), 0.006)
    skin_end = skin + rng.uniform(0.025, 0.045)
    gland_top = skin_end + _boundary(rng, size, rng.uniform(0.07, 0.22), 0.06)
    gland_end = gland_top + _boundary(rng, size, rng.uniform(0.35, 0.5), 0.06)
    muscle_top = gland_end + _boundary(rng, size, rng.uniform(0.03, 0.09), 0.03)
    muscle_end = muscle_top + _boundary(rng, size, rng.uniform(0.13, 0.2), 0.02)

    in_gland = _step(depth - gland_top, 0.012) * _step(gland_end - depth, 0.012)
    echo = _fat(rng, size)
    echo += in_gland * (_gland(rng, size) - echo)
    echo += _step(depth - muscle_top, 0.006) * (_muscle(rng, size) - echo)
    echo += _step(depth - muscle_end, 0.01) * (_MUSCLE - 0.35 - echo)
    for place, strength in (
        (gland_top, 0.25),
        (gland_end, 0.2),
        (muscle_top, 0.5),
        (muscle_end, 0.6),
    ):
        broken = _step(_noise(rng, size, 0.03, 0.12) + 0.5, 0.4)
        echo += strength * broken * _line(depth - place, 0.008) * (_FASCIA - echo)
    in_skin = _step(depth - skin, 0.004) * _step(skin_end - depth, 0.006)
    echo += in_skin * (_SKIN - 0.5 * _line(depth - 0.5 * (skin + skin_end), 0.009) - echo)
    echo += _step(skin - depth, 0.004) * (_GEL - echo)

    attenuation = 6.0 * in_gland * _noise(rng, size, 0.08, 0.08)
    attenuation += _step(depth - muscle_end, 0.01) * rng.uniform(10.0, 50.0)
    return _Tissue(echo, attenuation), in_gland


def _fat(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Dark lobules parted by thin bright septa (Cooper's ligaments)."""
    septa = _line(_noise(rng, size, 0.07, 0.16), 0.14) * _step(_noise(rng, size, 0.08, 0.1), 0.5)
    grain = 0.12 * _noise(rng, size, 0.008, 0.02) + 0.1 * _noise(rng, size, 0.05, 0.09)
    return _FAT + grain + septa * rng.uniform(0.4, 0.8)


def _gland(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Bright fibrous tissue, streaked, with darker ducts and lobules of fat in it."""
    streaks = 0.16 * _noise(rng, size, 0.008, 0.035) + 0.14 * _noise(rng, size, 0.02, 0.07)
    fatty = _step(_noise(rng, size, 0.035, 0.09) - rng.uniform(0.3, 1.2), 0.25)
    ducts = _line(_noise(rng, size, 0.04, 0.12), 0.1) * _step(_noise(rng, size, 0.1, 0.1), 0.3)
    return _GLAND + streaks + fatty * (_FAT - _GLAND) * 0.8 - 0.3 * ducts


def _muscle(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """Dark tissue with long thin fibers, a little inclined."""
    slope = rng.uniform(-0.12, 0.12)
    fibers = _shear(_noise(rng, size, 0.006, 0.16), slope)
    return _MUSCLE + 0.22 * fibers + 0.08 * _noise(rng, size, 0.02, 0.05)


def _benign(
    rng: np.random.Generator, tissue: _Tissue, gland: Floats
) -> tuple[_Tissue, NDArray[np.bool_]]:
    """A smooth oval, wider than tall, with a thin rim and an enhanced stripe below it."""
    radius = rng.uniform(0.07, 0.2)
    flat = rng.uniform(0.5, 0.85)
    harmonics = 0.035 * rng.standard_normal(4) / np.arange(1, 5)
    level = _radial(rng, gland, radius, (flat, rng.uniform(-0.35, 0.35)), harmonics)
    inside = _step(1.0 - level, 0.07)
    cystic = rng.random() < 0.25
    target = -2.0 if cystic else rng.uniform(-1.15, -0.8)
    size = (gland.shape[0], gland.shape[1])
    texture = 0.12 * _noise(rng, size, 0.012, 0.02) + 0.08 * _noise(rng, size, 0.04, 0.05)
    echo = tissue.echo + inside * (target + texture - tissue.echo)
    rim = rng.uniform(0.2, 0.55) * _line(level - 1.04, 0.05) * _axial_facing(level)
    echo += rim * (_FASCIA - echo)
    through = rng.uniform(35.0, 60.0) if cystic else rng.uniform(5.0, 30.0)
    edges = 60.0 * _line(level - 1.0, 0.06) * (1.0 - _axial_facing(level))
    return _Tissue(echo, tissue.attenuation - through * inside + edges), level < 1.0


def _malignant(
    rng: np.random.Generator, tissue: _Tissue, gland: Floats
) -> tuple[_Tissue, NDArray[np.bool_]]:
    """An angular, spiculated mass with an echogenic halo, specks of calcium and a shadow."""
    radius = rng.uniform(0.08, 0.19)
    orders = np.arange(1, 15)
    rough = np.where(orders < 5, 0.07, 0.2 / orders)
    harmonics = rough * rng.standard_normal(orders.size)
    tall = rng.uniform(0.75, 1.25)
    level = _radial(rng, gland, radius, (tall, rng.uniform(-0.6, 0.6)), harmonics)
    blur = rng.uniform(0.08, 0.2)
    inside = _step(1.0 - level, blur)
    size = (gland.shape[0], gland.shape[1])
    texture = 0.2 * _noise(rng, size, 0.012, 0.02) + 0.18 * _noise(rng, size, 0.03, 0.04)
    echo = tissue.echo + inside * (rng.uniform(-1.25, -0.85) + texture - tissue.echo)
    halo = rng.uniform(0.15, 0.5) * _line(level - 1.25, 0.18)
    echo += halo * (0.1 - echo)
    specks = (rng.random(size) < rng.uniform(0.0, 0.012)) & (level < 0.8)
    echo += _soften(specks.astype(np.float32), 0.7) * 2.2
    shadow = rng.uniform(15.0, 80.0)
    return _Tissue(echo, tissue.attenuation + shadow * inside), level < 1.0


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
    height, width = tissue.echo.shape
    depth = _depth((height, width))
    decay_db = np.cumsum(tissue.attenuation, axis=0) / height
    strength = _soften(np.asarray(-decay_db / 20.0, np.float32), 0.012 * height) + tissue.echo
    amplitude = np.power(np.float32(10.0), strength) * (
        1.0 + 2.0 * (rng.random((height, width)) < 0.004)
    )
    noise = 10.0 ** (rng.uniform(-2.6, -2.2) + 0.9 * depth**2)
    common = _scatterers(rng, (height, width))
    envelope = np.zeros((height, width), np.float32)
    for _ in range(_LOOKS):
        own = _scatterers(rng, (height, width))
        look = np.sqrt(_LOOK_CORRELATION) * common + np.sqrt(1.0 - _LOOK_CORRELATION) * own
        field = _beam(look * amplitude, depth) + noise * _grain(rng, (height, width))
        envelope += np.abs(field) / _LOOKS
    envelope += _reverberation(envelope, rng)
    loudest = np.percentile(envelope, 99.7)
    decibel = 20.0 * np.log10(envelope / loudest + 1e-6)
    level = np.clip(1.0 + decibel / _DYNAMIC_RANGE_DB, 0.0, 1.0) ** _GAMMA
    return np.asarray(np.round(255.0 * level), np.uint8)


def _beam(field: NDArray[np.complex64], depth: Floats) -> NDArray[np.complex64]:
    """Blur by a Gaussian pulse: axially fixed, laterally wider away from the focus."""
    scale = field.shape[0] / _REFERENCE_PX
    planes = np.dstack([field.real, field.imag])
    widths = (0.9, 1.6, 2.6)
    filtered = [
        cv2.GaussianBlur(planes, (0, 0), sigmaX=w * scale, sigmaY=0.75 * scale) * np.sqrt(w)
        for w in widths
    ]
    place = (2.0 * np.abs(depth - 0.4) / 0.6).clip(0.0, 2.0)[:, :, np.newaxis]
    blended = sum(
        np.maximum(0.0, 1.0 - np.abs(place - k)) * part for k, part in enumerate(filtered)
    )
    return np.asarray(blended[:, :, 0] + 1j * blended[:, :, 1], np.complex64)


def _reverberation(envelope: Floats, rng: np.random.Generator) -> Floats:
    """A faint copy of the near field, one skin echo deeper."""
    shift = int(rng.uniform(0.05, 0.09) * envelope.shape[0])
    echo = np.zeros_like(envelope)
    echo[shift:] = envelope[:-shift] * rng.uniform(0.02, 0.08)
    return echo * np.exp(-_depth((envelope.shape[0], envelope.shape[1])) / 0.15)


def _scatterers(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.complex64]:
    parts = rng.standard_normal((*size, 2), dtype=np.float32)
    return np.asarray(parts[..., 0] + 1j * parts[..., 1], np.complex64)


def _grain(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.complex64]:
    return _scatterers(rng, size)


def _noise(rng: np.random.Generator, size: tuple[int, int], rows: float, cols: float) -> Floats:
    """Smooth noise, zero mean and unit deviation, with these lengths down and across."""
    height, width = size
    coarse = (max(3, round(1.2 / rows)), max(3, round(1.2 * width / height / cols)))
    coarse = (min(coarse[0], height), min(coarse[1], width))
    field = rng.standard_normal((coarse[0] + 3, coarse[1] + 3), dtype=np.float32)
    scaled = cv2.resize(
        field,
        (width * (coarse[1] + 3) // coarse[1], height * (coarse[0] + 3) // coarse[0]),
        interpolation=cv2.INTER_CUBIC,
    )
    cut = scaled[:height, :width]
    return np.asarray((cut - cut.mean()) / cut.std(), np.float32)


def _boundary(
    rng: np.random.Generator, size: tuple[int, int], thickness: float, swing: float
) -> Floats:
    """A layer's thickness at each column, (1, W), never under a fifth of `thickness`."""
    curve = _noise(rng, (size[1], size[1]), 1.0, 0.4)[:1] * 0.6
    return np.maximum(thickness + swing * curve, 0.2 * thickness)


def _depth(size: tuple[int, int]) -> Floats:
    column = (np.arange(size[0], dtype=np.float32) + 0.5) / size[0]
    return np.repeat(column[:, np.newaxis], size[1], axis=1)


def _step(values: Floats, width: float) -> Floats:
    """A soft step from 0 to 1 around 0."""
    return np.asarray(0.5 + 0.5 * np.tanh(values / width), np.float32)


def _line(values: Floats, width: float) -> Floats:
    """1 where `values` is 0, falling to 0 over `width`."""
    return np.asarray(np.exp(-np.square(values / width)), np.float32)


def _axial_facing(level: Floats) -> Floats:
    """1 where an outline faces the probe, 0 where it runs along the beam."""
    down, across = np.gradient(level)
    return np.asarray(np.square(down) / (np.square(down) + np.square(across) + 1e-9), np.float32)


def _soften(values: Floats, sigma_px: float) -> Floats:
    """Blur across the beam only."""
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigmaX=sigma_px, sigmaY=0.01), np.float32)


def _shear(values: Floats, slope: float) -> Floats:
    matrix = np.float32([[1.0, 0.0, 0.0], [slope, 1.0, 0.0]])
    size = (values.shape[1], values.shape[0])
    return np.asarray(
        cv2.warpAffine(values, matrix, size, borderMode=cv2.BORDER_REFLECT), np.float32
    )

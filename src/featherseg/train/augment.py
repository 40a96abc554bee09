"""Augmentation of a whole batch on its own device: one warp and one intensity step.

The random numbers are a few an image and come from a numpy generator made of (seed, step), so
that a resumed run, and every device, draws the same. They are drawn for a whole batch at once:
a process that works on a part of the batch takes its part of them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from featherseg.train.objective import Batch
from featherseg.train.sections import Augment

_Matrices = NDArray[np.float64]

# Maps (x, y) of the output to (x, y) of the input, in pixels about the image's middle: the
# square's four turns, and each of them after a horizontal flip.
SYMMETRIES: _Matrices = np.array(
    [
        [[1, 0], [0, 1]],
        [[0, -1], [1, 0]],
        [[-1, 0], [0, -1]],
        [[0, 1], [-1, 0]],
        [[-1, 0], [0, 1]],
        [[0, 1], [1, 0]],
        [[1, 0], [0, -1]],
        [[0, -1], [-1, 0]],
    ],
    np.float64,
)


@dataclass(frozen=True, eq=False)
class Changes:
    """What is done to each of N images; None where nothing is.

    ``maps`` (N, 2, 3) takes output to input coordinates (x, y), each from -1 to 1.
    ``intensities`` (N, 3) holds the logarithm of a power, contrast and brightness.
    """

    maps: _Matrices | None
    intensities: NDArray[np.float64] | None

    def of(self, part: slice) -> "Changes":
        """Those of some of the images."""
        maps = None if self.maps is None else self.maps[part]
        return Changes(maps, None if self.intensities is None else self.intensities[part])


def draw_changes(
    turns: NDArray[np.int64],
    size: tuple[int, int],
    settings: Augment,
    random: np.random.Generator,
) -> Changes:
    """Draw for one batch of images of `size` (height, width).

    `turns` (N,) says in which of `SYMMETRIES` each image is first shown; what is drawn acts on
    that. Nothing is drawn for the settings that are 0.
    """
    maps = intensities = None
    if settings.horizontal_flip or settings.vertical_flip or settings.affine:
        maps = draw_maps(len(turns), size, settings, random)
    if settings.symmetries > 1:
        first = np.broadcast_to(np.eye(2, 3), (len(turns), 2, 3)) if maps is None else maps
        maps = _in_unit_coordinates(SYMMETRIES[turns], size) @ first
    if settings.brightness or settings.contrast or settings.gamma:
        limits = np.array((settings.gamma, settings.contrast, settings.brightness))
        intensities = random.uniform(-1.0, 1.0, (len(turns), 3)) * limits
    return Changes(maps, intensities)


def apply_changes(batch: Batch, changes: Changes) -> Batch:
    """Change images in [0, 1], masks and planes alike; only images change in intensity.

    Images and planes are sampled bilinearly, masks by nearest neighbor; what comes in from
    outside is 0 in all of them.
    """
    if changes.maps is not None:
        batch = warp(batch, changes.maps)
    if changes.intensities is None:
        return batch
    images = change_intensity(batch.images, changes.intensities)
    return Batch(images, batch.masks, batch.planes)


def warp(batch: Batch, maps: _Matrices) -> Batch:
    """Sample images, masks and planes at `maps` (N, 2, 3), as in `Changes`."""
    images = batch.images
    theta = torch.from_numpy(maps).to(images.device, images.dtype)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    masks = batch.masks.unsqueeze(1).to(images.dtype)
    moved = F.grid_sample(masks, grid, mode="nearest", align_corners=False)
    return Batch(
        F.grid_sample(images, grid, mode="bilinear", align_corners=False),
        moved.squeeze(1).to(batch.masks.dtype),
        None
        if batch.planes is None
        else F.grid_sample(batch.planes, grid, mode="bilinear", align_corners=False),
    )


def draw_maps(
    count: int, size: tuple[int, int], settings: Augment, random: np.random.Generator
) -> _Matrices:
    """One map (2, 3) an image: flips, then with its own chance one affine map."""

    def between(limit: float, *more: int) -> NDArray[np.float64]:
        return random.uniform(-limit, limit, (count, *more))

    chances = random.random((count, 3))
    flips = np.where(chances[:, :2] < (settings.horizontal_flip, settings.vertical_flip), -1.0, 1.0)
    scales = 1.0 / (1.0 + between(settings.scale, 2))
    angles = np.deg2rad(between(settings.rotate_deg))
    shears = np.tan(np.deg2rad(between(settings.shear_deg)))
    # A share of the side is twice that in coordinates from -1 to 1.
    shifts = 2.0 * between(settings.translate, 2)
    linear = _in_unit_coordinates(_rotations(angles) @ _shears(shears), size) * scales[:, None, :]
    is_mapped = chances[:, 2] < settings.affine
    linear = np.where(is_mapped[:, None, None], linear, np.eye(2)) * flips[:, None, :]
    shifts = np.where(is_mapped[:, None], shifts, 0.0)
    return np.concatenate((linear, shifts[:, :, None]), axis=2)


def _rotations(angles: NDArray[np.float64]) -> _Matrices:
    cosine, sine = np.cos(angles), np.sin(angles)
    return np.stack((cosine, -sine, sine, cosine), axis=1).reshape(-1, 2, 2)


def _shears(slopes: NDArray[np.float64]) -> _Matrices:
    one, zero = np.ones_like(slopes), np.zeros_like(slopes)
    return np.stack((one, slopes, zero, one), axis=1).reshape(-1, 2, 2)


def _in_unit_coordinates(linear: _Matrices, size: tuple[int, int]) -> _Matrices:
    """Maps in pixels, as maps of coordinates that run from -1 to 1 along both sides."""
    height, width = size
    sides = np.array((width, height), np.float64)
    return linear * sides[None, None, :] / sides[None, :, None]


def change_intensity(images: Tensor, intensities: NDArray[np.float64]) -> Tensor:
    """Gamma, contrast about each image's mean, brightness; the result is cut to [0, 1]."""
    changes = torch.from_numpy(intensities).to(images.device, images.dtype)
    gamma, contrast, brightness = changes.view(-1, 3, 1, 1, 1).unbind(dim=1)
    bent = images.clamp(0, 1).pow(gamma.exp())
    mean = bent.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + (bent - mean) * (1 + contrast) + brightness).clamp(0, 1)

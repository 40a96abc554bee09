"""Augmentation of a whole batch on its own device: one warp and one intensity step.

The random numbers are a few an image and come from a numpy generator made of (seed, step), so
that a resumed run, and every device, draws the same.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from featherseg.train.sections import Augment

_Matrices = NDArray[np.float64]


def augment(
    images: Tensor, masks: Tensor, settings: Augment, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Change float32 images (N, C, H, W) in [0, 1] and integer masks (N, H, W) alike.

    Images are sampled bilinearly, masks by nearest neighbor; what comes in from outside is 0
    in both. Nothing is drawn for the settings that are 0.
    """
    if settings.horizontal_flip or settings.vertical_flip or settings.affine:
        maps = draw_maps(len(images), (images.shape[2], images.shape[3]), settings, random)
        images, masks = warp(images, masks, maps)
    if settings.brightness or settings.contrast or settings.gamma:
        images = change_intensity(images, settings, random)
    return images, masks


def warp(images: Tensor, masks: Tensor, maps: _Matrices) -> tuple[Tensor, Tensor]:
    """Sample both at `maps` (N, 2, 3): output to input coordinates (x, y), each in [-1, 1]."""
    theta = torch.from_numpy(maps).to(images.device, images.dtype)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    warped = F.grid_sample(images, grid, mode="bilinear", align_corners=False)
    planes = masks.unsqueeze(1).to(images.dtype)
    moved = F.grid_sample(planes, grid, mode="nearest", align_corners=False)
    return warped, moved.squeeze(1).to(masks.dtype)


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


def change_intensity(images: Tensor, settings: Augment, random: np.random.Generator) -> Tensor:
    """Gamma, contrast about each image's mean, brightness; the result is cut to [0, 1]."""
    limits = np.array((settings.gamma, settings.contrast, settings.brightness))
    drawn = random.uniform(-1.0, 1.0, (len(images), 3)) * limits
    changes = torch.from_numpy(drawn).to(images.device, images.dtype)
    gamma, contrast, brightness = changes.view(-1, 3, 1, 1, 1).unbind(dim=1)
    bent = images.clamp(0, 1).pow(gamma.exp())
    mean = bent.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + (bent - mean) * (1 + contrast) + brightness).clamp(0, 1)

"""Augmentation against plain flips, a pixel-by-pixel reference and its own promises."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from featherseg.train.augment import augment, change_intensity, draw_maps, warp
from featherseg.train.loader import augment_random
from featherseg.train.sections import Augment

EVERYTHING = Augment(0.5, 0.5, 0.8, 0.2, 0.2, 45, 16, 0.1, 0.2, 0.2)


def example(count: int = 4, size: tuple[int, int] = (24, 32)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 3, *size, generator=generator)
    masks = torch.randint(0, 4, (count, *size), generator=generator)
    return images, masks


def test_nothing_is_changed_by_default() -> None:
    images, masks = example()
    same, same_masks = augment(images, masks, Augment(), augment_random(0, 1))
    assert same is images
    assert same_masks is masks


@pytest.mark.parametrize(
    ("settings_", "axis"), [({"horizontal_flip": 1.0}, 2), ({"vertical_flip": 1.0}, 1)]
)
def test_flips_are_exact(settings_: dict[str, Any], axis: int) -> None:
    images, masks = example()
    flipped, flipped_masks = augment(images, masks, Augment(**settings_), augment_random(0, 1))
    assert torch.allclose(flipped, images.flip(axis + 1), atol=1e-5)
    assert torch.equal(flipped_masks, masks.flip(axis))


def test_a_map_samples_where_a_slow_loop_does() -> None:
    """Every output pixel against its own bilinear and nearest sample, in pixel coordinates."""
    images, masks = example(1, (16, 20))
    maps = draw_maps(1, (16, 20), replace(EVERYTHING, affine=1.0), augment_random(3, 7))
    warped, warped_masks = warp(images, masks, maps)
    height, width = 16, 20
    for row in range(height):
        for column in range(width):
            unit = ((2 * column + 1) / width - 1, (2 * row + 1) / height - 1, 1.0)
            x, y = (float(np.dot(line, unit)) for line in maps[0])
            from_column = ((x + 1) * width - 1) / 2
            from_row = ((y + 1) * height - 1) / 2
            expected = _bilinear(images[0], from_row, from_column)
            assert torch.allclose(warped[0, :, row, column], expected, atol=1e-3)
            near = (round(from_row), round(from_column))
            is_tie = any(abs(abs(v % 1) - 0.5) < 1e-3 for v in (from_row, from_column))
            inside = 0 <= near[0] < height and 0 <= near[1] < width
            label = int(masks[0, near[0], near[1]]) if inside else 0
            assert is_tie or int(warped_masks[0, row, column]) == label


def _bilinear(image: Tensor, row: float, column: float) -> Tensor:
    total = torch.zeros(image.shape[0])
    for r in (math.floor(row), math.floor(row) + 1):
        for c in (math.floor(column), math.floor(column) + 1):
            if 0 <= r < image.shape[1] and 0 <= c < image.shape[2]:
                total += (1 - abs(row - r)) * (1 - abs(column - c)) * image[:, r, c]
    return total


def test_rotation_keeps_shape_on_an_oblong_image() -> None:
    """A disk turned in a 1:2 image stays a disk: rotation is in pixels, not in shares."""
    rows, columns = np.mgrid[:40, :80]
    disk = torch.from_numpy((np.hypot(rows - 19.5, columns - 39.5) < 12).astype(np.int64))
    for step in range(4):
        maps = draw_maps(1, (40, 80), Augment(affine=1.0, rotate_deg=180), augment_random(0, step))
        _, turned = warp(torch.zeros(1, 1, 40, 80), disk.unsqueeze(0), maps)
        assert (turned[0] != disk).float().mean() < 0.02


def test_affine_values_stay_in_their_ranges() -> None:
    limits = Augment(affine=1.0, scale=0.2, translate=0.1, rotate_deg=30)
    maps = draw_maps(2000, (32, 32), limits, augment_random(0, 1))
    scales = 1 / np.linalg.norm(maps[:, :, :2], axis=1)
    assert scales.min() >= 0.8 - 1e-9
    assert scales.max() <= 1.2 + 1e-9
    assert scales.min() < 0.81
    assert scales.max() > 1.19
    angles = np.rad2deg(np.arctan2(maps[:, 1, 0], maps[:, 0, 0]))
    assert 29 < np.abs(angles).max() <= 30 + 1e-9
    assert 0.19 < np.abs(maps[:, :, 2]).max() <= 0.2
    half = draw_maps(2000, (32, 32), replace(limits, affine=0.5), augment_random(0, 1))
    untouched = np.all(half == np.eye(2, 3), axis=(1, 2)).mean()
    assert 0.45 < untouched < 0.55


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), step=st.integers(0, 10**6))
def test_labels_and_ranges_are_kept(seed: int, step: int) -> None:
    images, masks = example()
    changed, changed_masks = augment(images, masks, EVERYTHING, augment_random(seed, step))
    assert changed.shape == images.shape
    assert changed.dtype == torch.float32
    assert changed_masks.dtype == masks.dtype
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    assert set(changed_masks.flatten().tolist()) <= {0, 1, 2, 3}
    again = augment(images, masks, EVERYTHING, augment_random(seed, step))
    assert torch.equal(changed, again[0])
    assert torch.equal(changed_masks, again[1])


def test_steps_and_images_differ() -> None:
    images, masks = example(1)
    images, masks = images.repeat(4, 1, 1, 1), masks.repeat(4, 1, 1)
    first, _ = augment(images, masks, EVERYTHING, augment_random(0, 1))
    second, _ = augment(images, masks, EVERYTHING, augment_random(0, 2))
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_intensity_follows_its_formula() -> None:
    images, _ = example(2)
    values = np.random.default_rng(5).uniform(-1, 1, (2, 3)) * (0.3, 0.2, 0.1)
    limits = Augment(brightness=0.1, contrast=0.2, gamma=0.3)
    changed = change_intensity(images, limits, np.random.default_rng(5))
    for image, result, (gamma, contrast, brightness) in zip(images, changed, values, strict=True):
        bent = image ** math.exp(gamma)
        mean = bent.mean()
        expected = (mean + (bent - mean) * (1 + contrast) + brightness).clamp(0, 1)
        assert torch.allclose(result, expected, atol=1e-5)

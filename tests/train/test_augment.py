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

from featherseg.train.augment import (
    SYMMETRIES,
    apply_changes,
    change_intensity,
    draw_changes,
    draw_maps,
    warp,
)
from featherseg.train.objective import Batch
from featherseg.train.sampling import augment_random
from featherseg.train.sections import Augment

EVERYTHING = Augment(0.5, 0.5, 0.8, 0.2, 0.2, 45, 16, 0.1, 0.2, 0.2)


def example(count: int = 4, size: tuple[int, int] = (24, 32)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 3, *size, generator=generator)
    masks = torch.randint(0, 4, (count, *size), generator=generator)
    return images, masks


def augment(
    images: Tensor, masks: Tensor, settings: Augment, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Draw for a batch and change it."""
    turns = np.zeros(len(images), np.int64)
    size = (images.shape[2], images.shape[3])
    done = apply_changes(Batch(images, masks), draw_changes(turns, size, settings, random))
    return done.images, done.masks


def turned(batch: Batch, turns: list[int], settings: Augment | None = None) -> Batch:
    """The batch with each image in its flip or turn; `settings` act on top."""
    size = (batch.images.shape[2], batch.images.shape[3])
    drawn = draw_changes(
        np.array(turns), size, settings or Augment(symmetries=8), augment_random(0, 1)
    )
    return apply_changes(batch, drawn)


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
    done = warp(Batch(images, masks), maps)
    warped, warped_masks = done.images, done.masks
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
        done = warp(Batch(torch.zeros(1, 1, 40, 80), disk.unsqueeze(0)), maps)
        assert (done.masks[0] != disk).float().mean() < 0.02


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
    drawn = draw_changes(np.zeros(2, np.int64), (24, 32), limits, np.random.default_rng(5))
    assert drawn.intensities is not None
    changed = change_intensity(images, drawn.intensities)
    for image, result, (gamma, contrast, brightness) in zip(images, changed, values, strict=True):
        bent = image ** math.exp(gamma)
        mean = bent.mean()
        expected = (mean + (bent - mean) * (1 + contrast) + brightness).clamp(0, 1)
        assert torch.allclose(result, expected, atol=1e-5)


def test_the_symmetries_are_those_of_the_square() -> None:
    """A group of eight: all differ, every one is orthogonal, products stay inside."""
    known = {each.tobytes() for each in SYMMETRIES + 0.0}
    assert len(known) == 8
    assert all(np.array_equal(each @ each.T, np.eye(2)) for each in SYMMETRIES)
    products = {(a @ b + 0.0).tobytes() for a in SYMMETRIES for b in SYMMETRIES}
    assert products == known


def test_square_images_are_turned_pixel_by_pixel() -> None:
    images, masks = example(1, (24, 24))
    eight = Batch(images.repeat(8, 1, 1, 1), masks.repeat(8, 1, 1))
    done = turned(eight, list(range(8)))
    found = []
    for image, mask in zip(done.images, done.masks, strict=True):
        found += [
            (turns, flip)
            for turns in range(4)
            for flip in (False, True)
            if torch.equal(mask, _moved(masks[0], turns, flip))
            and torch.allclose(image, _moved(images[0], turns, flip), atol=1e-5)
        ]
    assert sorted(found) == [(turns, flip) for turns in range(4) for flip in (False, True)]


def _moved(plane: Tensor, turns: int, flip: bool) -> Tensor:
    return torch.rot90(plane.flip(-1) if flip else plane, turns, (-2, -1))


def test_oblong_images_are_turned_about_their_middle() -> None:
    """A quarter turn of 16x24: the middle 16x16 turns exactly, what comes from outside is 0."""
    images, masks = example(1, (16, 24))
    masks = masks + 1
    for turn in (1, 3, 5, 7):
        done = turned(Batch(images, masks), [turn])
        assert not done.images[0, :, :, :4].any()
        assert not done.masks[0, :, -4:].any()
        middle = images[0, :, :, 4:20]
        ways = [_moved(middle, turns, flip) for turns in (1, 3) for flip in (False, True)]
        matches = [torch.allclose(done.images[0, :, :, 4:20], way, atol=1e-5) for way in ways]
        assert sum(matches) == 1


def test_other_changes_act_on_top_of_the_turn() -> None:
    images, masks = example(1, (24, 24))
    settings_ = replace(EVERYTHING, affine=1.0, symmetries=8)
    first = turned(Batch(images, masks), [3])
    plain = turned(first, [0], settings_)
    both = turned(Batch(images, masks), [3], settings_)
    assert torch.allclose(plain.images, both.images, atol=1e-3)
    assert (plain.masks != both.masks).float().mean() < 0.01


def test_planes_move_with_the_mask_and_keep_their_intensity() -> None:
    images, masks = example(4, (24, 24))
    planes = torch.stack((masks == 1, masks == 2), dim=1).float()
    flips = Augment(0.5, 0.5, symmetries=8, brightness=0.3, gamma=0.3)
    done = turned(Batch(images, masks, planes), [0, 3, 5, 6], flips)
    assert done.planes is not None
    expected = torch.stack((done.masks == 1, done.masks == 2), dim=1).float()
    assert torch.allclose(done.planes, expected, atol=1e-4)
    half_a_side = np.repeat(np.array([[[1.0, 0, 1], [0, 1, 0]]]), 4, axis=0)
    shifted = warp(Batch(images, masks, torch.ones(4, 1, 24, 24)), half_a_side)
    assert shifted.planes is not None
    assert bool((shifted.planes[..., :11] == 1).all())
    assert not shifted.planes[..., 13:].any()


def test_a_part_of_a_batch_is_changed_as_it_is_in_the_whole() -> None:
    images, masks = example(5)
    size = (images.shape[2], images.shape[3])
    drawn = draw_changes(np.zeros(5, np.int64), size, EVERYTHING, augment_random(0, 1))
    whole = apply_changes(Batch(images, masks), drawn)
    for part in (slice(0, 3), slice(3, 5)):
        done = apply_changes(Batch(images[part], masks[part]), drawn.of(part))
        assert torch.allclose(done.images, whole.images[part], atol=1e-6)
        assert torch.equal(done.masks, whole.masks[part])

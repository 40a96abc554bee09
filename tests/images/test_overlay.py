"""Overlays: colors, what stays untouched, and what is refused."""

import numpy as np
import pytest

from featherseg.errors import ImageError
from featherseg.images.overlay import FOUND_COLORS, TRUTH_COLORS, label_colors, overlay
from featherseg.types import Mask, Pixels

SIZE = (80, 100)


def gray(level: int = 100) -> Pixels:
    return np.full(SIZE, level, np.uint8)


def box(label: int = 1, left: int = 20) -> Mask:
    mask = np.zeros(SIZE, np.uint8)
    mask[20:60, left : left + 30] = label
    return mask


# An antialiased line of one pixel lets some of what is below it through.
TOLERANCE = 50


def has_color(pixels: Pixels, color: tuple[int, int, int]) -> bool:
    difference = np.abs(pixels.astype(int) - color).max(axis=-1)
    return bool((difference <= TOLERANCE).any())


@pytest.mark.parametrize("channels", [0, 3])
def test_only_the_mask_is_touched_and_the_input_never(channels: int) -> None:
    pixels = gray() if channels == 0 else np.stack([gray()] * 3, axis=2)
    before = pixels.copy()
    drawn = overlay(pixels, box())
    assert drawn.shape == (*SIZE, 3)
    assert drawn.dtype == np.uint8
    assert np.array_equal(pixels, before)
    changed = (drawn != 100).any(axis=2)
    assert changed[20:60, 20:50].all()
    # An antialiased line reaches at most two pixels outside.
    assert not changed[:18].any()
    assert not changed[:, 52:].any()


def test_the_outline_has_the_color_and_the_inside_stays_visible() -> None:
    drawn = overlay(gray(), box())
    assert has_color(drawn[20, 35], FOUND_COLORS[0])
    assert abs(drawn[40, 35].astype(int) - 100).max() <= 20


def test_found_lies_over_the_truth_and_both_are_seen() -> None:
    drawn = overlay(gray(), box(left=20), box(left=30))
    assert has_color(drawn, FOUND_COLORS[0])
    assert has_color(drawn, TRUTH_COLORS[0])
    agreeing = overlay(gray(), box(), box())
    assert has_color(agreeing[20, 35], FOUND_COLORS[0])
    assert has_color(agreeing[19, 35], TRUTH_COLORS[0])


def test_labels_have_colors_of_their_own() -> None:
    both = np.maximum(box(1, left=5), box(2, left=60))
    drawn = overlay(gray(), both)
    assert has_color(drawn, FOUND_COLORS[0])
    assert has_color(drawn, FOUND_COLORS[1])
    assert label_colors(2) == (FOUND_COLORS[1], TRUTH_COLORS[1])
    assert label_colors(4) == label_colors(1)
    assert len({*FOUND_COLORS, *TRUTH_COLORS}) == 6


def test_nothing_found_changes_nothing() -> None:
    drawn = overlay(gray(), np.zeros(SIZE, np.uint8))
    assert np.array_equal(drawn, np.full((*SIZE, 3), 100))


def test_a_hole_is_outlined_too() -> None:
    mask = box()
    mask[35:45, 30:40] = 0
    drawn = overlay(gray(), mask)
    assert tuple(drawn[40, 35]) == (100, 100, 100)
    assert has_color(drawn[34, 35], FOUND_COLORS[0])


def test_large_images_get_thicker_outlines() -> None:
    pixels = np.zeros((1200, 1200), np.uint8)
    mask = pixels.copy()
    mask[300:900, 300:900] = 1
    column = (overlay(pixels, mask)[280:320, 600] == FOUND_COLORS[0]).all(axis=1)
    assert 5 <= column.sum() <= 8


@pytest.mark.parametrize("name", ["mask", "true mask"])
def test_a_mask_of_another_size_is_refused(name: str) -> None:
    masks = [box(), box()]
    masks[name == "true mask"] = box()[:, :-1]
    with pytest.raises(ImageError, match=f"the {name} is 80x99, the image 80x100"):
        overlay(gray(), *masks)


def test_the_fill_is_a_blend_of_every_value() -> None:
    pixels = np.arange(256, dtype=np.uint8).repeat(64).reshape(64, 256)
    colored = np.dstack([pixels, pixels[::-1], 255 - pixels])
    for label in (1, 2, 3):
        mask = np.zeros(pixels.shape, np.uint8)
        mask[5:60, 10:250] = label
        drawn = overlay(colored, mask)
        color = np.array(label_colors(label)[0], np.float32)
        expected = np.round(0.86 * colored.astype(np.float32) + np.float32(0.14) * color)
        inside = slice(10, 55), slice(15, 245)
        assert np.abs(drawn[inside] - expected[inside]).max() <= 1
        np.testing.assert_array_equal(drawn[:2], colored[:2])

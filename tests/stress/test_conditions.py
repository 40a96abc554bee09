"""Changes of images: identities, closed forms, geometry, and what is left untouched."""

import cv2
import numpy as np
import pytest

from featherseg.stress.conditions import (
    DYNAMIC_RANGE_DB,
    How,
    blur,
    conditions,
    dynamic_range,
    gain,
    gamma,
    jpeg,
    shallower,
    speckle,
    without_calipers,
    without_text,
    zoomed,
)
from featherseg.types import Image, Mask, Pixels


def ramp(channels: int = 1) -> Pixels:
    gray = np.tile(np.arange(256, dtype=np.uint8), (200, 1))
    return gray if channels == 1 else np.repeat(gray[..., np.newaxis], channels, axis=2)


def pair(channels: int = 1) -> tuple[Image, Mask]:
    mask = np.zeros((200, 256), np.uint8)
    mask[60:160, 40:120] = 1
    return Image(ramp(channels), (0.1, 0.2), "test"), mask


@pytest.mark.parametrize("channels", [1, 3])
def test_no_strength_changes_nothing(channels: int) -> None:
    pixels = ramp(channels)
    random = np.random.default_rng(0)
    for same in (
        gain(pixels, 0.0),
        dynamic_range(pixels, DYNAMIC_RANGE_DB),
        gamma(pixels, 1.0),
        speckle(pixels, 0.0, random),
    ):
        assert same.dtype == np.uint8
        assert np.array_equal(same, pixels)
    image, mask = pair(channels)
    for crop in (shallower, zoomed):
        kept, kept_mask = crop(image, mask, 1.0)
        assert np.array_equal(kept.pixels, image.pixels)
        assert np.array_equal(kept_mask, mask)


def test_gain_is_so_many_levels_a_decibel_and_leaves_black_black() -> None:
    levels = np.array([[0, 1, 100, 200, 255]], np.uint8)
    assert gain(levels, 12.0).tolist() == [[0, 52, 151, 251, 255]]
    assert gain(levels, -12.0).tolist() == [[0, 0, 49, 149, 204]]


def test_half_the_dynamic_range_doubles_the_distance_to_white() -> None:
    levels = np.array([[0, 100, 200, 255]], np.uint8)
    assert dynamic_range(levels, 30.0).tolist() == [[0, 0, 145, 255]]
    assert dynamic_range(levels, 120.0).tolist() == [[128, 178, 228, 255]]


def test_gamma_is_the_power_of_the_relative_level() -> None:
    levels = np.array([[0, 51, 255]], np.uint8)
    assert gamma(levels, 2.0).tolist() == [[0, round(255 * 0.04), 255]]


def test_speckle_has_the_stated_spread_and_is_alike_in_all_channels() -> None:
    pixels = np.full((300, 300, 3), 100, np.uint8)
    noisy = speckle(pixels, 0.1, np.random.default_rng(1))
    assert noisy[..., 0].mean() == pytest.approx(100, abs=0.3)
    assert noisy[..., 0].std() == pytest.approx(10, rel=0.03)
    assert (noisy == noisy[..., :1]).all()


def test_blur_spreads_a_point_by_a_share_of_the_height() -> None:
    pixels = np.zeros((400, 401), np.uint8)
    pixels[180:220] = 255
    profile = blur(pixels, 0.01)[:, 200].astype(float)
    # A step blurred by a Gaussian of 4 px: one standard deviation inside it is Phi(1).
    assert profile[180 + 4] == pytest.approx(255 * 0.8697, abs=4)
    assert profile[200] == 255


def test_jpeg_keeps_size_and_color_and_worsens_with_quality() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3)).astype(np.uint8)
    pixels = blur(pixels, 2.0 / 64)
    errors = [np.abs(jpeg(pixels, q).astype(int) - pixels).mean() for q in (95, 50, 10)]
    assert errors == sorted(errors)
    assert errors[0] < 3
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert np.abs(jpeg(red, 95).astype(int) - red).max() < 8
    assert jpeg(ramp(), 50).shape == (200, 256)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_shallower_image_is_its_upper_part_with_its_mask(channels: int) -> None:
    image, mask = pair(channels)
    upper, upper_mask = shallower(image, mask, 0.7)
    assert np.array_equal(upper.pixels, image.pixels[:140])
    assert np.array_equal(upper_mask, mask[:140])
    assert upper.spacing_mm == image.spacing_mm
    assert not np.shares_memory(upper.pixels, image.pixels)


def test_a_zoomed_image_is_its_middle_with_its_mask() -> None:
    image, mask = pair()
    middle, middle_mask = zoomed(image, mask, 0.5)
    assert np.array_equal(middle.pixels, image.pixels[50:150, 64:192])
    assert np.array_equal(middle_mask, mask[50:150, 64:192])


def marked(text: bool, cross: bool) -> Image:
    pixels = np.full((120, 160), 60, np.uint8)
    if text:
        cv2.putText(pixels, "LT 3", (20, 100), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 240, 2)
    if cross:
        cv2.line(pixels, (100, 30), (120, 30), 240)
        cv2.line(pixels, (110, 20), (110, 40), 240)
    return Image(pixels, None, "test")


@pytest.mark.parametrize("how", ["inpaint", "mask"])
def test_marks_are_removed_from_those_that_have_them(how: How) -> None:
    for text, cross in ((False, False), (True, False), (False, True), (True, True)):
        image = marked(text, cross)
        results = without_calipers(image, how), without_text(image, how)
        assert [result is not None for result in results] == [cross, text and not cross]
        for result in results:
            assert result is None or result.pixels.max() <= 70


@pytest.mark.parametrize("channels", [1, 3])
def test_every_condition_keeps_image_and_mask_on_one_grid(channels: int) -> None:
    image, mask = pair(channels)
    before = image.pixels.copy(), mask.copy()
    for condition in conditions():
        changed = condition(image, mask, np.random.default_rng(0))
        if changed is None:
            assert condition.kind in ("calipers", "text")
            continue
        assert changed[0].pixels.shape[:2] == changed[1].shape
        assert changed[0].pixels.dtype == changed[1].dtype == np.dtype(np.uint8)
        assert changed[0].pixels.ndim == image.pixels.ndim
    assert np.array_equal(image.pixels, before[0])
    assert np.array_equal(mask, before[1])


def test_names_are_unique_and_speak_of_their_strength() -> None:
    names = [condition.name for condition in conditions()]
    assert len(set(names)) == len(names)
    assert {"gain -10 dB", "gain +5 dB", "blur 0.25%", "JPEG 15", "depth 70%"} <= set(names)
    assert not any("@" in name for name in names)

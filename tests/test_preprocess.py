"""Images to network inputs: sizes, channels, intensities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from featherseg.preprocess import Preprocessing, fit_mask, fit_pixels, normalize, preprocess
from featherseg.types import Mask, Pixels

SIDE = st.integers(1, 40)
gray_images = arrays.arrays(np.uint8, st.tuples(SIDE, SIDE))
sizes = st.tuples(SIDE, SIDE)


def area_average(pixels: Pixels, size: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype]:
    """Mean over the source area under each target pixel, as sums over both axes."""
    weights = []
    for source, target in zip(pixels.shape[:2], size, strict=True):
        edges = np.arange(target + 1) * source / target
        cells = np.arange(source)
        low = np.maximum(edges[:-1, None], cells)
        high = np.minimum(edges[1:, None], cells + 1)
        weights.append(np.clip(high - low, 0, None) * target / source)
    return np.asarray(weights[0] @ pixels.astype(np.float64) @ weights[1].T)


@settings(max_examples=40, deadline=None)
@given(pixels=gray_images, size=sizes)
def test_shrinking_averages_areas(pixels: Pixels, size: tuple[int, int]) -> None:
    size = (min(size[0], pixels.shape[0]), min(size[1], pixels.shape[1]))
    fitted = fit_pixels(pixels, size, 1)
    assert fitted.shape == (*size, 1)
    assert np.abs(fitted[..., 0] - area_average(pixels, size)).max() <= 1.0


@settings(max_examples=40, deadline=None)
@given(pixels=gray_images, size=sizes, channels=st.sampled_from([1, 3]))
def test_any_size_fits(pixels: Pixels, size: tuple[int, int], channels: int) -> None:
    kept = pixels.copy()
    fitted = fit_pixels(pixels, size, channels)
    assert fitted.shape == (*size, channels)
    assert fitted.dtype == np.uint8
    assert fitted.min() >= pixels.min()
    assert fitted.max() <= pixels.max()
    np.testing.assert_array_equal(pixels, kept)
    np.testing.assert_array_equal(fitted, fitted[..., :1].repeat(channels, axis=2))


def test_a_ramp_stays_a_ramp_when_enlarged() -> None:
    ramp = np.repeat(np.arange(0, 160, 10, dtype=np.uint8)[None], 8, axis=0)
    fitted = fit_pixels(ramp, (8, 64), 1)[0, :, 0].astype(int)
    assert (np.diff(fitted) >= 0).all()
    # Bilinear with pixel centers at the half: target column c lies at (c + 0.5) / 4 - 0.5.
    expected = np.clip(((np.arange(64) + 0.5) / 4 - 0.5) * 10, 0, 150)
    assert np.abs(fitted - expected).max() <= 1


def test_one_axis_may_shrink_while_the_other_grows() -> None:
    stripes = np.zeros((64, 4), np.uint8)
    stripes[::4] = 200
    fitted = fit_pixels(stripes, (16, 32), 1)
    # Averaged, not sampled: every fourth row of 200 is 50 everywhere.
    np.testing.assert_array_equal(fitted, 50)


def test_the_same_size_changes_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 15, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fit_pixels(pixels, (12, 15), 3), pixels)


def test_color_to_gray_is_bt601_luma() -> None:
    primaries = np.zeros((8, 8, 3), np.uint8)
    for column, expected in enumerate((76, 150, 29)):
        primaries[:] = 0
        primaries[..., column] = 255
        assert (fit_pixels(primaries, (8, 8), 1) == expected).all()


def test_color_keeps_its_channel_order() -> None:
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[..., 0] = 200
    np.testing.assert_array_equal(fit_pixels(pixels, (8, 8), 3)[0, 0], (200, 0, 0))


@settings(max_examples=30, deadline=None)
@given(mask=arrays.arrays(np.uint8, st.tuples(SIDE, SIDE), elements=st.integers(0, 3)), size=sizes)
def test_masks_take_the_nearest_label(mask: Mask, size: tuple[int, int]) -> None:
    fitted = fit_mask(mask, size)
    for row, column in np.ndindex(*size):
        down = (row + 0.5) * mask.shape[0] / size[0]
        right = (column + 0.5) * mask.shape[1] / size[1]
        # On the edge between two pixels either one is nearest.
        near = {
            int(mask[min(r, mask.shape[0] - 1), min(c, mask.shape[1] - 1)])
            for r in {int(down - 1e-6), int(down + 1e-6)}
            for c in {int(right - 1e-6), int(right + 1e-6)}
        }
        assert int(fitted[row, column]) in near


def test_normalize() -> None:
    batch = np.random.default_rng(1).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    found = normalize(batch, Preprocessing((5, 7), 3, mean=0.4, std=0.2))
    expected = (batch.transpose(0, 3, 1, 2) / 255.0 - 0.4) / 0.2
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, expected, atol=2e-6)
    plain = normalize(batch, Preprocessing((5, 7)))
    assert plain.max() <= 1.0
    np.testing.assert_allclose(plain, batch.transpose(0, 3, 1, 2) / 255.0, atol=1e-7)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(30, 50), (30, 50, 3)])
def test_preprocess(shape: tuple[int, ...], channels: int) -> None:
    pixels = np.full(shape, 51, np.uint8)
    batch, geometry = preprocess(pixels, Preprocessing((16, 24), channels))
    assert batch.shape == (1, channels, 16, 24)
    np.testing.assert_allclose(batch, 0.2, atol=1e-6)
    assert geometry.image_size == (30, 50)
    assert geometry.input_size == (16, 24)

"""Boundary IoU against the authors' procedure written out, and the band against distances."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_cdt

from featherseg.metrics.boundary import band, boundary_iou, boundary_width_px
from featherseg.metrics.overlap import confusion, iou

Part = NDArray[np.bool_]


def blobs(seed: int, size: tuple[int, int] = (160, 120)) -> Part:
    noise = np.random.default_rng(seed).random((size[0] // 20, size[1] // 20))
    return np.asarray(np.kron(noise, np.ones((20, 20))) > 0.5, np.bool_)


def one_pixel_at_a_time(truth: Part, found: Part) -> float:
    """Each mask loses its rim d times, with a ring of background around the image."""
    width = max(1, round(0.02 * np.hypot(*truth.shape)))
    strips = []
    for part in (truth, found):
        left = np.pad(part, 1).astype(np.uint8)
        for _ in range(width):
            left = np.asarray(cv2.erode(left, np.ones((3, 3), np.uint8)), np.uint8)
            left[[0, -1]] = 0
            left[:, [0, -1]] = 0
        strips.append(part & (left[1:-1, 1:-1] == 0))
    return float((strips[0] & strips[1]).sum() / (strips[0] | strips[1]).sum())


@pytest.mark.parametrize("seed", range(6))
def test_boundary_iou_equals_the_authors_procedure(seed: int) -> None:
    truth, found = blobs(seed), np.roll(blobs(seed), 3, axis=seed % 2)
    assert boundary_iou(truth, found) == pytest.approx(one_pixel_at_a_time(truth, found))
    assert boundary_iou(truth, blobs(50 + seed)) == pytest.approx(
        one_pixel_at_a_time(truth, blobs(50 + seed))
    )


def test_a_good_large_lesion_with_a_shifted_outline_scores_lower_than_its_iou() -> None:
    truth, found = np.zeros((2, 200, 200), bool)
    truth[20:180, 20:180] = found[24:184, 20:180] = True
    strip, whole = boundary_iou(truth, found), iou(confusion(truth, found))
    assert strip is not None
    assert whole is not None
    assert strip < whole - 0.2


def test_empty_masks_follow_the_rule() -> None:
    empty, lesion = np.zeros((40, 40), bool), np.eye(40, dtype=bool)
    assert boundary_iou(empty, empty) is None
    assert boundary_iou(empty, lesion) == boundary_iou(lesion, empty) == 0.0
    assert not band(empty).any()


@settings(deadline=None)
@given(arrays(np.bool_, (12, 60), elements=st.booleans()))
def test_a_strip_as_wide_as_the_lesion_gives_the_plain_iou(truth: Part) -> None:
    """With d of 1 only a 3x3 block has an inside, and masks one pixel wide have none."""
    found = np.roll(truth, 1, axis=0)
    thin = truth & ~np.roll(truth, 1, axis=1)
    found = found & ~np.roll(found, 1, axis=1)
    assert boundary_width_px((12, 60)) == 1
    assert boundary_iou(thin, found) == iou(confusion(thin, found))


@pytest.mark.parametrize("seed", range(4))
def test_the_band_is_all_pixels_near_the_other_side(seed: int) -> None:
    truth = blobs(seed)
    width = boundary_width_px((160, 120))
    framed = np.pad(truth, 1)
    inside = distance_transform_cdt(framed, "chessboard")[1:-1, 1:-1]
    outside = distance_transform_cdt(~truth, "chessboard")
    expected = np.where(truth, inside <= width, outside <= width)
    assert np.array_equal(band(truth), expected)

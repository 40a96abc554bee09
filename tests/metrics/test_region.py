"""Size and place against closed forms and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass

from featherseg.metrics.region import (
    area_difference,
    area_error,
    centroid_error,
    false_positive_area,
)

Part = NDArray[np.bool_]
parts = arrays(np.bool_, (7, 9), elements=st.booleans()).filter(lambda part: bool(part.any()))


@settings(deadline=None)
@given(parts, parts)
def test_centers_equal_those_of_scipy(truth: Part, found: Part) -> None:
    away = np.subtract(center_of_mass(found), center_of_mass(truth)) * (0.5, 2.0)
    expected = pytest.approx(float(np.hypot(*away)), abs=1e-12)
    assert centroid_error(truth, found, (0.5, 2.0)) == expected
    assert centroid_error(found, truth, (0.5, 2.0)) == expected


def test_a_concentric_lesion_of_another_size_has_no_error_of_place() -> None:
    truth, found = np.zeros((2, 21, 21), bool)
    truth[8:13, 8:13] = found[5:16, 5:16] = True
    assert centroid_error(truth, found) == 0.0
    assert area_error(25, 121) == pytest.approx(3.84)
    assert area_difference(25, 121, (0.1, 0.2)) == pytest.approx(96 * 0.02)


def test_empty_masks_follow_the_rule() -> None:
    empty, lesion = np.zeros((4, 4), bool), np.eye(4, dtype=bool)
    for pair in ((empty, empty), (empty, lesion), (lesion, empty)):
        assert centroid_error(*pair) is None
    assert (area_error(0, 0), area_difference(0, 9), area_error(4, 0)) == (None, None, -1.0)
    assert [false_positive_area(*pair) for pair in ((0, 0), (0, 7), (3, 7))] == [0.0, 7.0, None]

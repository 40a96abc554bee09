"""Perimeter, ellipse and ratios against closed forms, at every angle and spacing."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from featherseg.ellipse import Ellipse, fit_ellipse
from featherseg.shape import (
    boundary_points,
    components,
    largest_part,
    perimeter,
    shape_of,
    without_holes,
)

Part = NDArray[np.bool_]
SPACINGS = [(1.0, 1.0), (1.0, 1.2), (0.3, 0.1), (0.1, 0.25)]


def elliptic(
    radii: tuple[float, float], angle_deg: float, spacing: tuple[float, float] = (1.0, 1.0)
) -> Part:
    """Pixels whose centers lie in an ellipse, off the grid's middle; radii in units of spacing."""
    shape = [int(2 * max(radii) / side) + 8 for side in spacing]
    rows, columns = np.indices(shape, dtype=np.float64)
    rows = (rows - shape[0] / 2 + 0.3) * spacing[0]
    columns = (columns - shape[1] / 2 + 0.7) * spacing[1]
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    along, across = columns * cosine + rows * sine, rows * cosine - columns * sine
    return np.asarray((along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1.0)


def around(radii: tuple[float, float]) -> float:
    """The perimeter of an ellipse by summing many chords: no formula of the code under test."""
    angles = np.linspace(0, 2 * math.pi, 200_001)
    steps = np.diff(np.column_stack((radii[0] * np.cos(angles), radii[1] * np.sin(angles))), axis=0)
    return float(np.hypot(steps[:, 0], steps[:, 1]).sum())


def test_ramanujan_is_the_perimeter() -> None:
    for radii in ((5.0, 5.0), (30.0, 15.0), (100.0, 10.0)):
        ellipse = Ellipse((0.0, 0.0), 2 * radii[0], 2 * radii[1], 0.0)
        assert ellipse.circumference == pytest.approx(around(radii), rel=1e-4)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("radii", [(5.0, 5.0), (20.0, 20.0), (30.0, 15.0), (60.0, 20.0)])
def test_the_perimeter_of_discs_and_ellipses(
    radii: tuple[float, float], spacing: tuple[float, float]
) -> None:
    scaled = (radii[0] * max(spacing), radii[1] * max(spacing))
    for angle in range(0, 180, 15):
        found = perimeter(elliptic(scaled, angle, spacing), spacing)
        assert found == pytest.approx(around(scaled), rel=0.012)


def test_the_perimeter_of_squares_and_small_things() -> None:
    square = np.zeros((60, 60), bool)
    square[10:50, 10:50] = True
    assert perimeter(square, (1.0, 1.0)) == pytest.approx(160, rel=0.03)
    assert perimeter(square, (0.5, 0.5)) == pytest.approx(perimeter(square, (1.0, 1.0)) / 2)
    assert perimeter(square[10:50, 10:50], (1.0, 1.0)) == perimeter(square, (1.0, 1.0))
    point = np.ones((1, 1), bool)
    assert 2.0 < perimeter(point, (1.0, 1.0)) < 4.0
    # A line has two sides; one of a single pixel's width slips through a knight's move.
    assert perimeter(np.ones((3, 200), bool), (1.0, 1.0)) == pytest.approx(406, rel=0.03)
    assert 0.75 * 402 < perimeter(np.ones((1, 200), bool), (1.0, 1.0)) < 402
    assert math.isfinite(perimeter(square, (1.0, 1e-4)))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("angle", [0.0, 20.0, 45.0, 90.0, 133.0])
def test_the_ellipse_of_an_ellipse(angle: float, spacing: tuple[float, float]) -> None:
    part = elliptic((40 * max(spacing), 22 * max(spacing)), angle, spacing)
    found = shape_of(part, spacing).ellipse
    assert found is not None
    assert found.long_axis == pytest.approx(80 * max(spacing), rel=0.005)
    assert found.short_axis == pytest.approx(44 * max(spacing), rel=0.005)
    assert min(abs(found.angle_deg - angle), 180 - abs(found.angle_deg - angle)) < 1.0
    middle = np.argwhere(part).mean(axis=0) * spacing
    assert found.center == pytest.approx(tuple(middle), abs=0.3 * max(spacing))
    assert 0.0 <= found.angle_deg < 180.0


def test_what_has_no_ellipse() -> None:
    assert fit_ellipse(np.zeros((0, 2))) is None
    assert fit_ellipse(np.ones((9, 2))) is None
    assert fit_ellipse(np.column_stack((np.arange(9.0), 2 * np.arange(9.0)))) is None
    assert shape_of(np.ones((3, 3), bool), (1.0, 1.0)).ellipse is None  # all of it is border
    point = np.zeros((3, 3), bool)
    point[1, 1] = True
    shape = shape_of(point, (1.0, 1.0))
    assert (shape.ellipse, shape.margin_irregularity) == (None, None)
    assert shape.solidity == 1.0


def test_ratios_of_known_shapes() -> None:
    disc = shape_of(elliptic((40, 40), 0), (1.0, 1.0))
    assert disc.circularity == pytest.approx(1.0, abs=0.01)
    assert disc.solidity == pytest.approx(1.0, abs=0.02)
    assert disc.depth_to_width == pytest.approx(1.0, abs=0.03)
    assert disc.margin_irregularity == pytest.approx(1.0, abs=0.01)
    slim = shape_of(elliptic((60, 20), 90), (1.0, 1.0))
    assert slim.circularity == pytest.approx(
        4 * math.pi * math.pi * 1200 / around((60, 20)) ** 2, 0.02
    )
    assert slim.depth_to_width == pytest.approx(3.0, rel=0.03)
    assert slim.margin_irregularity == pytest.approx(1.0, abs=0.01)
    # The same pixels, twice as far apart from row to row: a disc.
    flat = shape_of(elliptic((40, 20), 0), (2.0, 1.0))
    assert flat.circularity == pytest.approx(1.0, abs=0.01)
    assert flat.depth_to_width == pytest.approx(1.0, abs=0.03)


def test_a_spiky_margin_is_irregular_and_a_bay_is_not_solid() -> None:
    rows, columns = np.indices((241, 241)) - 120.0
    radius, angle = np.hypot(rows, columns), np.arctan2(rows, columns)
    star = shape_of(radius <= 80 * (1 + 0.2 * np.sin(12 * angle)), (1.0, 1.0))
    smooth = shape_of(radius <= 80, (1.0, 1.0))
    steps = np.linspace(0, 2 * math.pi, 100_001)
    edge = 80 * (1 + 0.2 * np.sin(12 * steps))
    length = np.hypot(np.diff(edge * np.cos(steps)), np.diff(edge * np.sin(steps))).sum()
    assert star.perimeter == pytest.approx(length, rel=0.02)
    assert star.margin_irregularity is not None
    assert smooth.margin_irregularity is not None
    assert star.margin_irregularity > 1.4 > 1.05 > smooth.margin_irregularity
    assert star.circularity < 0.5
    bay = np.zeros((50, 50), bool)
    bay[5:45, 5:45] = True
    bay[15:45, 15:35] = False
    assert shape_of(bay, (1.0, 1.0)).solidity == pytest.approx(1000 / 1600)


def test_holes_are_filled_and_the_image_border_is_no_boundary() -> None:
    ring = elliptic((30, 30), 0)
    ring[30:36, 30:36] = False
    filled, outline = without_holes(ring)
    assert filled[30:36, 30:36].all()
    assert set(map(tuple, outline)) <= set(map(tuple, np.argwhere(filled)))
    half = np.zeros((20, 20), bool)
    half[5:15, :10] = True
    points = boundary_points(half)
    assert points[:, 1].min() == 0  # along rows 4.5 and 14.5, none at column -0.5
    assert len(points) == 10 + 10 + 10


def test_the_largest_part() -> None:
    mask = np.zeros((20, 20), bool)
    mask[1:3, 1:3] = True
    mask[10, 5:15] = True
    assert np.argwhere(largest_part(mask))[:, 0].tolist() == [10] * 10


@settings(max_examples=60, deadline=None)
@given(
    mask=arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))),
    spacing=st.sampled_from(SPACINGS),
)
def test_every_shape_has_sane_values(mask: Part, spacing: tuple[float, float]) -> None:
    if not mask.any():
        return
    filled, _ = without_holes(largest_part(mask))
    padded = np.pad(filled, 2)
    shape = shape_of(padded, spacing)
    assert 0 < shape.solidity <= 1 + 1e-6
    assert shape.perimeter > 0
    assert shape.depth_to_width > 0
    turned = shape_of(padded[::-1, ::-1], spacing)
    assert turned.perimeter == pytest.approx(shape.perimeter)
    assert turned.solidity == pytest.approx(shape.solidity)
    flipped = shape_of(padded.T, spacing[::-1])
    assert flipped.perimeter == pytest.approx(shape.perimeter)
    assert flipped.depth_to_width == pytest.approx(1 / shape.depth_to_width)
    # Every edge of the part is counted once.
    corners = sum(int((np.diff(padded.astype(int), axis=axis) != 0).sum()) for axis in (0, 1))
    assert len(boundary_points(padded)) == corners
    hull = cv2.convexHull(np.argwhere(padded).astype(np.float32))
    assert shape.perimeter >= 0.8 * cv2.arcLength(hull, True) * min(spacing)


@settings(max_examples=80, deadline=None)
@given(
    part=arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.sampled_from([0, 0, 1]),
    )
)
def test_components_are_those_of_the_slower_call_with_statistics(part: NDArray[np.uint8]) -> None:
    numbered, areas = components(part)
    _, expected, statistics, _ = cv2.connectedComponentsWithStats(part, connectivity=8)
    np.testing.assert_array_equal(numbered, expected)
    np.testing.assert_array_equal(areas[1:], statistics[1:, cv2.CC_STAT_AREA])
    assert areas.sum() == part.size


def test_components_of_full_and_empty_parts() -> None:
    for value, expected in ((0, [6]), (1, [0, 6])):
        numbered, areas = components(np.full((2, 3), value, np.uint8))
        assert (numbered == value).all()
        assert areas.tolist() == expected

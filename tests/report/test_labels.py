"""Names stand beside their points, inside the frame, and cover nothing where there is room."""

from dataclasses import astuple
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featherseg.report.labels import Box, place_labels

FRAME = Box(0.0, 0.0, 500.0, 350.0)
SIZE = (60.0, 10.0)


def markers_at(*places: tuple[float, float]) -> list[Box]:
    return [Box.around(x, y, 6.0, 6.0) for x, y in places]


def test_shared_areas_are_those_of_rectangles() -> None:
    box = Box(0, 0, 4, 2)
    assert box.area == 8
    assert box.shared_area(Box(3, 1, 9, 9)) == 1
    assert box.shared_area(Box(4, 0, 6, 2)) == 0
    assert box.shared_area(box) == box.area


def test_a_lone_label_stands_right_of_its_marker() -> None:
    (label,) = place_labels(markers_at((100, 100)), [SIZE], FRAME)
    assert astuple(label) == pytest.approx((105, 95, 165, 105))


def test_a_label_at_the_right_edge_stands_left() -> None:
    (label,) = place_labels(markers_at((480, 100)), [SIZE], FRAME)
    assert label.right == pytest.approx(475)


def test_labels_of_close_points_cover_neither_each_other_nor_a_marker() -> None:
    markers = markers_at(*((200 + 9 * step, 150 + 7 * step) for step in range(8)))
    labels = place_labels(markers, [SIZE] * 8, FRAME)
    assert all(not one.shared_area(other) for one, other in combinations(labels, 2))
    assert all(not label.shared_area(marker) for label in labels for marker in markers)


@given(st.lists(st.tuples(st.floats(40, 460), st.floats(40, 310)), min_size=1, max_size=6))
def test_labels_keep_their_size_and_stay_inside(places: list[tuple[float, float]]) -> None:
    labels = place_labels(markers_at(*places), [SIZE] * len(places), FRAME)
    for label in labels:
        assert label.right - label.left == pytest.approx(SIZE[0])
        assert label.top - label.bottom == pytest.approx(SIZE[1])
        assert label.shared_area(FRAME) == pytest.approx(label.area)

"""Logits to masks: stability, geometry, and components against a slow search."""

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from featherseg.postprocess import (
    OperatingPoint,
    class_probabilities,
    foreground,
    kept_components,
    label_parts,
    label_pixels,
    postprocess,
    resize_maps,
    select_components,
    sigmoid,
)
from featherseg.preprocess import Geometry, Preprocessing, fit_mask, preprocess
from featherseg.types import Floats, Mask

logit = st.floats(-50, 50, width=32)
SIDE = st.integers(1, 8)


def flooded(mask: NDArray[np.bool_]) -> list[set[tuple[int, int]]]:
    """The 8-connected parts, found by flooding, in the order of their first pixel."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    parts = []
    for start in sorted(left):
        if start not in left:
            continue
        part, frontier = set(), [start]
        left.discard(start)
        while frontier:
            row, column = frontier.pop()
            part.add((row, column))
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)}
            frontier.extend(near & left)
            left -= near
        parts.append(part)
    return parts


def slow_selection(mask: Mask, point: OperatingPoint) -> Mask:
    kept = np.zeros_like(mask)
    for label in set(mask[mask > 0].tolist()):
        parts = flooded(mask == label)
        largest = max(parts, key=len)
        for part in parts:
            big_enough = len(part) >= point.smallest_area * mask.size
            if big_enough and (point.components == "all" or part is largest):
                for place in part:
                    kept[place] = label
    return kept


@settings(max_examples=80, deadline=None)
@given(
    mask=arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 10), st.integers(1, 10)),
        elements=st.sampled_from([0, 0, 1, 2]),
    ),
    smallest=st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0]),
    components=st.sampled_from(["all", "largest"]),
)
def test_components_against_flooding(
    mask: Mask, smallest: float, components: Literal["all", "largest"]
) -> None:
    point = OperatingPoint(0.5, smallest, components)
    kept = mask.copy()
    found = select_components(mask, point)
    expected = slow_selection(mask, point)
    np.testing.assert_array_equal(mask, kept)
    # Of equally large parts either may be kept, but only one.
    if components == "largest":
        for label in (1, 2):
            assert (found == label).sum() == (expected == label).sum()
            assert len(flooded(found == label)) <= 1
            assert not ((found == label) & (mask != label)).any()
    else:
        np.testing.assert_array_equal(found, expected)


def test_labels_are_judged_apart_and_corners_touch() -> None:
    mask = np.array([[1, 0, 0, 2], [0, 1, 0, 2], [0, 0, 0, 0], [1, 0, 2, 0]], np.uint8)
    found = select_components(mask, OperatingPoint(components="largest"))
    expected = np.array([[1, 0, 0, 2], [0, 1, 0, 2], [0, 0, 0, 0], [0, 0, 0, 0]], np.uint8)
    np.testing.assert_array_equal(found, expected)


def test_the_smallest_area_is_a_share_of_the_image_and_included() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[0, :5] = 1
    mask[5, :4] = 1
    found = select_components(mask, OperatingPoint(smallest_area=0.05))
    assert found.sum() == 5
    assert found[0, :5].all()


def test_no_parts_and_equal_parts() -> None:
    largest = OperatingPoint(components="largest")
    assert kept_components(np.array([], np.int64), 100, largest).shape == (0,)
    kept = kept_components(np.array([5, 9, 9]), 100, largest)
    np.testing.assert_array_equal(kept, [False, True, False])
    empty = np.zeros((4, 4), np.uint8)
    np.testing.assert_array_equal(select_components(empty, largest), empty)


@settings(max_examples=80, deadline=None)
@given(
    mask=arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 10), st.integers(1, 10)),
        elements=st.sampled_from([0, 0, 0, 1, 3]),
    )
)
def test_label_parts_are_the_tight_boxes_of_each_label(mask: Mask) -> None:
    found = list(label_parts(mask))
    assert [label for label, _, _ in found] == sorted(set(mask[mask > 0].tolist()))
    for label, part, window in found:
        places = np.argwhere(mask == label)
        low, high = places.min(axis=0), places.max(axis=0) + 1
        assert window == (slice(low[0], high[0]), slice(low[1], high[1]))
        assert part.dtype == np.uint8
        np.testing.assert_array_equal(part, mask[window] == label)


def test_what_drops_nothing_gives_the_same_mask() -> None:
    mask = np.array([[1, 1, 0, 2], [0, 0, 0, 2]], np.uint8)
    assert select_components(mask, OperatingPoint(components="largest")) is mask
    assert select_components(mask, OperatingPoint(smallest_area=0.2)) is mask


def test_nothing_to_drop_gives_the_same_mask() -> None:
    mask = np.ones((4, 4), np.uint8)
    assert select_components(mask, OperatingPoint()) is mask


@pytest.mark.filterwarnings("error")
def test_sigmoid_of_extremes() -> None:
    values = np.array([-3e38, -1e4, -100, -1, 0, 1, 100, 1e4, 3e38], np.float32)
    found = sigmoid(values)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert found[0] == 0.0
    assert found[-1] == 1.0
    assert found[4] == 0.5
    middle = 1.0 / (1.0 + np.exp(-np.linspace(-15, 15, 31)))
    np.testing.assert_allclose(
        sigmoid(np.linspace(-15, 15, 31, dtype=np.float32)), middle, 1e-6, 1e-7
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1.0, 1e4, 1e38])
def test_softmax_of_extremes(scale: float) -> None:
    logits = np.array([[-1.0, 1.0, 0.5], [1.0, -1.0, 0.5], [0.0, 0.0, 0.5]], np.float32) * scale
    found = class_probabilities(np.asarray(logits, np.float32)[:, None])
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-6)
    np.testing.assert_allclose(found[:, 0, 2], 1 / 3, atol=1e-6)
    assert found[1, 0, 0] == found[:, 0, 0].max()


@settings(max_examples=50, deadline=None)
@given(logits=arrays.arrays(np.float32, st.tuples(st.just(2), SIDE, SIDE), elements=logit))
def test_two_channels_are_a_sigmoid_of_their_difference(logits: Floats) -> None:
    expected = sigmoid(logits[1] - logits[0])
    np.testing.assert_allclose(foreground(class_probabilities(logits)), expected, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(logits=arrays.arrays(np.float32, st.tuples(st.integers(1, 4), SIDE, SIDE), elements=logit))
def test_probabilities_are_probabilities(logits: Floats) -> None:
    found = class_probabilities(logits)
    assert found.shape == logits.shape
    assert found.dtype == np.float32
    assert found.min() >= 0.0
    assert found.max() <= 1.0
    assert foreground(found).shape == logits.shape[1:]


def test_labels() -> None:
    one = np.array([[[0.2, 0.5, 0.51, 1.0]]], np.float32)
    np.testing.assert_array_equal(label_pixels(one, 0.5), [[0, 0, 1, 1]])
    two = np.concatenate([1 - one, one])
    np.testing.assert_array_equal(label_pixels(two, 0.5), [[0, 0, 1, 1]])
    # Background 0.45 is the likeliest single class, but the foreground together is likelier.
    three = np.array([[[0.45]], [[0.25]], [[0.3]]], np.float32)
    np.testing.assert_array_equal(label_pixels(three, 0.5), [[2]])
    np.testing.assert_array_equal(label_pixels(three, 0.6), [[0]])


def test_resizing_maps() -> None:
    maps = np.random.default_rng(0).random((3, 5, 7), dtype=np.float32)
    assert resize_maps(maps, (5, 7)) is maps
    larger = resize_maps(maps, (50, 35))
    assert larger.shape == (3, 50, 35)
    assert larger.dtype == np.float32
    assert larger.min() >= maps.min()
    assert larger.max() <= maps.max()
    for index in range(3):
        single = resize_maps(maps[index : index + 1], (50, 35))
        np.testing.assert_array_equal(single[0], larger[index])


@settings(max_examples=25, deadline=None)
@given(
    image_size=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    input_size=st.sampled_from([(32, 32), (48, 32), (64, 96)]),
    box=st.tuples(*[st.floats(0.1, 0.45)] * 2, *[st.floats(0.3, 0.5)] * 2),
)
def test_postprocess_undoes_preprocess(
    image_size: tuple[int, int], input_size: tuple[int, int], box: tuple[float, ...]
) -> None:
    """A bright box, found by a network whose probability is the intensity, comes back in place."""
    top, left, tall, wide = box
    rows = np.linspace(top, top + tall, 2) * image_size[0]
    columns = np.linspace(left, left + wide, 2) * image_size[1]
    pixels = np.zeros(image_size, np.uint8)
    pixels[round(rows[0]) : round(rows[1]), round(columns[0]) : round(columns[1])] = 255
    batch, geometry = preprocess(pixels, Preprocessing(input_size, 1))
    intensity = np.clip(batch[0], 1e-4, 1 - 1e-4)
    logits = np.log(intensity / (1 - intensity))
    mask, probability = postprocess(logits, geometry, OperatingPoint())
    assert mask.shape == probability.shape == image_size
    found, truth = np.argwhere(mask), np.argwhere(pixels)
    for ends in (np.min, np.max, np.mean):
        assert np.abs(ends(found, axis=0) - ends(truth, axis=0)).max() <= 1.0


def test_postprocess_at_the_input_size() -> None:
    logits = np.array([[[-2.0, 2.0], [0.1, -0.1]]], np.float32)
    mask, probability = postprocess(logits, Geometry((2, 2), (2, 2)), OperatingPoint())
    np.testing.assert_array_equal(mask, [[0, 1], [1, 0]])
    np.testing.assert_allclose(probability, sigmoid(logits[0]))
    assert probability.flags.c_contiguous


def test_the_operating_point_is_applied() -> None:
    logits: Any = np.full((1, 20, 20), -4.0, np.float32)
    logits[0, 2:8, 2:8] = 4.0
    logits[0, 15, 15] = 4.0
    geometry = Geometry((20, 20), (20, 20))
    everything, _ = postprocess(logits, geometry, OperatingPoint())
    assert everything.sum() == 37
    for point in (OperatingPoint(components="largest"), OperatingPoint(smallest_area=0.01)):
        assert postprocess(logits, geometry, point)[0].sum() == 36
    assert postprocess(logits, geometry, OperatingPoint(threshold=0.99))[0].sum() == 0


def test_masks_survive_the_way_to_the_input_and_back() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[8:24, 16:48] = 1
    np.testing.assert_array_equal(fit_mask(fit_mask(mask, (32, 32)), (64, 64)), mask)


@pytest.mark.parametrize(
    ("presence", "threshold", "present"),
    [
        (0.0, 0.5, False),
        (0.01, 0.5, True),
        (-9.0, None, True),
        (None, 0.9, True),
        (-2.0, 0.1, True),
    ],
)
def test_absence_empties_the_mask_and_leaves_the_probability(
    presence: float | None, threshold: float | None, present: bool
) -> None:
    logits = np.full((1, 4, 4), 3.0, np.float32)
    point = OperatingPoint(presence_threshold=threshold)
    answer = None if presence is None else np.array([presence], np.float32)
    mask, probability = postprocess(logits, Geometry((8, 8), (4, 4)), point, answer)
    assert mask.shape == (8, 8)
    assert mask.dtype == np.uint8
    assert bool(mask.any()) is present
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-3.0)), rtol=1e-6)

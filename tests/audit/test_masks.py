"""Outlines are filled, and nothing else is taken for one."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from featherseg.audit.masks import (
    filled_outline,
    hole_areas_px,
    mask_facts,
    odd_places,
    part_areas_px,
)
from featherseg.audit.outlines import filled_mask
from featherseg.datasets import DATASETS, load_dataset
from featherseg.images import raster

Bools = NDArray[np.bool_]


def ellipse(center: tuple[int, int], axes: tuple[int, int], width: int) -> Bools:
    """An ellipse's line, or the whole of it for width -1, in 120x160; (x, y) as OpenCV has it."""
    canvas = np.zeros((120, 160), np.uint8)
    cv2.ellipse(canvas, center, axes, 20, 0, 360, 1, width)
    return canvas > 0


def dice(first: Bools, second: Bools) -> float:
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())


@settings(max_examples=60)
@given(
    st.tuples(st.integers(30, 130), st.integers(30, 90)),
    st.tuples(st.integers(20, 50), st.integers(18, 40)),
    st.integers(1, 3),
)
def test_an_ellipse_anywhere(center: tuple[int, int], axes: tuple[int, int], width: int) -> None:
    """Also where it leaves the image on one side or over a corner."""
    line = ellipse(center, axes, width)
    whole = ellipse(center, axes, -1) | line
    filled = filled_outline(line)
    assert filled is not None
    assert dice(filled, whole) > 0.95
    assert (filled >= line).all()


def test_an_outline_over_a_corner_and_one_with_breaks() -> None:
    corner, whole = ellipse((12, 10), (50, 40), 1), ellipse((12, 10), (50, 40), -1)
    filled = filled_outline(corner)
    assert filled is not None
    assert dice(filled, whole) > 0.97
    broken = ellipse((80, 60), (50, 40), 1)
    broken[58:61, 120:140] = False
    filled = filled_outline(broken)
    assert filled is not None
    assert dice(filled, ellipse((80, 60), (50, 40), -1)) > 0.97


def test_two_outlines_in_one_mask() -> None:
    line = ellipse((40, 40), (25, 20), 1) | ellipse((115, 80), (30, 22), 1)
    whole = ellipse((40, 40), (25, 20), -1) | ellipse((115, 80), (30, 22), -1)
    filled = filled_outline(line)
    assert filled is not None
    assert dice(filled, whole) > 0.97


def test_what_is_no_outline() -> None:
    whole = ellipse((80, 60), (50, 40), -1)
    nothing = np.zeros_like(whole)
    thick = ellipse((80, 60), (50, 40), 12)  # a heart's wall
    open_line = nothing.copy()
    open_line[60, 10:150] = True
    dot = nothing.copy()
    dot[50:52, 50:52] = True
    net = nothing.copy()
    net[::20] = net[:, ::20] = True
    net[0] = net[-1] = net[:, 0] = net[:, -1] = False
    for mask in (whole, nothing, thick, open_line, dot, net, ~whole, np.ones_like(whole)):
        assert filled_outline(mask) is None


def test_labels_are_filled_each_with_its_own() -> None:
    mask = np.zeros((120, 160), np.uint8)
    mask[ellipse((40, 60), (25, 20), 1)] = 1
    mask[ellipse((115, 60), (30, 22), 1)] = 2
    mask[60, 112:118] = 1
    whole = filled_mask(mask)
    assert whole is not None
    assert (whole[60, 40], whole[70, 115], whole[60, 115]) == (1, 2, 1)
    assert (whole[mask > 0] == mask[mask > 0]).all()
    assert filled_mask(whole) is None


@given(st.integers(0, 10_000))
def test_parts_and_holes_are_those_of_scipy(seed: int) -> None:
    part = np.random.default_rng(seed).random((14, 17)) < 0.55
    labels, count = ndimage.label(part, np.ones((3, 3)))
    assert sorted(part_areas_px(part)) == sorted(np.bincount(labels.ravel())[1:])
    filled = ndimage.binary_fill_holes(part, ndimage.generate_binary_structure(2, 1))
    assert sum(hole_areas_px(part)) == int(filled.sum() - part.sum())
    assert len(hole_areas_px(part)) == ndimage.label(filled & ~part)[1]
    assert mask_facts(part.astype(np.uint8)).components == count


def test_places_of_specks_and_holes() -> None:
    mask = np.zeros((40, 50), np.uint8)
    mask[5:35, 5:35] = 1
    mask[10, 12] = 0
    mask[20, 45] = 1
    assert sorted(odd_places(mask)) == [(10.0, 12.0), (20.0, 45.0)]
    assert odd_places(np.zeros_like(mask)) == ()
    empty = mask_facts(np.zeros_like(mask))
    assert (empty.share, empty.components, empty.holes, empty.is_outline) == (0.0, 0, 0, False)


def test_outlines_of_hc18_become_the_heads(data_root: Path) -> None:
    dataset = load_dataset(data_root / "HC18", "hc18")
    chosen = list(dataset.cases[::20])
    chosen += [case for case in dataset.cases if case.id == "186_HC"]  # it leaves the image
    for case in chosen:
        filled = filled_outline(raster.read_mask(case.masks[0]) > 0)
        assert filled is not None, case.id
        assert dice(filled, DATASETS["hc18"].read_mask(dataset, case) > 0) > 0.98, case.id


@pytest.mark.parametrize("layout", ["stare", "isbi2012"])
def test_vessels_and_membranes_are_no_outlines(data_root: Path, layout: str) -> None:
    dataset = load_dataset(data_root / layout.upper(), layout)
    for case in dataset.cases[:16:2]:
        mask = DATASETS[layout].read_mask(dataset, case) > 0
        assert filled_outline(mask) is None, case.id
        assert filled_outline(~mask) is None, case.id

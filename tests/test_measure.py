"""Measurements against closed forms and a slow search over all pairs of points."""

import csv
import itertools
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from featherseg.errors import ImageError
from featherseg.measure import as_json, check_spacing, confidence, measure
from featherseg.types import Image, Mask, Segmentation
from tests.conftest import Cli

Found = NDArray[np.bool_]


def ellipse(size: tuple[int, int], radii: tuple[float, float], angle_deg: float) -> Mask:
    """Pixels whose centers lie in an ellipse about the middle; radii along and across `angle`."""
    rows, columns = np.indices(size, dtype=np.float64)
    rows -= (size[0] - 1) / 2
    columns -= (size[1] - 1) / 2
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    along, across = columns * cosine + rows * sine, rows * cosine - columns * sine
    return np.asarray((along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1.0, np.uint8)


def rectangle(size: int, sides: tuple[float, float], angle_deg: float) -> Mask:
    rows, columns = np.indices((size, size), dtype=np.float64) - (size - 1) / 2
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    along, across = columns * cosine + rows * sine, rows * cosine - columns * sine
    inside = (np.abs(along) <= sides[0] / 2) & (np.abs(across) <= sides[1] / 2)
    return np.asarray(inside, np.uint8)


def slow_axes(found: Found, spacing: tuple[float, float]) -> tuple[float, set[float]]:
    """The longest distance between edge midpoints, and the extent across each longest pair."""
    points = [
        ((row + down) * spacing[0], (column + right) * spacing[1])
        for row, column in np.argwhere(found)
        for down, right in ((-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5))
    ]
    pairs = [(math.dist(a, b), a, b) for a, b in itertools.combinations(points, 2)]
    longest = max(pair[0] for pair in pairs)
    extents = set()
    for length, a, b in pairs:
        if length < longest - 1e-9:
            continue
        normal = ((a[1] - b[1]) / length, (b[0] - a[0]) / length)
        across = [point[0] * normal[0] + point[1] * normal[1] for point in points]
        extents.add(max(across) - min(across))
    return longest, extents


@pytest.mark.parametrize("diameter", [20.0, 60.5, 151.0])
def test_a_disc(diameter: float) -> None:
    (found,) = measure(ellipse((200, 180), (diameter / 2, diameter / 2), 0))
    assert found.area_px == pytest.approx(math.pi * diameter**2 / 4, rel=0.02)
    assert found.long_axis_px == pytest.approx(diameter, abs=1.0)
    assert found.short_axis_px == pytest.approx(diameter, abs=1.0)
    assert found.centroid_px == pytest.approx((99.5, 89.5))
    assert found.components == 1


@pytest.mark.parametrize("angle", [0.0, 17.0, 45.0, 90.0, 121.0])
def test_a_rotated_ellipse(angle: float) -> None:
    (found,) = measure(ellipse((201, 201), (80, 30), angle))
    assert found.long_axis_px == pytest.approx(160, abs=1.2)
    assert found.short_axis_px == pytest.approx(60, abs=1.5)


@pytest.mark.parametrize("angle", [10.0, 30.0, 45.0, 77.0])
def test_a_rotated_rectangle(angle: float) -> None:
    (found,) = measure(rectangle(241, (120, 60), angle))
    diagonal = math.hypot(120, 60)
    assert found.long_axis_px == pytest.approx(diagonal, abs=1.5)
    assert found.short_axis_px == pytest.approx(2 * 120 * 60 / diagonal, abs=3.0)
    assert found.area_px == pytest.approx(7200, rel=0.02)


def test_lines_and_points() -> None:
    mask = np.zeros((9, 30), np.uint8)
    mask[4, 5:25] = 1
    (found,) = measure(mask, (0.5, 0.1))
    assert (found.long_axis_px, found.short_axis_px) == (20.0, 1.0)
    assert found.long_axis_mm == pytest.approx(2.0)
    assert found.short_axis_mm == pytest.approx(0.5)
    assert found.area_mm2 == pytest.approx(20 * 0.05)
    (point,) = measure(np.ones((1, 1), np.uint8))
    assert (point.long_axis_px, point.short_axis_px, point.area_px) == (1.0, 1.0, 1)


def test_spacing_is_applied_before_the_longest_axis_is_sought() -> None:
    # A cross whose wide arm is longer in pixels and whose tall arm is longer in millimeters.
    mask = np.zeros((61, 61), np.uint8)
    mask[30, 10:51] = 1
    mask[20:41, 30] = 1
    (found,) = measure(mask, (1.0, 0.1))
    assert found.long_axis_px == 41.0
    assert found.long_axis_mm == pytest.approx(21.0)
    assert found.short_axis_mm == pytest.approx(4.1)


def test_an_ellipse_on_an_anisotropic_grid_is_a_disc() -> None:
    (found,) = measure(ellipse((101, 401), (160, 40), 0), (0.4, 0.1))
    assert found.long_axis_mm == pytest.approx(32.0, abs=0.5)
    assert found.short_axis_mm == pytest.approx(32.0, abs=0.5)
    assert found.area_mm2 == pytest.approx(math.pi * 16**2, rel=0.01)


@settings(max_examples=40, deadline=None)
@given(
    mask=arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    spacing=st.sampled_from([(1.0, 1.0), (0.3, 1.7), (2.0, 0.25)]),
)
def test_against_all_pairs(mask: Found, spacing: tuple[float, float]) -> None:
    count, numbered = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    (found,) = measure(mask.astype(np.uint8), spacing)
    assert found.components == count - 1
    if count == 1:
        assert (found.long_axis_px, found.long_axis_mm, found.centroid_px) == (None, None, None)
        assert found.area_mm2 == 0.0
        return
    sizes = np.bincount(numbered.ravel())[1:]
    longest, extents = slow_axes(numbered == 1 + sizes.argmax(), spacing)
    assert found.long_axis_mm == pytest.approx(longest)
    assert found.short_axis_mm is not None
    assert min(abs(found.short_axis_mm - extent) for extent in extents) < 1e-6
    assert found.area_mm2 == pytest.approx(mask.sum() * spacing[0] * spacing[1])
    assert found.centroid_px == pytest.approx(tuple(np.argwhere(mask).mean(axis=0)))


def test_the_axes_are_those_of_the_largest_part_and_holes_do_not_matter() -> None:
    mask = np.zeros((50, 50), np.uint8)
    mask[2:12, 2:12] = 1
    mask[40, 20:45] = 1
    (found,) = measure(mask)
    assert found.components == 2
    assert found.area_px == 125
    filled = found.long_axis_px
    mask[5:9, 5:9] = 0
    assert measure(mask)[0].long_axis_px == filled == pytest.approx(math.hypot(10, 9))


def test_several_labels() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[2:5, 2:5] = 2
    first, second = measure(mask, labels=("nerve", "vessel"))
    assert (first.label, first.value, first.area_px, first.components) == ("nerve", 1, 0, 0)
    assert (second.label, second.value, second.area_px) == ("vessel", 2, 9)
    with pytest.raises(ImageError, match=r"expected mask values 0 to 1 \(lesion\), got 2"):
        measure(mask)


def test_no_millimeters_without_spacing() -> None:
    mask = ellipse((30, 30), (9, 5), 0)
    plain = as_json(measure(mask)[0])
    assert not [key for key in plain if "mm" in key]
    with_spacing = as_json(measure(mask, (0.1, 0.1))[0])
    assert {key for key in with_spacing if "mm" in key} == {
        "area_mm2",
        "long_axis_mm",
        "short_axis_mm",
        "perimeter_mm",
        "ellipse_axes_mm",
    }
    empty = as_json(measure(np.zeros((5, 5), np.uint8), (0.1, 0.1))[0])
    assert (empty["area_mm2"], empty["long_axis_mm"]) == (0.0, None)


def test_shape_is_measured_in_pixels_and_in_millimeters() -> None:
    # A disc in the tissue, 20 mm across, on rows three times as far apart as columns.
    (found,) = measure(ellipse((81, 241), (100, 100 / 3), 0), (0.3, 0.1))
    assert found.perimeter_mm == pytest.approx(math.pi * 20, rel=0.01)
    assert found.ellipse_axes_mm == pytest.approx((20.0, 20.0), rel=0.01)
    assert found.ellipse_axes_px == pytest.approx((200.0, 200 / 3), rel=0.01)
    assert found.ellipse_center_px == pytest.approx((40.0, 120.0), abs=0.1)
    assert found.circularity == pytest.approx(1.0, abs=0.01)
    assert found.depth_to_width == pytest.approx(1.0, abs=0.02)
    (plain,) = measure(ellipse((81, 241), (100, 100 / 3), 0))
    assert plain.depth_to_width == pytest.approx(1 / 3, abs=0.02)
    assert plain.ellipse_angle_deg is not None
    assert math.sin(math.radians(plain.ellipse_angle_deg)) == pytest.approx(0.0, abs=0.01)
    assert plain.perimeter_px == found.perimeter_px
    assert (plain.perimeter_mm, plain.ellipse_axes_mm) == (None, None)


def test_nothing_and_a_pixel_have_no_shape() -> None:
    (nothing,) = measure(np.zeros((9, 9), np.uint8), (0.1, 0.1))
    assert (nothing.perimeter_mm, nothing.solidity, nothing.ellipse_angle_deg) == (None,) * 3
    mask = np.zeros((9, 9), np.uint8)
    mask[4, 4] = 1
    (point,) = measure(mask, (0.1, 0.1))
    assert (point.ellipse_axes_px, point.ellipse_axes_mm, point.margin_irregularity) == (None,) * 3
    assert point.solidity == 1.0


@pytest.mark.parametrize("spacing", [(0.0, 1.0), (1.0, -1.0), (math.nan, 1.0), (1.0, math.inf)])
def test_spacing_must_be_positive(spacing: tuple[float, float]) -> None:
    with pytest.raises(ImageError, match="expected two positive numbers"):
        check_spacing(spacing)
    with pytest.raises(ImageError, match="expected two positive numbers"):
        measure(np.ones((4, 4), np.uint8), spacing)


def test_confidence() -> None:
    probability = np.array([[0.9, 0.7], [0.2, 0.0]], np.float32)
    image = Image(np.zeros((2, 2), np.uint8), None, "made")
    found = Segmentation((probability > 0.5).astype(np.uint8), probability, ("a",), image, "m")
    assert confidence(found) == pytest.approx(0.8)
    nothing = Segmentation(np.zeros((2, 2), np.uint8), probability, ("a",), image, "m")
    assert confidence(nothing) == pytest.approx(1 - 0.45)


def save(path: Path, mask: Mask) -> Path:
    cv2.imwrite(str(path), mask)
    return path


def test_the_verb(tmp_path: Path, cli: Cli) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 10:30] = 255
    save(tmp_path / "binary.png", mask)
    save(tmp_path / "labels.png", np.where(mask, 3, 0).astype(np.uint8))
    ended = cli("measure", tmp_path, "--spacing-mm", 0.5, 0.25, "--json")
    assert ended.code == 0
    report = json.loads(ended.out)
    binary, labels = report["masks"]
    assert report["spacing_mm"] == [0.5, 0.25]
    assert binary["measurements"][0]["label"] == "foreground"
    assert binary["measurements"][0]["area_mm2"] == pytest.approx(25.0)
    assert [each["label"] for each in labels["measurements"]] == ["1", "2", "3"]
    assert labels["measurements"][2]["area_px"] == 200
    text = cli("measure", tmp_path / "labels.png").out
    assert "1: nothing found" in text
    assert "3: area 200 px, axes 21.9 x 16.9 px" in text
    assert "mm" not in text.replace(str(tmp_path), "")
    assert "25.00 mm2" in cli("measure", tmp_path, "--spacing-mm", 0.5, 0.25).out


def test_the_verb_writes_a_table(tmp_path: Path, cli: Cli) -> None:
    save(tmp_path / "a.png", ellipse((60, 60), (20, 10), 0) * 255)
    save(tmp_path / "empty.png", np.zeros((9, 9), np.uint8))
    out = tmp_path / "out" / "measured.csv"
    spacing = ("--spacing-mm", 0.5, 0.25)
    assert cli("measure", tmp_path, *spacing, "--csv", out).code == 0
    with out.open() as file:
        first, second = csv.DictReader(file)
    assert first["mask"].endswith("a.png")
    assert float(first["ellipse_axes_long_px"]) == pytest.approx(40, rel=0.01)
    assert float(first["ellipse_center_row_px"]) == pytest.approx(29.5, abs=0.1)
    assert float(first["perimeter_mm"]) > 0
    assert (second["area_px"], second["area_mm2"], second["perimeter_mm"]) == ("0", "0.0", "")
    ended = cli("measure", tmp_path, "--csv", out)
    assert (ended.code, "--overwrite" in ended.err) == (2, True)
    assert cli("measure", tmp_path, "--csv", out, "--overwrite").code == 0
    assert "mm" not in out.read_text().split("\n")[0]


def test_the_verb_lists_bad_files_at_the_end(tmp_path: Path, cli: Cli) -> None:
    save(tmp_path / "good.png", np.full((9, 9), 255, np.uint8))
    save(tmp_path / "picture.png", np.arange(100, dtype=np.uint8).reshape(10, 10))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    ended = cli("measure", tmp_path, "--json")
    assert ended.code == 1
    report = json.loads(ended.out)
    assert len(report["masks"]) == 1
    assert len(report["errors"]) == 2
    assert "is this an image?" in ended.err
    assert "broken.png" in ended.err


@pytest.mark.parametrize("arguments", [["absent"], ["m.png", "--spacing-mm", "0", "1"]])
def test_the_verb_refuses(arguments: list[str], cli: Cli) -> None:
    ended = cli("measure", *arguments)
    assert ended.code == 2
    assert ended.err.count("\n") == 1

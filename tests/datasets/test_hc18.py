"""HC18: outlines to filled heads, also where they leave the image, and pixel sizes."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featherseg.circumference import ellipse_of_mask
from featherseg.datasets import load_dataset, read_case
from featherseg.datasets.hc18 import TABLE, fill_outline, read_table
from featherseg.errors import DataError, ImageError
from featherseg.images import raster
from tests.datasets.releases import hc18, save

SHAPE = (540, 800)
NAMED = Path("000_HC_Annotation.png")


def drawn(
    center: tuple[float, float], axes: tuple[float, float], angle: float, thickness: int = 2
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """An outline as OpenCV draws it; center is (row, col), axes are semi-axes."""
    line = np.zeros(SHAPE, np.uint8)
    full = (2 * axes[0], 2 * axes[1])
    cv2.ellipse(line, ((center[1], center[0]), full, angle), 255, thickness)
    return line


def inside(center: tuple[float, float], axes: tuple[float, float], angle: float) -> int:
    """How many pixels of the image lie in the ellipse: the definition, pixel by pixel."""
    turn = math.radians(angle)
    count = 0
    for row in range(SHAPE[0]):
        columns = np.arange(SHAPE[1]) - center[1]
        u = columns * math.cos(turn) + (row - center[0]) * math.sin(turn)
        v = -columns * math.sin(turn) + (row - center[0]) * math.cos(turn)
        count += int(((u / axes[0]) ** 2 + (v / axes[1]) ** 2 <= 1).sum())
    return count


@settings(max_examples=25, deadline=None)
@given(
    st.floats(60, 180), st.floats(0.6, 1.0), st.floats(0, 180), st.integers(1, 3), st.floats(0, 1)
)
def test_the_filled_area_is_that_of_the_ellipse(
    long: float, form: float, angle: float, thickness: int, shift: float
) -> None:
    axes = (long, long * form)
    line = drawn((265 + shift, 400 - shift), axes, angle, thickness)
    area = int(fill_outline(line, NAMED).sum())
    assert area == pytest.approx(math.pi * axes[0] * axes[1], rel=0.01)


@pytest.mark.parametrize("center", [(400.0, 380.0), (150.0, 650.0), (470.0, 120.0), (60.0, 60.0)])
def test_an_open_outline_is_filled_to_the_border(center: tuple[float, float]) -> None:
    axes, angle = (220.0, 170.0), 30.0
    line = drawn(center, axes, angle)
    mask = fill_outline(line, NAMED)
    assert mask.sum() == pytest.approx(inside(center, axes, angle), rel=0.01)
    # What hole filling would find: nothing.
    _, regions = cv2.connectedComponents((line == 0).astype(np.uint8), connectivity=4)
    rim = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    assert regions[round(center[0]), round(center[1])] in rim


def test_a_line_along_the_border_does_not_count() -> None:
    axes, center = (220.0, 170.0), (420.0, 400.0)
    line = drawn(center, axes, 0.0)
    expected = int(fill_outline(line, NAMED).sum())
    columns = np.flatnonzero(line[-1])
    line[-1, columns[0] : columns[-1]] = 255
    assert fill_outline(line, NAMED).sum() == pytest.approx(expected, rel=0.002)


def test_a_filled_annotation_is_taken_as_it_is() -> None:
    line = drawn((270.0, 400.0), (150.0, 120.0), 10.0, -1)
    np.testing.assert_array_equal(fill_outline(line, NAMED), line // 255)


def test_no_outline_and_bad_ones() -> None:
    line = np.zeros(SHAPE, np.uint8)
    assert not fill_outline(line, NAMED).any()
    line[100, 100:103] = 255
    with pytest.raises(ImageError, match=r"000_HC_Annotation\.png: .* got 3 pixels"):
        fill_outline(line, NAMED)
    line[100, 100:400] = 255
    with pytest.raises(ImageError, match="no ellipse"):
        fill_outline(line, NAMED)
    cv2.rectangle(line, (100, 100), (600, 400), 255, 2)
    with pytest.raises(ImageError, match="pixels beside the nearest one"):
        fill_outline(line, NAMED)


def test_groups_and_spacing(tmp_path: Path) -> None:
    root = hc18(tmp_path)
    dataset = load_dataset(root, "hc18")
    assert [(case.id, case.group) for case in dataset.cases] == [
        ("000_HC", "000"),
        ("010_2HC", "010"),
        ("010_HC", "010"),
        ("011_HC", "011"),
    ]
    assert dataset.cases[0].spacing_mm == (0.125, 0.125)
    assert dataset.cases[1].spacing_mm == (0.325, 0.325)
    assert load_dataset(root / "training_set", "hc18").cases == dataset.cases
    rows = read_table(root / TABLE)
    assert rows["010_HC.png"].circumference_mm == 81.5


def test_without_the_table_spacing_is_unknown(tmp_path: Path) -> None:
    root = hc18(tmp_path)
    (root / TABLE).unlink()
    dataset = load_dataset(root, "hc18")
    assert {case.spacing_mm for case in dataset.cases} == {None}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("011_HC.png,0.425,83.5", "", "a row for every image, none for 011_HC"),
        ("0.425", "0", "millimeters per pixel between"),
        ("0.425", "nan", "millimeters per pixel between"),
        ("0.425", "", "millimeters per pixel between"),
        ("83.5", "-1", "a circumference above 0"),
        ("83.5", "inf", "a circumference above 0"),
        ("011_HC.png", "010_HC.png", "two of 010_HC"),
        ("pixel size(mm)", "pixel size", "columns with filename,pixel size"),
    ],
)
def test_bad_tables(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = hc18(tmp_path) / TABLE
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path, "hc18")


def test_an_annotation_of_another_size(tmp_path: Path) -> None:
    root = hc18(tmp_path)
    save(root / "training_set/000_HC_Annotation.png", drawn((270.0, 400.0), (90.0, 80.0), 0.0))
    dataset = load_dataset(root, "hc18")
    with pytest.raises(DataError, match=r"its image's size 40x48, got 540x800"):
        read_case(dataset, dataset.cases[0])


def test_the_real_release(data_root: Path) -> None:
    dataset = load_dataset(data_root / "HC18", "hc18")
    rows = read_table(data_root / "HC18" / TABLE)
    assert (len(dataset.cases), len({case.group for case in dataset.cases})) == (300, 238)
    by_id = {case.id: case for case in dataset.cases}
    for name in [*list(by_id)[::12], "186_HC"]:
        case = by_id[name]
        _, mask = read_case(dataset, case)
        line = raster.read_mask(case.masks[0])
        inner, outer = mask[1:-1, 1:-1], np.asarray(line[1:-1, 1:-1] > 0)
        # The mask ends within the line: its rim is drawn, and nothing outside of it is filled.
        grown = cv2.dilate(inner, np.ones((3, 3), np.uint8)) - inner
        assert outer[grown > 0].mean() > 0.98, name
        ellipse = ellipse_of_mask(mask == 1)
        assert case.spacing_mm is not None
        assert ellipse is not None
        measured = ellipse.circumference * case.spacing_mm[0]
        assert measured == pytest.approx(rows[f"{name}.png"].circumference_mm, abs=0.3), name
    _, cut = read_case(dataset, by_id["186_HC"])
    assert cut[-1].sum() > 100
    assert not cut[0].any()

"""COCO JSON: polygons, run lengths, categories, and files that nobody should trust."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from featherseg.datasets import case_hashes, load_dataset, read_case
from featherseg.datasets.exchange.coco import run_lengths
from featherseg.datasets.regions import RunLengths, fill_polygon, fill_runs
from featherseg.errors import DataError
from tests.datasets.releases import SHAPE, coco, picture, save

HEIGHT, WIDTH = SHAPE
# What pycocotools 2 makes of a random mask, of an ellipse and of two polygons.
NOISE = "313030N1N3ON7NI002001N10N1001O5040F010O011310OL1"
ELLIPSE = (
    "kZ1c0R36J6K4L4L4L4M2M4M2N2N2M4M2N2O0O2N2N2N2O0O2N2O0O2N2O0O2O0O2O0O2O0O2O000O2O000O2O00000O2O00"
    "00000O2O00000000000000000000000000000000000000000001N100000001N1000001N10001N10001N101N101N101N"
    "101N2N101N2N101N2N2N2N101N2N3L3N2N2N3L3N3L4L4L4L5J6J`Y2"
)
POLYGONS: dict[tuple[float, ...], str] = {
    (10, 10, 40, 12, 35, 44, 8, 30): (
        "Y=5S1;J501O001O001O0010O01O001O001O1O001O001O001O0010O01OM3I7J6J6I[U1"
    ),
    (-10, -5, 30, 20, 70, 90, 10, 60): (
        "2k0g03N2M4M2N2M3N1OO001O001O1O001O1O001O001O1O001O1O001O001O1O1O2N1O2N2N2N1O2N2N2N1O2N2N2N1O2N"
        "2NQi0"
    ),
}


def content(root: Path) -> dict[str, Any]:
    found = json.loads((root / "annotations.json").read_text())
    assert isinstance(found, dict)
    return found


def write(root: Path, changed: dict[str, Any], name: str = "annotations.json") -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps(changed))
    return root


def one_image(root: Path, segmentation: Any, **more: Any) -> Path:
    """A data set of one image with one annotation."""
    save(root / "images/a.png", picture(1))
    image = {"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH, **more}
    annotation = {"image_id": 1, "category_id": 1, "segmentation": segmentation, "iscrowd": 0}
    categories = [{"id": 1, "name": "lesion"}]
    return write(root, {"images": [image], "annotations": [annotation], "categories": categories})


def test_run_lengths_of_pycocotools() -> None:
    expected = np.random.default_rng(4).random((9, 13)) < 0.4
    np.testing.assert_array_equal(
        fill_runs(RunLengths(size=(9, 13), counts=NOISE), (9, 13)), expected
    )
    y, x = np.mgrid[:120, :150]
    ellipse = ((y - 60) / 50) ** 2 + ((x - 70) / 60) ** 2 < 1
    runs = RunLengths(size=(120, 150), counts=ELLIPSE)
    np.testing.assert_array_equal(fill_runs(runs, (120, 150)), ellipse)


@pytest.mark.parametrize("corners", POLYGONS)
def test_polygons_as_pycocotools_fills_them(corners: tuple[float, ...]) -> None:
    """It works on a grid five times as fine, so that a few pixels of the rim may differ."""
    theirs = fill_runs(RunLengths(size=(50, 64), counts=POLYGONS[corners]), (50, 64))
    ours = fill_polygon(corners, (50, 64))
    assert 0 <= (ours ^ theirs).sum() <= 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-20, 70), min_size=6, max_size=16).filter(lambda c: len(c) % 2 == 0))
def test_polygons_hold_the_pixels_whose_center_is_inside(corners: list[float]) -> None:
    """Even-odd, pixel by pixel: the winding of matplotlib differs where outlines cross."""
    points = np.array(corners).reshape(-1, 2) + 0.123
    filled = fill_polygon(points.ravel().tolist(), SHAPE)
    for row, col in np.random.default_rng(0).integers(0, SHAPE, (40, 2)):
        x, y = col + 0.5, row + 0.5
        crossed = 0
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
                crossed += 1
        assert filled[row, col] == bool(crossed % 2)


def test_convex_polygons_as_matplotlib_has_them() -> None:
    corners = [[5.2, 3.1], [30.7, 8.4], [40.1, 30.3], [12.6, 36.8]]
    rows, cols = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    expected = Outline(corners).contains_points(np.c_[cols.ravel(), rows.ravel()]).reshape(SHAPE)
    np.testing.assert_array_equal(fill_polygon(np.ravel(corners).tolist(), SHAPE), expected)


def test_a_polygon_on_the_pixels_grid_is_exact() -> None:
    mask = fill_polygon([5, 6, 25, 6, 25, 20, 5, 20], SHAPE)
    expected = np.zeros(SHAPE, bool)
    expected[6:20, 5:25] = True
    np.testing.assert_array_equal(mask, expected)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_run_lengths_there_and_back(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    runs = RunLengths(size=(height, width), counts=run_lengths(mask))
    np.testing.assert_array_equal(fill_runs(runs, (height, width)), mask)


def test_categories_in_the_order_of_their_ids_and_later_ones_win(tmp_path: Path) -> None:
    dataset = load_dataset(coco(tmp_path), "coco")
    assert dataset.labels == ("head", "body")
    assert dataset.mask_kind == "labels"
    _, mask = read_case(dataset, dataset.cases[0])
    expected = np.zeros(SHAPE[0] * SHAPE[1], np.uint8)
    expected[240:270] = 1
    columns = expected.reshape(SHAPE[::-1]).T.copy()
    assert columns[5:25, 5:25].any()  # they overlap
    columns[5:25, 5:25] = 2
    np.testing.assert_array_equal(mask, columns)


def test_several_annotations_of_a_category_are_united(tmp_path: Path) -> None:
    root = one_image(tmp_path, [[2, 2, 10, 2, 10, 10, 2, 10], [5, 5, 20, 5, 20, 20, 5, 20]])
    found = content(root)
    runs = {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT, HEIGHT * (WIDTH - 1)]}
    crowd = {"image_id": 1, "category_id": 1, "segmentation": runs, "iscrowd": 1}
    found["annotations"].append(crowd)
    dataset = load_dataset(write(root, found), "coco")
    expected = np.zeros(SHAPE, np.uint8)
    expected[2:10, 2:10] = expected[5:20, 5:20] = expected[:, 0] = 1
    np.testing.assert_array_equal(read_case(dataset, dataset.cases[0])[1], expected)


def test_images_without_annotations_are_empty(tmp_path: Path) -> None:
    root = coco(tmp_path)
    found = content(root)
    found["annotations"] = [one for one in found["annotations"] if one["image_id"] != 2]
    dataset = load_dataset(write(root, found), "coco")
    assert [bool(read_case(dataset, case)[1].any()) for case in dataset.cases] == [
        True,
        False,
        True,
    ]


def test_keys_of_ours_and_groups(tmp_path: Path) -> None:
    more = {"case": "P1 (2)", "group": "P1", "class": "benign", "spacing_mm": [0.1, 0.2]}
    root = one_image(tmp_path, [[2, 2, 10, 2, 10, 10]], **more)
    (case,) = load_dataset(root, "coco").cases
    assert (case.id, case.group, case.label, case.spacing_mm) == (
        *("P1 (2)", "P1", "benign"),
        (0.1, 0.2),
    )
    (root / "groups.csv").write_text("id,group,class\nP1 (2),other,malignant\n")
    (case,) = load_dataset(root, "coco").cases
    assert (case.group, case.label) == ("other", "malignant")


def test_files_and_folders(tmp_path: Path) -> None:
    root = coco(tmp_path)
    whole = load_dataset(root, "coco")
    assert load_dataset(root / "annotations.json", "coco").cases == whole.cases
    found = content(root)
    (root / "annotations.json").unlink()
    for number, name in ((1, "instances_train.json"), (2, "instances_val.json")):
        part = {
            **found,
            "images": [one for one in found["images"] if (one["id"] == 1) == (number == 1)],
        }
        ids = {one["id"] for one in part["images"]}
        part["annotations"] = [one for one in found["annotations"] if one["image_id"] in ids]
        write(root, part, f"annotations/{name}")
    parted = load_dataset(root, "coco")
    assert [case.id for case in parted.cases] == [case.id for case in whole.cases]
    np.testing.assert_array_equal(
        read_case(parted, parted.cases[2])[1], read_case(parted, parted.cases[0])[1]
    )
    write(root, found, "annotations/instances_test.json")
    with pytest.raises(DataError, match="expected new images, got 'scan1' of another file"):
        load_dataset(root, "coco")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    root = coco(tmp_path)
    dataset = load_dataset(root, "coco")
    before, hashes = read_case(dataset, dataset.cases[0])[1], case_hashes(dataset)
    found = content(root)
    found["annotations"] = []
    write(root, found)
    assert before.any()
    assert not read_case(dataset, dataset.cases[0])[1].any()
    assert set(case_hashes(dataset).values()).isdisjoint(hashes.values())


RUNS = HEIGHT * WIDTH
BAD_REGIONS: dict[str, tuple[Any, str]] = {
    "too short": ({"size": [HEIGHT, WIDTH], "counts": [5, 5]}, "that add up to 10"),
    "too long": ({"size": [HEIGHT, WIDTH], "counts": [5, RUNS]}, "that add up to"),
    "other size": ({"size": [WIDTH, HEIGHT], "counts": [RUNS]}, f"some of {WIDTH}x{HEIGHT}"),
    "no runs": ({"size": [HEIGHT, WIDTH], "counts": []}, "add up to 0"),
    "no text": ({"size": [HEIGHT, WIDTH], "counts": ""}, "the end within"),
    "open text": ({"size": [HEIGHT, WIDTH], "counts": "Po"}, "the end within"),
    "long text": ({"size": [HEIGHT, WIDTH], "counts": "o" * 50}, "compressed run lengths"),
    "bad text": ({"size": [HEIGHT, WIDTH], "counts": "\u00e9!"}, "compressed run lengths"),
    "negative text": ({"size": [HEIGHT, WIDTH], "counts": "O"}, "add up to -1"),
    "odd polygon": ([[1, 2, 3, 4, 5, 6, 7]], "pairs of coordinates"),
}


@pytest.mark.parametrize("name", BAD_REGIONS)
def test_bad_regions_are_named_with_their_image(tmp_path: Path, name: str) -> None:
    segmentation, message = BAD_REGIONS[name]
    dataset = load_dataset(one_image(tmp_path, segmentation), "coco")
    with pytest.raises(DataError, match=rf"annotations\.json: image 'a': .*{message}"):
        read_case(dataset, dataset.cases[0])


@pytest.mark.parametrize(
    "segmentation",
    [[], None, [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, "a"]], [[1, 2, 3, 4, 5, 1e300]], {"counts": [1]},
     {"size": [1, 1], "counts": [-1]}],
)  # fmt: skip
def test_what_is_no_region(tmp_path: Path, segmentation: Any) -> None:
    with pytest.raises(DataError, match=r"annotations\.0\.segmentation: .*a box alone is no mask"):
        load_dataset(one_image(tmp_path, segmentation), "coco")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("file_name", "../a.png", "a path inside"),
        ("file_name", "/etc/passwd", "a path inside"),
        ("file_name", "C:\\a.png", "a path inside"),
        ("file_name", "b.png", r"the annotated images in images/ .* found no b\.png"),
        ("height", 0, r"images\.0\.height"),
        ("height", 1.5, r"images\.0\.height"),
        ("height", 90_000_000, "at most 100 megapixels"),
        ("spacing_mm", [0, 1], r"images\.0\.spacing_mm"),
    ],
)
def test_bad_images(tmp_path: Path, key: str, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(one_image(tmp_path, [[1, 1, 9, 1, 9, 9]], **{key: value}), "coco")


def test_a_size_that_is_not_the_images(tmp_path: Path) -> None:
    dataset = load_dataset(one_image(tmp_path, [[1, 1, 9, 1, 9, 9]], height=41), "coco")
    with pytest.raises(DataError, match="its image's size 40x48, got 41x48"):
        read_case(dataset, dataset.cases[0])


def test_bad_files(tmp_path: Path) -> None:
    root = coco(tmp_path)
    good = content(root)

    def refused(changed: Any, message: str) -> None:
        write(root, changed)
        with pytest.raises(DataError, match=message):
            load_dataset(root, "coco")

    refused([], r"annotations\.json: expected COCO annotations")
    refused({}, "images: field required")
    refused({**good, "categories": []}, "categories")
    twice = [{"id": 3, "name": "head"}, {"id": 7, "name": "head"}]
    refused({**good, "categories": twice}, "different ids and names")
    refused({**good, "images": good["images"] * 2}, "different ids and names")
    refused({**good, "images": good["images"][:2]}, "got image 3 with category")
    same = [{**good["images"][0], "id": 1}, {**good["images"][0], "id": 2}]
    refused({**good, "images": same, "annotations": []}, "got 'scan1' twice")
    (root / "annotations.json").write_text("{")
    with pytest.raises(DataError, match="expected COCO annotations"):
        load_dataset(root, "coco")
    write(root, good, "other.json")
    write(root, {**good, "categories": good["categories"][:1], "annotations": []}, "some.json")
    (root / "annotations.json").unlink()
    with pytest.raises(DataError, match=r"the categories head, body as in other\.json"):
        load_dataset(root, "coco")

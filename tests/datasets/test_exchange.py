"""Exports to other tools, and the way back: identical images, masks, labels and spacing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import PIL.Image
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from featherseg.datasets import load_dataset, read_case
from featherseg.datasets.exchange import (
    export_root,
    safe_names,
    write_export,
)
from featherseg.datasets.exchange.coco import run_lengths
from featherseg.datasets.exchange.names import read_names, remove_export
from featherseg.errors import DataError, FeatherSegError, StorageError
from tests.datasets.exports import FORMATS, IDS, SIZE, SUBSETS, export_of, make, write

# Both libraries come without types.
NIBABEL: Any = nibabel
ITK: Any = SimpleITK


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize(
    ("kind", "labels", "spacing"), [("gray", 1, False), ("rgb", 2, True), ("mixed", 2, True)]
)
def test_a_round_trip_changes_nothing(
    tmp_path: Path, to: str, kind: str, labels: int, spacing: bool
) -> None:
    dataset = make(tmp_path / "data", kind, labels, spacing)
    for subsets in (None, SUBSETS):
        out = tmp_path / f"{to}-{subsets is None}"
        write(to, dataset, out, subsets)
        back = load_dataset(out, to)
        assert back.labels == dataset.labels
        assert {case.id for case in back.cases} == set(IDS)
        originals = {case.id: case for case in dataset.cases}
        for case in back.cases:
            original = originals[case.id]
            image, mask = read_case(dataset, original)
            image_back, mask_back = read_case(back, case)
            np.testing.assert_array_equal(image_back.pixels, image.pixels)
            np.testing.assert_array_equal(mask_back, mask)
            assert image_back.spacing_mm == image.spacing_mm == original.spacing_mm
            assert (case.group, case.label) == (original.group, original.label)


def test_nnunet_is_told_the_split_and_its_own_rules(tmp_path: Path) -> None:
    root = write("nnunet", make(tmp_path / "data", "mixed", 2, False), tmp_path / "raw")
    assert root.name == "Dataset501_demo"
    content = json.loads((root / "dataset.json").read_text())
    assert content["labels"] == {"background": 0, "head": 1, "body": 2}
    assert content["channel_names"] == {"0": "R", "1": "G", "2": "B"}
    assert (content["numTraining"], content["file_ending"]) == (4, ".png")
    ((fold),) = json.loads((root / "splits_final.json").read_text())
    known = read_names(root)
    assert known is not None
    for ours, theirs in (("train", "train"), ("validation", "val")):
        assert [known.cases[name].id for name in fold[theirs]] == list(SUBSETS[ours])
    stems = {path.name.removesuffix("_0000.png") for path in (root / "imagesTr").iterdir()}
    assert stems == {*fold["train"], *fold["val"]}
    # nnU-Net reads all images with the same channels and labels as they are.
    shapes = {np.asarray(PIL.Image.open(path)).shape for path in root.glob("images*/*.png")}
    assert shapes == {(*SIZE, 3)}
    values = {int(PIL.Image.open(path).getextrema()[1]) for path in root.glob("labelsTr/*.png")}  # type: ignore[arg-type]
    assert values == {2}
    tests = {path.stem for path in (root / "labelsTs").iterdir()}
    assert {known.cases[name].id for name in tests} == set(SUBSETS["test"])


def test_without_a_split_nnunet_makes_its_own_folds(tmp_path: Path) -> None:
    root = write("nnunet", make(tmp_path / "data", "gray", 1, False), tmp_path / "raw", None)
    assert not (root / "splits_final.json").exists()
    assert not (root / "imagesTs").exists()
    content = json.loads((root / "dataset.json").read_text())
    assert (content["channel_names"], content["numTraining"]) == ({"0": "gray"}, len(IDS))


def test_an_nnunet_folder_of_another_hand_is_read(tmp_path: Path) -> None:
    root = write("nnunet", make(tmp_path / "data", "gray", 1, True), tmp_path / "raw")
    (root / "names.json").unlink()
    for path in (root / "imagesTs").iterdir():
        path.unlink()
    for path in (root / "labelsTs").iterdir():
        path.unlink()
    (root / "labelsTs").rmdir()
    dataset = load_dataset(root, "nnunet")
    assert [case.id for case in dataset.cases] == ["Groe_2", "benign_1", "benign_1_2", "case"]
    assert {case.spacing_mm for case in dataset.cases} == {None}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "labelsTr" / "case.png").unlink(), "of every image, none for case"),
        (lambda root: (root / "imagesTr" / "case_0000.png").unlink(), "an image for all labels"),
        (
            lambda root: (root / "imagesTr" / "case_0001.png").write_bytes(b""),
            "got a further channel",
        ),
        (
            lambda root: (root / "dataset.json").write_text(
                '{"file_ending": ".png", "labels": {"background": 0, "whole": [1, 2]}}'
            ),
            "regions of several labels are not read",
        ),
        (
            lambda root: (root / "dataset.json").write_text(
                '{"file_ending": ".jpg.exe", "labels": {"background": 0, "lesion": 1}}'
            ),
            "expected a 'file_ending'",
        ),
        (lambda root: (root / "dataset.json").write_text("[]"), "expected 'labels'"),
        (lambda root: (root / "dataset.json").unlink(), "expected a folder of nnU-Net's raw data"),
        (lambda root: (root / "names.json").write_text("{}"), "expected the names of an export"),
    ],
)  # fmt: skip
def test_a_spoiled_nnunet_folder_is_refused(
    tmp_path: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    root = write("nnunet", make(tmp_path / "data", "gray", 1, False), tmp_path / "raw")
    spoil(root)
    with pytest.raises(DataError, match=message):
        load_dataset(root, "nnunet")


def test_nnunet_needs_cases_to_train_on_and_a_number_it_takes(tmp_path: Path) -> None:
    dataset = make(tmp_path / "data", "gray", 1, False)
    with pytest.raises(DataError, match="cases to train on"):
        write("nnunet", dataset, tmp_path / "raw", {"test": IDS})
    with pytest.raises(DataError, match="from 1 to 999, got 1000"):
        export_root("nnunet", tmp_path, "demo", 1000)


def test_npz_has_the_names_and_types_of_medsegbench(tmp_path: Path) -> None:
    dataset = make(tmp_path / "data", "mixed", 2, True)
    root = write("npz", dataset, tmp_path / "npz")
    with np.load(root / "demo_20.npz", allow_pickle=False) as arrays:
        shapes = {name: arrays[name].shape for name in arrays.files}
        assert {arrays[name].dtype for name in arrays.files} == {np.dtype(np.uint8)}
    expected = {"train": 3, "val": 1, "test": 2}
    assert shapes == {
        **{f"{name}_images": (count, *SIZE, 3) for name, count in expected.items()},
        **{f"{name}_label": (count, *SIZE) for name, count in expected.items()},
    }


def test_npz_of_another_hand_is_read(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    masks = generator.integers(0, 2, (3, 16, 16), dtype=np.uint8)
    np.savez_compressed(tmp_path / "busi_16.npz", test_images=images, test_label=masks)
    dataset = load_dataset(tmp_path, "npz")
    assert [case.id for case in dataset.cases] == ["test_0001", "test_0002", "test_0003"]
    assert dataset.labels == ("lesion",)
    image, mask = read_case(dataset, dataset.cases[2])
    np.testing.assert_array_equal(image.pixels, images[2])
    np.testing.assert_array_equal(mask, masks[2])


def test_npz_stretches_only_when_told_and_keeps_millimeters(tmp_path: Path) -> None:
    dataset = make(tmp_path / "data", "gray", 1, True)
    PIL.Image.fromarray(np.zeros((24, 30), np.uint8)).save(tmp_path / "data/images/乳腺.png")
    PIL.Image.fromarray(np.zeros((24, 30), np.uint8)).save(tmp_path / "data/masks/乳腺.png")
    with pytest.raises(DataError, match=r"one size, expected 20x30, got 24x30; give --size"):
        write("npz", dataset, tmp_path / "npz")
    write_export("npz", export_of(dataset, None, size_px=(10, 10)), tmp_path / "npz")
    back = {case.id: case for case in load_dataset(tmp_path / "npz", "npz").cases}
    row, column = back["benign (1)"].spacing_mm or (0.0, 0.0)
    assert (row * 10, column * 10) == pytest.approx((0.1 * 20, 0.0691358 * 30))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((2, 9, 9), np.uint8)}, "expected arrays such as train_images"),
        ({"train_images": np.zeros((2, 9, 9), np.uint8)}, r"got \(2, 9, 9\) and None"),
        (
            {"train_images": np.zeros((2, 9, 9), "f4"), "train_label": np.zeros((2, 9, 9), "u1")},
            "train_images as uint8, got float32",
        ),
        (
            {"train_images": np.zeros((2, 9, 9), "u1"), "train_label": np.zeros((2, 9, 8), "u1")},
            "expected train_images",
        ),
        ({"train_images": np.array([{}]), "train_label": np.array([{}])}, "as uint8, got object"),
    ],
)  # fmt: skip
def test_other_npz_files_are_refused(
    tmp_path: Path, arrays: dict[str, NDArray[Any]], message: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path, "npz")


def test_damaged_and_doubled_npz_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected one \.npz file, found none"):
        load_dataset(tmp_path, "npz")
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(DataError, match=r"cannot be read as an \.npz file"):
        load_dataset(tmp_path, "npz")
    (tmp_path / "b.npz").touch()
    with pytest.raises(DataError, match=r"found a\.npz, b\.npz"):
        load_dataset(tmp_path, "npz")


def test_names_that_do_not_fit_the_npz_are_refused(tmp_path: Path) -> None:
    root = write("npz", make(tmp_path / "data", "gray", 1, False), tmp_path / "npz")
    content = json.loads((root / "names.json").read_text())
    content["cases"].popitem()
    (root / "names.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"expected 6 cases as in demo_20\.npz, got 5"):
        load_dataset(root, "npz")


def decode(counts: list[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Slow uncompressed RLE, pixel by pixel down the columns."""
    pixels = [value % 2 == 1 for value, run in enumerate(counts) for _ in range(run)]
    out = np.zeros(size, bool)
    for place, value in enumerate(pixels):
        out[place % size[0], place // size[0]] = value
    return out


@given(st.integers(1, 6), st.integers(1, 6), st.randoms(use_true_random=False))
def test_run_lengths_reproduce_every_pixel(height: int, width: int, random: Any) -> None:
    mask = np.array([[random.random() < 0.5 for _ in range(width)] for _ in range(height)])
    counts = run_lengths(mask)
    assert sum(counts) == mask.size
    assert all(run > 0 for run in counts[1:])
    np.testing.assert_array_equal(decode(counts, (height, width)), mask)


def test_coco_says_what_is_in_its_boxes(tmp_path: Path) -> None:
    dataset = make(tmp_path / "data", "gray", 2, False)
    root = write("coco", dataset, tmp_path / "coco")
    seen: list[int] = []
    masks = {case.id: read_case(dataset, case)[1] for case in dataset.cases}
    for part, ids in (("train", "train"), ("val", "validation"), ("test", "test")):
        content = json.loads((root / "annotations" / f"instances_{part}.json").read_text())
        assert [image["case"] for image in content["images"]] == list(SUBSETS[ids])
        images = {image["id"]: image for image in content["images"]}
        for each in content["annotations"]:
            image = images[each["image_id"]]
            assert (root / "images" / image["file_name"]).is_file()
            part_mask = masks[image["case"]] == each["category_id"]
            left, top, width, height = each["bbox"]
            assert part_mask[top : top + height, left : left + width].sum() == each["area"]
            drawn = decode(each["segmentation"]["counts"], SIZE)
            np.testing.assert_array_equal(drawn, part_mask)
            seen.append(each["id"])
    assert len(set(seen)) == len(seen) == 2 * (len(IDS) - 1)


@given(st.lists(st.text(min_size=1), unique=True))
def test_safe_names_are_plain_and_differ_also_in_lower_case(ids: list[str]) -> None:
    names = safe_names(ids)
    assert list(names) == ids
    assert len({name.lower() for name in names.values()}) == len(ids)
    for name in names.values():
        assert name
        assert name.isascii()
        assert not set(name) - set(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
        )


def test_an_earlier_export_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    dataset = make(tmp_path / "data", "gray", 1, False)
    root = write("coco", dataset, tmp_path / "out")
    (root / "images" / "mine.png").write_bytes(b"mine")
    write("coco", dataset, tmp_path / "out", {"train": IDS[:1]})
    left = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert left == {
        "images/benign_1.png", "images/mine.png", "names.json", "annotations/instances_train.json",
    }  # fmt: skip


def test_a_names_file_cannot_remove_what_lies_elsewhere(tmp_path: Path) -> None:
    root = tmp_path / "out"
    root.mkdir()
    (tmp_path / "precious.txt").write_text("mine")
    known = {"schema": "featherseg.names/1", "labels": ["a"], "cases": {}}
    outside = ["../precious.txt", str(tmp_path / "precious.txt")]
    (root / "names.json").write_text(json.dumps({**known, "files": outside}))
    remove_export(root)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_an_export_over_its_own_source_is_refused(tmp_path: Path) -> None:
    dataset = make(tmp_path / "data", "gray", 1, False)
    with pytest.raises(StorageError, match="would be replaced by its own export"):
        write("nifti", dataset, tmp_path / "data")


def test_an_export_that_fails_is_not_called_complete(tmp_path: Path) -> None:
    dataset = make(tmp_path / "data", "gray", 1, False)
    (tmp_path / "data" / "masks" / "乳腺.png").write_bytes(b"damaged")
    for to in FORMATS:
        with pytest.raises(FeatherSegError):
            write(to, dataset, tmp_path / to)
        assert not list((tmp_path / to).rglob("names.json"))
    with pytest.raises(DataError, match="at least one case"):
        export_of(dataset, {"train": ()})

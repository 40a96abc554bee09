"""Exports to other tools, and the way back: identical images, masks, labels and spacing."""

import gzip
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial
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

from featherseg.datasets import Dataset, load_dataset, read_case
from featherseg.datasets.exchange import (
    EXPORTERS,
    Export,
    arrange,
    export_root,
    safe_names,
    write_export,
)
from featherseg.datasets.exchange.coco import run_lengths
from featherseg.datasets.exchange.names import read_names, remove_export
from featherseg.datasets.exchange.nifti import read_nifti, read_nifti_mask, write_nifti
from featherseg.errors import DataError, FeatherSegError, ImageError, StorageError

# Both libraries come without types.
NIBABEL: Any = nibabel
ITK: Any = SimpleITK

IDS = ("benign (1)", "benign_1", "Größe 2", "乳腺", "a[1] b", "scan_0000")
SIZE = (20, 30)
SUBSETS = {"train": IDS[:3], "validation": IDS[3:4], "test": IDS[4:]}
FORMATS = tuple(EXPORTERS)


def make(root: Path, kind: str, labels: int, spacing: bool) -> Dataset:
    """A data set of the layout `folder`; `kind` is gray, rgb or mixed."""
    generator = np.random.default_rng(7)
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for place, name in enumerate(IDS):
        is_rgb = kind == "rgb" or (kind == "mixed" and place == 1)
        pixels = generator.integers(0, 256, (*SIZE, 3) if is_rgb else SIZE, dtype=np.uint8)
        mask = generator.integers(0, labels + 1, SIZE, dtype=np.uint8)
        # The last case has no lesion.
        mask *= place < len(IDS) - 1
        PIL.Image.fromarray(pixels).save(root / "images" / f"{name}.png")
        PIL.Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    (root / "labels.json").write_text(json.dumps(["head", "body"][:labels]))
    lines = [f"{name},patient {place // 2},kind {place % 2}" for place, name in enumerate(IDS)]
    (root / "groups.csv").write_text("\n".join(["id,group,class", *lines]) + "\n")
    dataset = load_dataset(root, "folder")
    spacings = [(0.1, 0.0691358 + k) if spacing and k != 2 else None for k in range(len(IDS))]
    by_id = dict(zip(IDS, spacings, strict=True))
    cases = tuple(replace(case, spacing_mm=by_id[case.id]) for case in dataset.cases)
    return replace(dataset, cases=cases)


def export_of(dataset: Dataset, subsets: dict[str, tuple[str, ...]] | None, **more: Any) -> Export:
    names = safe_names(case.id for case in dataset.cases)
    cases = arrange(dataset.cases, subsets)
    return Export("demo", dataset.labels, cases, partial(read_case, dataset), names, **more)


def write(to: str, dataset: Dataset, out: Path, subsets: Any = SUBSETS) -> Path:
    root = export_root(to, out, "demo", 501)
    write_export(to, export_of(dataset, subsets), root)
    return root


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


def test_nifti_is_upright_and_stated_as_simpleitk_reads_it(tmp_path: Path) -> None:
    pixels = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30).astype(np.uint8)
    write_nifti(tmp_path / "a.nii.gz", pixels, (0.25, 0.5))
    read: Any = ITK.ReadImage(str(tmp_path / "a.nii.gz"))
    assert read.GetSpacing()[:2] == (0.5, 0.25)
    assert read.GetDirection() == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    np.testing.assert_array_equal(ITK.GetArrayFromImage(read)[0], pixels)


def test_a_mask_that_another_tool_saved_is_read(tmp_path: Path) -> None:
    image, mask = np.zeros((20, 30), np.uint8), np.eye(20, 30, dtype=np.uint8)
    write_nifti(tmp_path / "image.nii.gz", image, None)
    write_nifti(tmp_path / "mask.nii.gz", mask, None)
    for pixel_type in (ITK.sitkInt16, ITK.sitkFloat32):
        read = ITK.ReadImage(str(tmp_path / "mask.nii.gz"))
        ITK.WriteImage(ITK.Cast(read, pixel_type), str(tmp_path / "saved.nii"))
        back = read_nifti_mask(tmp_path / "saved.nii", 1, tmp_path / "image.nii.gz")
        np.testing.assert_array_equal(back, mask)


def test_an_unknown_spacing_stays_unknown(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30), np.uint8)
    write_nifti(tmp_path / "a.nii.gz", pixels, None)
    assert read_nifti(tmp_path / "a.nii.gz").spacing_mm is None
    header: Any = NIBABEL.load(tmp_path / "a.nii.gz").header
    assert header.get_xyzt_units()[0] == "unknown"


def test_nifti_in_micrometers_is_read_in_millimeters(tmp_path: Path) -> None:
    image = NIBABEL.Nifti1Image(np.zeros((30, 20, 1), np.uint8), np.diag([50.0, 20.0, 1.0, 1.0]))
    image.header.set_xyzt_units("micron")
    NIBABEL.save(image, tmp_path / "a.nii")
    assert read_nifti(tmp_path / "a.nii").spacing_mm == pytest.approx((0.02, 0.05))


def test_a_mirrored_mask_is_refused(tmp_path: Path) -> None:
    write_nifti(tmp_path / "image.nii", np.zeros((20, 30), np.uint8), None)
    mirrored = NIBABEL.Nifti1Image(np.zeros((30, 20, 1), np.uint8), np.diag([1.0, -1.0, 1.0, 1.0]))
    NIBABEL.save(mirrored, tmp_path / "mask.nii")
    with pytest.raises(DataError, match="expected the axes of its image, L/P, got R/P"):
        read_nifti_mask(tmp_path / "mask.nii", 1, tmp_path / "image.nii")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((20, 30, 4), np.uint8), "expected one 2-D image, got 20x30x4"),
        (np.full((20, 30), 300, np.int16), "expected whole values from 0 to 255, got int16"),
        (np.full((20, 30), -1, np.int16), "from -1 to -1"),
        (np.full((20, 30), 0.5, np.float32), "expected whole values"),
        (np.full((20, 30), np.nan, np.float32), "expected whole values"),
        (np.zeros((7, 30), np.uint8), "at least 8x8"),
    ],
)
def test_what_is_no_8_bit_slice_is_refused(
    tmp_path: Path, array: NDArray[Any], message: str
) -> None:
    NIBABEL.save(NIBABEL.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ImageError, match=message):
        read_nifti(tmp_path / "a.nii")


def test_damaged_nifti_files_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", np.zeros((20, 30), np.uint8), None)
    content = (tmp_path / "a.nii").read_bytes()
    cases = {
        "cut.nii": content[:-100],
        "text.nii": b"not an image",
        "cut.nii.gz": gzip.compress(content)[:-50],
        # The header says 30000 x 30000.
        "huge.nii": content[:42] + struct.pack("<hh", 30000, 30000) + content[46:],
    }
    for name, damaged in cases.items():
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(ImageError, match=r"damaged one or another|30000x30000"):
            read_nifti(tmp_path / name)
    with pytest.raises(ImageError, match="found nothing"):
        read_nifti(tmp_path / "none.nii")


def test_nifti_folders_need_partners_and_named_labels(tmp_path: Path) -> None:
    root = write("nifti", make(tmp_path / "data", "gray", 2, False), tmp_path / "n", None)
    (root / "labels.json").write_text('["head"]')
    dataset = load_dataset(root, "nifti")
    with pytest.raises(DataError, match=r"expected labels 0 to 1, got the value 2"):
        read_case(dataset, dataset.cases[0])
    (root / "labels.json").unlink()
    dataset = load_dataset(root, "nifti")
    assert set(np.unique(read_case(dataset, dataset.cases[0])[1])) == {0, 1}
    (root / "masks" / "case.nii.gz").unlink()
    with pytest.raises(DataError, match=r"masks: expected the same names .* none for case"):
        load_dataset(root, "nifti")


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

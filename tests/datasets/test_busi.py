"""The BUSI layout, on made-up files and on the real release where it is."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from featherseg.datasets import DATASETS, load_dataset, read_case
from featherseg.errors import DataError, ImageError


def png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.bool_]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)


def gray(seed: int, shape: tuple[int, ...] = (20, 30)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A small release: three classes, two masks of one image, 1-bit, RGB and RGBA masks."""
    root = tmp_path / "Dataset_BUSI_with_GT"
    first, second = np.zeros((20, 30), bool), np.zeros((20, 30, 4), np.uint8)
    first[2:6, 3:8] = True
    second[10:14, 20:25, 1] = 255
    second[..., 3] = 255
    for name, seed in (("benign/benign (10)", 1), ("benign/benign (2)", 2)):
        png(root / f"{name}.png", gray(seed))
        png(root / f"{name}_mask.png", first)
    png(root / "benign/benign (10)_mask_1.png", second)
    png(root / "malignant/malignant (1).png", gray(3, (20, 30, 3)))
    png(root / "malignant/malignant (1)_mask.png", first)
    png(root / "normal/normal (1).png", gray(4))
    png(root / "normal/normal (1)_mask.png", np.zeros((20, 30, 3), np.uint8))
    (root / "normal/.hidden.png").write_text("not an image")
    (root / "normal/Thumbs.db").write_text("nor this")
    return root


def test_cases_stand_in_natural_order(release: Path) -> None:
    dataset = load_dataset(release, "busi")
    assert [case.id for case in dataset.cases] == [
        "benign (2)",
        "benign (10)",
        "malignant (1)",
        "normal (1)",
    ]
    assert [case.label for case in dataset.cases] == ["benign", "benign", "malignant", "normal"]
    assert all(case.group == case.id for case in dataset.cases)
    assert dataset.labels == ("lesion",)


def test_the_parent_folder_does_too(release: Path) -> None:
    assert load_dataset(release.parent, "busi") == load_dataset(release, "busi")


def test_masks_are_united_without_their_alpha(release: Path) -> None:
    dataset = load_dataset(release, "busi")
    expected = np.zeros((20, 30), np.uint8)
    expected[2:6, 3:8] = 1
    _, single = read_case(dataset, dataset.cases[0])
    np.testing.assert_array_equal(single, expected)
    expected[10:14, 20:25] = 1
    _, united = read_case(dataset, dataset.cases[1])
    np.testing.assert_array_equal(united, expected)
    assert united.dtype == np.uint8
    image, normal = read_case(dataset, dataset.cases[3])
    assert not normal.any()
    assert image.pixels.shape == (20, 30)


@pytest.mark.parametrize("name", ["benign/benign (2)", "normal/normal (1)"])
def test_an_image_without_a_mask_is_refused(release: Path, name: str) -> None:
    (release / f"{name}_mask.png").unlink()
    with pytest.raises(DataError, match=r"NAME_mask\.png beside every image .* none for"):
        load_dataset(release, "busi")


def test_a_mask_without_an_image_is_refused(release: Path) -> None:
    (release / "benign/benign (10).png").unlink()
    with pytest.raises(DataError, match=r"image for every mask, none for benign \(10\)_mask"):
        load_dataset(release, "busi")


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folders benign, malignant and normal"):
        load_dataset(tmp_path, "busi")


def test_one_class_is_enough(release: Path) -> None:
    for part in ("benign", "normal"):
        (release / part).rename(release.parent / part)
    assert [case.id for case in load_dataset(release, "busi").cases] == ["malignant (1)"]


def test_masks_of_other_sizes_are_refused(release: Path) -> None:
    png(release / "benign/benign (10)_mask_1.png", np.zeros((21, 30), np.uint8))
    png(release / "benign/benign (2)_mask.png", np.zeros((10, 15), np.uint8))
    dataset = load_dataset(release, "busi")
    with pytest.raises(DataError, match=r"masks must have one size, got 20x30 .* and 21x30"):
        read_case(dataset, dataset.cases[1])
    with pytest.raises(DataError, match="its image's size 20x30, got 10x15"):
        read_case(dataset, dataset.cases[0])


def test_the_real_release(data_root: Path) -> None:
    dataset = load_dataset(data_root / "BUSI", "busi")
    counts = dict.fromkeys(DATASETS["busi"].expected or {}, 0)
    for case in dataset.cases:
        counts[case.label] += 1
    assert counts == {"benign": 350, "malignant": 168, "normal": 106}
    by_id = {case.id: case for case in dataset.cases}
    several = [case for case in dataset.cases if len(case.masks) > 1]
    assert {len(case.masks) for case in several} <= {2, 3}
    for name in ("benign (4)", "benign (54)", "normal (1)"):
        _, mask = read_case(dataset, by_id[name])
        assert mask.any() == (by_id[name].label != "normal")
    for case in several:
        _, mask = read_case(dataset, case)
        parts = [np.array(PIL.Image.open(path).convert("RGB")).any(axis=2) for path in case.masks]
        np.testing.assert_array_equal(mask, np.logical_or.reduce(parts))


def test_a_damaged_image_is_named(release: Path) -> None:
    path = release / "malignant/malignant (1).png"
    path.write_bytes(path.read_bytes()[:300])
    dataset = load_dataset(release, "busi")
    with pytest.raises(ImageError, match=r"malignant \(1\)\.png: the file is truncated"):
        read_case(dataset, dataset.cases[2])

"""Which images calibrate an int8 network and which judge it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from torch import nn

from featherseg.datasets import load_dataset
from featherseg.datasets.pack import pack, save_pack
from featherseg.duplicates import Duplicates
from featherseg.errors import DataError, RunError
from featherseg.export.images import quantizing_images, spread
from featherseg.preprocess import Preprocessing
from featherseg.splits import Split, make_split, save_split, subset
from featherseg.train.recipe import load_recipe
from featherseg.train.run import Run
from tests.tiny import blob_images

INPUT = (16, 24)
COUNT = 30


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty images, each as bright as its number, whose masks are one pixel at that place."""
    folder = tmp_path_factory.mktemp("images") / "data"
    _, masks = blob_images(COUNT, seed=0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number, mask in enumerate(masks):
        gray = np.full(mask.shape, number, np.uint8)
        PIL.Image.fromarray(gray).save(folder / "images" / f"{number}.png")
        PIL.Image.fromarray(mask * np.uint8(255)).save(folder / "masks" / f"{number}.png")
    return folder


def made_run(folder: Path, split: Split | None, *settings: str, **content: Any) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    if split is not None:
        save_split(split, folder / "split.json")
    recipe = load_recipe("simplified_unet", [f"input_size=[{INPUT[0]},{INPUT[1]}]", *settings])
    known = {"preprocessing": asdict(Preprocessing(INPUT)), "fold": None, **content}
    return Run(folder, recipe, nn.Identity(), known)


def dealt(data: Path, **how: Any) -> Split:
    return make_split(load_dataset(data, "folder"), Duplicates((), ()), seed=0, **how)


def brightness(values: Any) -> list[int]:
    """The numbers of the images of a batch (n, C, h, w)."""
    return [round(float(each.mean()) * 255) for each in values]


@pytest.fixture
def split(data: Path) -> Split:
    return dealt(data, fractions=(0.6, 0.2, 0.2))


def test_training_images_calibrate_and_all_validation_images_judge(
    data: Path, split: Split, tmp_path: Path
) -> None:
    images = quantizing_images(made_run(tmp_path, split), data, calibration=9)
    train, validation = (subset(split, name) for name in ("train", "validation"))
    assert images.calibration.shape == (9, 3, *INPUT)
    assert images.calibration.dtype == np.float32
    chosen = brightness(images.calibration)
    assert chosen == [int(name) for name in spread(train, 9)]
    assert chosen[0] == int(train[0])
    assert chosen[-1] == int(train[-1])
    for _ in range(2):
        cases = list(images.cases())
        assert [int(case.image.pixels[0, 0]) for case in cases] == [int(n) for n in validation]
        assert all(case.image.pixels.shape == case.mask.shape == (32, 48) for case in cases)
    assert (images.count, images.over) == (len(validation), "validation")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_pack_gives_the_same_images_at_the_networks_size(
    data: Path, split: Split, tmp_path: Path, channels: int
) -> None:
    dataset = load_dataset(data, "folder")
    save_pack(pack(dataset, INPUT, channels), tmp_path / "data.pack")
    expected = asdict(Preprocessing(INPUT, channels))
    run = made_run(tmp_path / "run", split, preprocessing=expected)
    packed = quantizing_images(run, tmp_path / "data.pack", calibration=9)
    scanned = quantizing_images(run, data, calibration=9)
    np.testing.assert_array_equal(packed.calibration, scanned.calibration)
    shape = INPUT if channels == 1 else (*INPUT, 3)
    for case, whole in zip(packed.cases(), scanned.cases(), strict=True):
        assert case.image.pixels.shape == shape
        assert case.image.pixels.flat[0] == whole.image.pixels[0, 0]
        assert case.mask.shape == INPUT
        assert case.group == whole.group


def test_a_fold_has_its_own_images(data: Path, tmp_path: Path) -> None:
    split = dealt(data, folds=3)
    run = made_run(tmp_path, split, fold=1)
    images = quantizing_images(run, data, calibration=8)
    assert {str(n) for n in brightness(images.calibration)} <= set(subset(split, "train", 1))
    judged = [str(case.image.pixels[0, 0]) for case in images.cases()]
    assert judged == list(subset(split, "validation", 1))


def test_a_final_run_is_judged_on_training_images_that_did_not_calibrate(
    data: Path, tmp_path: Path
) -> None:
    split = dealt(data, folds=3)
    save_split(split, tmp_path / "split.json")
    entry = {"split_sha256": split.sha256}
    run = made_run(tmp_path / "final", None, cross_validation=entry)
    images = quantizing_images(run, data, calibration=10)
    calibrated = set(brightness(images.calibration))
    judged = {int(case.image.pixels[0, 0]) for case in images.cases()}
    assert (len(calibrated), len(judged)) == (10, COUNT - 10)
    assert not calibrated & judged
    assert images.over.startswith("training (no others")
    with pytest.raises(DataError, match=r"all 30 training images did"):
        quantizing_images(run, data, calibration=COUNT)
    save_split(dealt(data, folds=4), tmp_path / "split.json")
    with pytest.raises(RunError, match=r"another split than that of the cross-validation"):
        quantizing_images(run, data, calibration=10)


def test_only_classes_of_the_recipe(data: Path, split: Split, tmp_path: Path) -> None:
    run = made_run(tmp_path, split, "classes=[benign]")
    with pytest.raises(DataError, match=r"at least 8, got 0"):
        quantizing_images(run, data)


@pytest.mark.parametrize("count", [1, 7])
def test_a_calibration_set_that_is_too_small(
    data: Path, split: Split, tmp_path: Path, count: int
) -> None:
    with pytest.raises(DataError, match=rf"needs at least 8, got {count}"):
        quantizing_images(made_run(tmp_path, split), data, calibration=count)


def test_other_images_than_those_of_the_run(data: Path, split: Split, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for name in ("images", "masks"):
        (other / name).mkdir(parents=True)
        (other / name / "1.png").write_bytes((data / name / "1.png").read_bytes())
    run = made_run(tmp_path / "run", split)
    with pytest.raises(DataError, match="the split was made for other images"):
        quantizing_images(run, other)
    save_pack(pack(load_dataset(other, "folder"), INPUT, 3), tmp_path / "other.pack")
    with pytest.raises(DataError, match="the split was made for other images"):
        quantizing_images(run, tmp_path / "other.pack")


def test_a_run_without_a_split(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"expected split\.json.*--precision fp32"):
        quantizing_images(made_run(tmp_path, None), data)


def test_spread() -> None:
    assert spread("abcde", 3) == ("a", "c", "e")
    assert spread("ab", 3) == ("a", "b")

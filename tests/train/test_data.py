"""What a training is given: images at the recipe's size, and where they are from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featherseg.datasets import load_dataset
from featherseg.datasets.pack import pack, save_pack
from featherseg.datasets.phantom import write_phantom
from featherseg.duplicates import find_duplicates
from featherseg.errors import DataError
from featherseg.splits import make_split, save_split
from featherseg.train.data import packed_for, provenance_of
from featherseg.train.recipe import load_recipe

RECIPE = load_recipe("demo", ["input_size=[32, 48]", "in_channels=1"])


def test_folders_are_packed_and_packs_taken_as_they_are(tmp_path: Path) -> None:
    write_phantom(tmp_path / "data", 6, seed=0, size=(64, 64))
    dataset = load_dataset(tmp_path / "data", "phantom")
    split = make_split(dataset, find_duplicates(dataset), folds=3, seed=0)
    expected = pack(dataset, (32, 48), 1)
    for layout in (None, "phantom"):
        packed = packed_for(RECIPE, tmp_path / "data", layout, split)
        np.testing.assert_array_equal(packed.images, expected.images)
        assert packed.images_sha256 == split.images_sha256
    save_pack(pack(dataset, (16, 16), 3), tmp_path / "data.pack")
    assert packed_for(RECIPE, tmp_path / "data.pack", None, split).images.shape == (6, 16, 16, 3)
    other = replace(split, images_sha256="0" * 64)
    for data in ("data", "data.pack"):
        with pytest.raises(DataError, match="made for other images"):
            packed_for(RECIPE, tmp_path / data, None, other)


def test_provenance_holds_the_split_file_and_the_fold(tmp_path: Path) -> None:
    write_phantom(tmp_path / "data", 6, seed=0, size=(64, 64))
    dataset = load_dataset(tmp_path / "data", "phantom")
    split = make_split(dataset, find_duplicates(dataset), folds=3, seed=0)
    save_split(split, tmp_path / "split.json")
    assert provenance_of(split, tmp_path / "split.json", 2) == {
        "protocol": "safe",
        "split_sha256": split.sha256,
        "split": json.loads((tmp_path / "split.json").read_text()),
        "fold": 2,
    }

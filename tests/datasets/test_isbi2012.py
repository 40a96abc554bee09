"""ISBI 2012: a stack and single slices are the same data, membranes and cells opposites."""

from pathlib import Path

import numpy as np
import pytest

from featherseg.datasets import case_hashes, load_dataset, read_case
from featherseg.errors import DataError, ImageError
from tests.datasets.releases import isbi2012, isbi2012_png, lesion, picture, save_stack


def test_both_forms_agree(tmp_path: Path) -> None:
    stack = load_dataset(isbi2012(tmp_path / "tif"), "isbi2012")
    single = load_dataset(isbi2012_png(tmp_path / "png"), "isbi2012")
    assert [case.id for case in stack.cases] == [f"slice_{number:02d}" for number in range(12)]
    assert [case.frame for case in stack.cases] == list(range(12))
    for number, (one, other) in enumerate(zip(stack.cases, single.cases, strict=True)):
        assert (one.id, one.group, one.frame) == (other.id, other.group, other.frame)
        image, mask = read_case(stack, one)
        np.testing.assert_array_equal(image.pixels, picture(number))
        np.testing.assert_array_equal(mask, lesion(number) // 255)
        again, same = read_case(single, other)
        np.testing.assert_array_equal(again.pixels, image.pixels)
        np.testing.assert_array_equal(same, mask)


def test_interior_is_all_but_the_membranes(tmp_path: Path) -> None:
    root = isbi2012(tmp_path)
    membrane, interior = load_dataset(root, "isbi2012"), load_dataset(root, "isbi2012_interior")
    assert (membrane.labels, interior.labels) == (("membrane",), ("interior",))
    for one, other in zip(membrane.cases, interior.cases, strict=True):
        both = read_case(membrane, one)[1] + read_case(interior, other)[1]
        assert (both == 1).all()


@pytest.mark.parametrize("inner", ["", "membrane", "membrane/train"])
def test_the_folder_may_be_given_at_any_depth(tmp_path: Path, inner: str) -> None:
    isbi2012_png(tmp_path)
    assert len(load_dataset(tmp_path / inner, "isbi2012").cases) == 12


def test_slices_of_one_file_have_hashes_of_their_own(tmp_path: Path) -> None:
    dataset = load_dataset(isbi2012(tmp_path), "isbi2012")
    assert len(set(case_hashes(dataset).values())) == 12


def test_stacks_of_two_lengths_and_alone(tmp_path: Path) -> None:
    root = isbi2012(tmp_path)
    save_stack(root / "train-labels.tif", [lesion(1)] * 3)
    with pytest.raises(DataError, match=r"as many slices as train-volume\.tif has, 12, got 3"):
        load_dataset(root, "isbi2012")
    (root / "train-labels.tif").unlink()
    with pytest.raises(DataError, match=r"train-labels\.tif: expected a stack beside"):
        load_dataset(root, "isbi2012")


def test_a_stack_that_became_shorter(tmp_path: Path) -> None:
    dataset = load_dataset(isbi2012(tmp_path), "isbi2012")
    save_stack(tmp_path / "train-volume.tif", [picture(0)] * 2)
    with pytest.raises(ImageError, match="a page from 0 to 1, got 11"):
        read_case(dataset, dataset.cases[11])


def test_the_real_stack(data_root: Path) -> None:
    root = data_root / "ISBI2012"
    stack = load_dataset(root, "isbi2012_interior")
    single = load_dataset(root / "membrane", "isbi2012_interior")
    assert len(stack.cases) == len(single.cases) == 30
    shares = []
    for one, other in zip(stack.cases, single.cases, strict=True):
        image, mask = read_case(stack, one)
        again, same = read_case(single, other)
        np.testing.assert_array_equal(image.pixels, again.pixels)
        np.testing.assert_array_equal(mask, same)
        shares.append(mask.mean())
    assert np.mean(shares) == pytest.approx(0.78, abs=0.01)

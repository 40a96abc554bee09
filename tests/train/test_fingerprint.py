"""Fingerprints of made-up images, in closed form, and what cannot be measured."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from featherseg.datasets import load_dataset
from featherseg.datasets.pack import pack, save_pack
from featherseg.datasets.phantom import write_phantom
from featherseg.duplicates import find_duplicates
from featherseg.errors import DataError
from featherseg.splits import Split, make_split, subset
from featherseg.train.fingerprint import fingerprint, fingerprint_of
from featherseg.types import Case, Mask, Pixels


def drawn(areas: Sequence[tuple[int, ...]], size: tuple[int, int]) -> Iterator[tuple[Pixels, Mask]]:
    """Gray images whose label k covers `areas[i][k - 1]` pixels of image i."""
    for image_areas in areas:
        mask = np.zeros(size[0] * size[1], np.uint8)
        end = 0
        for label, area in enumerate(image_areas, start=1):
            mask[end : end + area] = label
            end += area
        yield np.full(size, 7, np.uint8), mask.reshape(size)


def test_areas_and_empty_images_are_counted() -> None:
    areas = [(10,), (20,), (30,), (40,), (0,), (0,), (0,), (0,), (0,), (0,)]
    found = fingerprint(drawn(areas, (10, 20)), labels=1)
    assert (found.images, found.median_size, found.channels, found.labels) == (10, (10, 20), 1, 1)
    assert found.empty_share == pytest.approx(0.6)
    assert found.label_area == pytest.approx(25 / 200)
    # Five percent of the way along the three gaps between four values.
    assert found.small_label_area == pytest.approx((10 + 0.05 * 3 * 10) / 200)
    assert not found.is_packed


def test_each_label_of_an_image_counts_by_itself() -> None:
    found = fingerprint(drawn([(10, 50)] * 5 + [(0, 50)] * 5, (10, 10)), labels=2)
    assert found.empty_share == 0
    # Five tenths and ten halves.
    assert found.label_area == pytest.approx(0.5)
    assert found.small_label_area == pytest.approx(0.1)


def test_sizes_are_medians_side_by_side() -> None:
    sizes = [(10, 90), (20, 80), (30, 70)] * 3
    pairs = (next(drawn([(5,)], size)) for size in sizes)
    assert fingerprint(pairs, labels=1).median_size == (20, 80)


@pytest.mark.parametrize(("changed", "channels"), [(False, 1), (True, 3)])
def test_one_colored_pixel_makes_three_channels(changed: bool, channels: int) -> None:
    pairs = [
        (np.repeat(gray[:, :, np.newaxis], 3, axis=2), mask)
        for gray, mask in drawn([(5,)] * 8, (8, 8))
    ]
    if changed:
        pairs[3][0][2, 5, 1] += 1
    assert fingerprint(pairs, labels=1).channels == channels


def test_too_few_images_and_images_without_labels_are_refused() -> None:
    with pytest.raises(DataError, match="at least 8 training images, got 7"):
        fingerprint(drawn([(5,)] * 7, (8, 8)), labels=1)
    with pytest.raises(DataError, match="none of the 9 training images has a label"):
        fingerprint(drawn([(0,)] * 9, (8, 8)), labels=1)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Split]:
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantom(folder / "data", 14, seed=0, size=(64, 64))
    dataset = load_dataset(folder / "data", "phantom")
    split = make_split(dataset, find_duplicates(dataset), fractions=(0.6, 0.2, 0.2), seed=0)
    save_pack(pack(dataset, (32, 48), 3), folder / "data.pack")
    return folder, split


def test_only_training_images_are_opened(phantoms: tuple[Path, Split]) -> None:
    folder, split = phantoms
    read: list[str] = []

    def noted(cases: Iterable[Case]) -> Iterator[Case]:
        for case in cases:
            read.append(case.id)
            yield case

    found = fingerprint_of(folder / "data", None, split, progress=noted)
    assert sorted(read) == sorted(subset(split, "train"))
    assert (found.images, found.channels, found.is_packed) == (len(read), 1, False)


def test_a_packs_size_and_channels_stand(phantoms: tuple[Path, Split]) -> None:
    folder, split = phantoms
    found = fingerprint_of(folder / "data.pack", None, split)
    assert (found.median_size, found.channels, found.is_packed) == ((32, 48), 3, True)
    assert found.images == len(subset(split, "train"))


def test_other_images_than_the_splits_are_refused(
    phantoms: tuple[Path, Split], tmp_path: Path
) -> None:
    _, split = phantoms
    write_phantom(tmp_path / "data", 14, seed=1, size=(64, 64))
    with pytest.raises(DataError, match="made for other images"):
        fingerprint_of(tmp_path / "data", None, split)

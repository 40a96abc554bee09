"""Simulated ultrasound: repeatable, learnable, and honest about what it drew."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from featherseg.datasets import load_dataset, read_case
from featherseg.datasets.phantom import simulate, write_phantom
from featherseg.datasets.simulate import KINDS, Kind
from featherseg.errors import DataError

SMALL = (96, 112)


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_gives_one_picture(kind: Kind) -> None:
    first, second, other = (simulate(seed, kind, SMALL) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert (first[0] != other[0]).mean() > 0.5
    for array in first:
        assert array.shape == SMALL
        assert array.dtype == np.uint8


def test_masks_are_lesions_of_a_sensible_size() -> None:
    for seed in range(12):
        for kind in KINDS:
            _, mask = simulate(seed, kind, SMALL)
            assert set(np.unique(mask)) <= {0, 1}
            if kind == "normal":
                assert not mask.any()
            else:
                assert 0.003 < mask.mean() < 0.3, (seed, kind)


def test_lesions_are_darker_than_what_is_around_them() -> None:
    """A network can learn them; most of them, so that it has to learn."""
    darker = []
    for seed in range(20):
        for kind in ("benign", "malignant"):
            pixels, mask = simulate(seed, kind, SMALL)
            rows = mask.any(axis=1)
            around = pixels[rows][mask[rows] == 0]
            darker.append(pixels[mask > 0].mean() < 0.8 * around.mean())
    assert np.mean(darker) > 0.75


def test_gray_levels_are_used() -> None:
    levels = np.concatenate([simulate(s, k, SMALL)[0].ravel() for s in range(4) for k in KINDS])
    low, middle, high = np.percentile(levels, [2, 50, 98])
    assert low < 40 < middle < 150 < high
    assert (levels == 255).mean() < 0.02


@pytest.mark.parametrize("size", [(64, 64), (64, 200), (200, 64), (131, 97)])
def test_any_shape(size: tuple[int, int]) -> None:
    for kind in KINDS:
        pixels, mask = simulate(0, kind, size)
        assert pixels.shape == mask.shape == size


def test_it_is_quick() -> None:
    simulate(0, "benign")
    seconds = []
    for seed in range(3):
        started = time.perf_counter()
        simulate(seed, "malignant")
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.4


def test_a_written_data_set_is_read_back(tmp_path: Path) -> None:
    out = tmp_path / "phantoms"
    seen: list[int] = []

    def watched(indices: range) -> range:
        seen.extend(indices)
        return indices

    write_phantom(out, 20, 3, SMALL, watched)
    assert seen == list(range(20))
    dataset = load_dataset(out, "phantom")
    counts = {kind: sum(case.label == kind for case in dataset.cases) for kind in KINDS}
    assert abs(counts["benign"] - 9) <= 1
    assert abs(counts["malignant"] - 7) <= 1
    assert counts["normal"] >= 3
    shapes = set()
    for case in dataset.cases:
        image, mask = read_case(dataset, case)
        shapes.add(mask.shape)
        assert mask.any() == (case.label != "normal")
        assert all(abs(n - s) <= 0.13 * s for n, s in zip(mask.shape, SMALL, strict=True))
        assert image.pixels.ndim == 2
    assert len(shapes) > 5


def test_the_seed_decides_every_byte(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_phantom(tmp_path / name, 3, seed, (64, 64))
    files = {
        name: {p.name: p.read_bytes() for p in sorted((tmp_path / name).rglob("*.png"))}
        for name in "abc"
    }
    assert files["a"] == files["b"]
    assert files["a"] != files["c"]


def test_a_longer_series_starts_with_the_shorter_one(tmp_path: Path) -> None:
    write_phantom(tmp_path / "short", 2, 1, (64, 64))
    write_phantom(tmp_path / "long", 4, 1, (64, 64))
    for path in (tmp_path / "short" / "images").iterdir():
        assert path.read_bytes() == (tmp_path / "long" / "images" / path.name).read_bytes()


def test_an_earlier_series_is_removed_and_nothing_else(tmp_path: Path) -> None:
    write_phantom(tmp_path, 4, 1, (64, 64))
    (tmp_path / "images" / "mine.txt").write_text("keep")
    write_phantom(tmp_path, 2, 1, (64, 64))
    assert len(load_dataset(tmp_path, "phantom").cases) == 2
    assert (tmp_path / "images" / "mine.txt").exists()


@pytest.mark.parametrize("arguments", [(0, 0, SMALL), (1, -1, SMALL), (1, 0, (63, 100))])
def test_bad_requests(tmp_path: Path, arguments: tuple[int, int, tuple[int, int]]) -> None:
    with pytest.raises(DataError, match="expected at least 1 case"):
        write_phantom(tmp_path, *arguments)


def test_a_catalog_that_does_not_fit(tmp_path: Path) -> None:
    write_phantom(tmp_path, 2, 1, (64, 64))
    catalog = tmp_path / "phantom.json"
    content = json.loads(catalog.read_text())
    assert content["seed"] == 1
    content["labels"]["phantom_0009"] = "benign"
    catalog.write_text(json.dumps(content))
    with pytest.raises(DataError, match="same names as in images/, differs for phantom_0009"):
        load_dataset(tmp_path, "phantom")
    outside = {"schema": 1, "labels": {"../x": "benign"}}
    bad: object
    for bad in ({**content, "schema": 2}, [], outside):
        catalog.write_text(json.dumps(bad))
        with pytest.raises(DataError, match="expected the catalog of a simulated data set"):
            load_dataset(tmp_path, "phantom")
    catalog.unlink()
    with pytest.raises(DataError, match=r"phantom\.json: expected a JSON file, found nothing"):
        load_dataset(tmp_path, "phantom")


def test_a_share_of_the_images_is_marked_and_the_rest_is_as_without(tmp_path: Path) -> None:
    write_phantom(tmp_path / "plain", 8, seed=4, size=SMALL)
    write_phantom(tmp_path / "marked", 8, seed=4, size=SMALL, marks=0.5)
    write_phantom(tmp_path / "again", 8, seed=4, size=SMALL, marks=0.5)
    plain, marked, again = (
        load_dataset(tmp_path / name, "phantom") for name in ("plain", "marked", "again")
    )
    differs = []
    for first, second, third in zip(plain.cases, marked.cases, again.cases, strict=True):
        assert second.image.read_bytes() == third.image.read_bytes()
        assert first.masks[0].read_bytes() == second.masks[0].read_bytes()
        differs.append(first.image.read_bytes() != second.image.read_bytes())
    assert 1 <= sum(differs) <= 7
    with pytest.raises(DataError, match="share of marks from 0 to 1, got 8 cases"):
        write_phantom(tmp_path / "bad", 8, seed=4, marks=1.5)

"""The folder layout: pairs by stem, label maps, groups; and what load_dataset refuses."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from featherseg.datasets import DATASETS, case_hashes, images_sha256, load_dataset, read_case
from featherseg.datasets.layout import natural_key
from featherseg.errors import DataError, ImageError

SHAPE = (12, 16)


def add(root: Path, stem: str, value: int = 255, suffix: str = ".png") -> None:
    """One image with a mask that holds `value` in a corner."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[:3, :4] = value
    seed = sum(stem.encode())
    image = np.random.default_rng(seed).integers(0, 256, SHAPE, dtype=np.uint8)
    for part, pixels, ending in (("images", image, suffix), ("masks", mask, ".png")):
        (root / part).mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(pixels).save(root / part / f"{stem}{ending}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for stem in ("a2", "a10", "b"):
        add(tmp_path / "data", stem)
    return tmp_path / "data"


def test_pairs_by_stem(root: Path) -> None:
    add(root, "c", suffix=".jpg")
    (root / "images" / ".c.png").write_text("hidden")
    (root / "masks" / "notes.txt").write_text("not an image")
    dataset = load_dataset(root, "folder")
    assert [case.id for case in dataset.cases] == ["a2", "a10", "b", "c"]
    assert {case.label for case in dataset.cases} == {""}
    assert [case.group for case in dataset.cases] == ["a2", "a10", "b", "c"]
    assert (dataset.labels, dataset.mask_kind) == (("lesion",), "binary")


@pytest.mark.parametrize("value", [1, 128, 255])
def test_any_value_but_0_is_the_lesion(root: Path, value: int) -> None:
    add(root, "b", value)
    dataset = load_dataset(root, "folder")
    _, mask = read_case(dataset, dataset.cases[2])
    assert mask.sum() == 12
    assert set(np.unique(mask)) == {0, 1}


@pytest.mark.parametrize(
    "names", [{"1": "head", "2": "body"}, {"0": "nothing", "2": "body", "1": "head"}]
)
def test_label_maps(root: Path, names: dict[str, str]) -> None:
    for stem in ("a2", "a10", "b"):
        add(root, stem, 2)
    (root / "labels.json").write_text(json.dumps(names))
    dataset = load_dataset(root, "folder")
    assert (dataset.labels, dataset.mask_kind) == (("head", "body"), "labels")
    _, mask = read_case(dataset, dataset.cases[0])
    assert set(np.unique(mask)) == {0, 2}


def test_label_names_as_a_list(root: Path) -> None:
    (root / "labels.json").write_text('["head"]')
    dataset = load_dataset(root, "folder")
    assert dataset.labels == ("head",)
    with pytest.raises(DataError, match=r"a2\.png: expected labels 0 to 1 .* got the value 255"):
        read_case(dataset, dataset.cases[0])


@pytest.mark.parametrize(
    "content",
    ['{"1": "a", "3": "b"}', "[]", "{}", '["a", "a"]', '[1, 2]', '[""]', "7", "not JSON",
     json.dumps([str(n) for n in range(256)])],
)  # fmt: skip
def test_bad_label_names(root: Path, content: str) -> None:
    (root / "labels.json").write_text(content)
    with pytest.raises(DataError, match=r"labels\.json: expected"):
        load_dataset(root, "folder")


def test_groups_and_classes(root: Path) -> None:
    (root / "groups.csv").write_text("id,group,class\na2,p1,benign\na10,p1,normal\nb,p2,benign\n")
    cases = load_dataset(root, "folder").cases
    assert [(c.group, c.label) for c in cases] == [
        ("p1", "benign"),
        ("p1", "normal"),
        ("p2", "benign"),
    ]
    (root / "groups.csv").write_text("\ufeffid,group\na2,p1\na10,p1\nb,p2\nother,p3\n")
    assert [case.group for case in load_dataset(root, "folder").cases] == ["p1", "p1", "p2"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,patient\na2,p1\n", "columns id,group"),
        (b"id,group\na2,p1\na10,\nb,p2\n", "a group for every image, none for a10"),
        (b"", "columns id,group"),
        (b"\xff\xfe\x00\x01", "cannot be read as a CSV"),
    ],
)
def test_bad_groups(root: Path, content: bytes, message: str) -> None:
    (root / "groups.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_dataset(root, "folder")


def test_files_without_a_partner(root: Path) -> None:
    (root / "masks" / "a10.png").rename(root / "masks" / "a11.png")
    with pytest.raises(DataError, match=r"a mask with the stem of every image, none for a10\.png"):
        load_dataset(root, "folder")
    add(root, "a10")
    with pytest.raises(DataError, match=r"an image for every mask, none for a11\.png"):
        load_dataset(root, "folder")


def test_a_long_list_is_cut(root: Path) -> None:
    for path in (root / "masks").iterdir():
        path.unlink()
    for stem in "cdefg":
        add(root, stem)
        (root / "masks" / f"{stem}.png").unlink()
    with pytest.raises(DataError, match=r"a2\.png, a10\.png, b\.png and 5 more"):
        load_dataset(root, "folder")


def test_one_stem_twice(root: Path) -> None:
    add(root, "b", suffix=".tif")
    with pytest.raises(DataError, match=r"one file of each stem, got b\.\w+ and b\.\w+"):
        load_dataset(root, "folder")


def test_missing_folders(tmp_path: Path, root: Path) -> None:
    with pytest.raises(DataError, match="expected a data folder, found nothing"):
        load_dataset(tmp_path / "absent", "folder")
    with pytest.raises(DataError, match="expected a data folder, found a file"):
        load_dataset(root / "images" / "b.png", "folder")
    with pytest.raises(DataError, match=r"folders images/ and masks/, found no images/"):
        load_dataset(tmp_path, "folder")
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match="expected images in the layout 'folder', found none"):
        load_dataset(tmp_path, "folder")


def test_an_unknown_layout_names_the_nearest(root: Path) -> None:
    with pytest.raises(DataError, match="got 'Fodler'; did you mean 'folder'"):
        load_dataset(root, "Fodler")
    with pytest.raises(DataError, match=rf"out of {', '.join(DATASETS)}, got '1234'$"):
        load_dataset(root, "1234")


def test_hashes_follow_names_and_content(root: Path) -> None:
    dataset = load_dataset(root, "folder")
    before, whole = case_hashes(dataset), images_sha256(dataset)
    assert list(before) == ["a2", "a10", "b"]
    assert len({*before.values()}) == 3
    add(root, "b", 254)
    after = case_hashes(dataset)
    assert {name for name in after if after[name] != before[name]} == {"b"}
    assert images_sha256(dataset) != whole
    add(root, "b", 255)
    assert images_sha256(dataset) == whole
    for part in ("images", "masks"):
        (root / part / "b.png").rename(root / part / "c.png")
    assert images_sha256(load_dataset(root, "folder")) != whole
    with pytest.raises(DataError, match=r"b\.png: cannot be read"):
        images_sha256(dataset)


def test_a_vanished_image_is_an_image_error(root: Path) -> None:
    dataset = load_dataset(root, "folder")
    dataset.cases[0].image.unlink()
    with pytest.raises(ImageError, match="found nothing"):
        read_case(dataset, dataset.cases[0])


def test_natural_order() -> None:
    names = ["b 10", "b 9", "a 1_2", "a 1", "10", "9", "b 010"]
    assert sorted(names, key=natural_key) == ["9", "10", "a 1", "a 1_2", "b 9", "b 010", "b 10"]

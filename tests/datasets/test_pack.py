"""Packs: what is decoded once is what is mapped back, and nothing else is opened."""

import dataclasses
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from featherseg.datasets import Dataset, images_sha256, load_dataset, read_case
from featherseg.datasets.pack import Packed, open_pack, pack, save_pack
from featherseg.datasets.phantom import write_phantom
from featherseg.errors import DataError, StorageError
from featherseg.preprocess import fit_mask, fit_pixels


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("phantoms")
    write_phantom(out, 5, 1, (64, 72))
    return load_dataset(out, "phantom")


@pytest.fixture
def file(dataset: Dataset, tmp_path: Path) -> Path:
    path = tmp_path / "a.pack"
    save_pack(pack(dataset, (32, 40), 3), path)
    return path


def same(first: Packed, second: Packed) -> bool:
    names = [field.name for field in dataclasses.fields(Packed)]
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in names)


@pytest.mark.parametrize("channels", [1, 3])
def test_cases_are_fitted_once(dataset: Dataset, channels: int) -> None:
    packed = pack(dataset, (32, 40), channels)
    assert packed.images.shape == (5, 32, 40, channels)
    assert packed.masks.shape == (5, 32, 40)
    for place, case in enumerate(dataset.cases):
        image, mask = read_case(dataset, case)
        expected = fit_pixels(image.pixels, (32, 40), channels)
        np.testing.assert_array_equal(packed.images[place], expected)
        np.testing.assert_array_equal(packed.masks[place], fit_mask(mask, (32, 40)))
    assert packed.ids == tuple(case.id for case in dataset.cases)
    assert packed.classes == tuple(case.label for case in dataset.cases)
    assert packed.labels == ("lesion",)
    assert packed.layout == "phantom"
    assert packed.images_sha256 == images_sha256(dataset)


def test_a_file_is_mapped_back(dataset: Dataset, file: Path) -> None:
    opened = open_pack(file)
    assert same(opened, pack(dataset, (32, 40), 3))
    assert isinstance(opened.images.base, np.memmap)
    assert not opened.images.flags.writeable


def test_other_readers_of_the_format_agree(file: Path) -> None:
    opened = open_pack(file)
    with safe_open(file, framework="np") as reader:
        np.testing.assert_array_equal(reader.get_tensor("images"), opened.images)
        np.testing.assert_array_equal(reader.get_tensor("masks"), opened.masks)
        assert json.loads(reader.metadata()["ids"]) == list(opened.ids)


def test_select_keeps_the_order_asked_for(file: Path) -> None:
    opened = open_pack(file)
    wanted = (opened.ids[3], opened.ids[0])
    chosen = opened.select(wanted)
    assert chosen.ids == wanted
    np.testing.assert_array_equal(chosen.images, opened.images[[3, 0]])
    np.testing.assert_array_equal(chosen.masks, opened.masks[[3, 0]])
    assert chosen.classes == (opened.classes[3], opened.classes[0])
    assert chosen.groups == wanted
    assert chosen.images_sha256 == opened.images_sha256
    assert opened.select([]).images.shape == (0, 32, 40, 3)
    with pytest.raises(DataError, match="no case absent"):
        opened.select(["absent"])


@pytest.mark.parametrize(("side", "channels"), [(7, 3), (4097, 3), (32, 2)])
def test_bad_requests(dataset: Dataset, side: int, channels: int) -> None:
    with pytest.raises(DataError, match="sides of 8 to 4096 pixels and 1 or 3 channels"):
        pack(dataset, (side, side), channels)


def test_truncated_files_are_refused(file: Path) -> None:
    content = file.read_bytes()
    for kept in (0, 4, 8, 100, 2000, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:kept])
        with pytest.raises(DataError, match="expected a pack"):
            open_pack(file)
    file.write_bytes(content + b"x")
    with pytest.raises(DataError, match="its size differs"):
        open_pack(file)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        open_pack(tmp_path / "absent")
    with pytest.raises(DataError, match="cannot be read"):
        open_pack(tmp_path)
    path = tmp_path / "foreign"
    for content in (b"PK\x03\x04 a zip file of some kind", b"\x80\x04\x95" * 20, b"\0" * 64):
        path.write_bytes(content)
        with pytest.raises(DataError, match="expected a pack"):
            open_pack(path)


def edited(content: bytes, edit: Callable[[dict[str, Any]], object]) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    edit(header)
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + content[8 + length :]


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no images": lambda h: h.pop("images"),
    "float images": lambda h: h["images"].update(dtype="F32"),
    "another shape": lambda h: h["images"].update(shape=[5, 32, 40, 2]),
    "negative side": lambda h: h["masks"].update(shape=[-5, -32, 40]),
    "boolean side": lambda h: h["masks"].update(shape=[True, 32, 40]),
    "empty": lambda h: h["masks"].update(shape=[0, 32, 40], data_offsets=[0, 0]),
    "overflow": lambda h: h["masks"].update(shape=[2**40, 2**40, 2**40]),
    "outside": lambda h: h["masks"].update(data_offsets=[10**9, 10**9 + 5 * 32 * 40]),
    "offsets are text": lambda h: h["masks"].update(data_offsets=["0", "1"]),
    "other masks": lambda h: h["masks"].update(shape=[5, 40, 32]),
    "no metadata": lambda h: h.pop("__metadata__"),
    "other format": lambda h: h["__metadata__"].update(format="x"),
    "fewer names": lambda h: h["__metadata__"].update(ids='["a"]'),
    "names are numbers": lambda h: h["__metadata__"].update(ids="[1, 2, 3, 4, 5]"),
    "names are no JSON": lambda h: h["__metadata__"].update(ids="["),
    "no layout": lambda h: h["__metadata__"].pop("layout"),
    "layout is a list": lambda h: h["__metadata__"].update(layout="[]"),
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_headers_are_refused(file: Path, name: str) -> None:
    file.write_bytes(edited(file.read_bytes(), EDITS[name]))
    with pytest.raises(DataError, match="expected a pack"):
        open_pack(file)


def test_an_edit_that_changes_nothing_is_read(file: Path) -> None:
    before = open_pack(file).select(open_pack(file).ids)
    file.write_bytes(edited(file.read_bytes(), lambda header: header))
    assert same(open_pack(file), before)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.pack"
    path.write_bytes(content)
    with pytest.raises(DataError):
        open_pack(path)


def test_a_full_disk_keeps_the_old_pack(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = open_pack(file)
    before = file.read_bytes()

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("featherseg.storage._flush", full)
    with pytest.raises(StorageError, match=r"cannot write .*a\.pack: No space left on device"):
        save_pack(packed, file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["a.pack"]

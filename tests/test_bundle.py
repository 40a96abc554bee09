"""Bundles: what loads, and everything that must not."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featherseg.bundle import FILES, IR_FILES, MANIFEST_FILE, Bundle, load_bundle, read_check
from featherseg.errors import BundleError
from featherseg.storage import sha256_file
from tests.tiny import SIZE, seal, write_tiny_bundle


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("made") / "bundle")


@pytest.fixture
def folder(made: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "bundle"))


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / MANIFEST_FILE
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_round_trip(made: Bundle) -> None:
    loaded = load_bundle(str(made.folder))
    assert loaded == made
    assert loaded.preprocessing.input_size == SIZE
    assert loaded.operating_point.threshold == 0.5
    assert loaded.id == sha256_file(made.folder / MANIFEST_FILE)[:12]


def test_the_manifest_file_is_what_the_issue_names(made: Bundle) -> None:
    manifest = json.loads((made.folder / MANIFEST_FILE).read_text())
    assert manifest["schema"] == 1
    assert set(manifest["files"]) == FILES
    assert manifest["preprocessing"]["padding"] == "stretch"


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_changed_byte_names_the_file(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name}: the content is not"):
        load_bundle(folder)


@pytest.mark.parametrize("name", [*sorted(FILES), MANIFEST_FILE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=rf"{name}: expected a file of a bundle, found nothing"):
        load_bundle(folder)


def test_a_link_is_refused_even_with_the_right_content(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.bin"
    os.replace(folder / "model.bin", elsewhere)
    (folder / "model.bin").symlink_to(elsewhere)
    with pytest.raises(BundleError, match=r"model\.bin: expected a file of a bundle, found a link"):
        load_bundle(folder)


def test_folders_and_files_in_the_wrong_place(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="expected a bundle folder, found nothing"):
        load_bundle(tmp_path / "absent")
    with pytest.raises(BundleError, match="expected a bundle folder, found a file"):
        load_bundle(folder / MANIFEST_FILE)
    (folder / "model.bin").unlink()
    (folder / "model.bin").mkdir()
    with pytest.raises(BundleError, match="found a folder"):
        load_bundle(folder)


def test_openvinos_own_files_are_both_there_or_both_absent(folder: Path) -> None:
    assert sorted(IR_FILES) == ["model.bin", "model.xml"]
    edit(folder, lambda manifest: manifest["files"].pop("model.bin"))
    with pytest.raises(BundleError, match=r"entry 'files'.*may both be absent"):
        load_bundle(folder)
    edit(folder, lambda manifest: manifest["files"].pop("model.xml"))
    for name in IR_FILES:
        (folder / name).unlink()
    bundle = load_bundle(folder)
    assert bundle.openvino_file == folder / "model.onnx"
    sizes = [(folder / name).stat().st_size for name in bundle.manifest.files]
    assert len(sizes) == 3
    assert bundle.size_mb == sum(sizes) / 1e6


def test_bundles_made_before_there_was_a_choice_of_weights_load(folder: Path) -> None:
    newer = ("weights", "cross_validation", "data")
    edit(folder, lambda manifest: [manifest.pop(name) for name in newer])
    manifest = load_bundle(folder).manifest
    assert manifest.weights == "float32"
    assert manifest.cross_validation is None
    assert load_bundle(folder).openvino_file == folder / "model.xml"


@pytest.mark.parametrize("schema", [2, "1", None])
def test_an_unknown_schema_is_named(folder: Path, schema: object) -> None:
    edit(folder, lambda manifest: manifest.update(schema=schema))
    with pytest.raises(BundleError, match="expected bundle schema 1, got"):
        load_bundle(folder)


@pytest.mark.parametrize("content", ["", "[1]", "{", "\udcff"])
def test_a_manifest_that_is_no_manifest(folder: Path, content: str) -> None:
    (folder / MANIFEST_FILE).write_text(content, errors="surrogateescape")
    with pytest.raises(BundleError, match=r"manifest\.json: "):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("change", "entry"),
    [
        (lambda m: m.update(extra=1), "extra"),
        (lambda m: m.pop("labels"), "labels"),
        (lambda m: m.update(labels=[]), "labels"),
        (lambda m: m["files"].update({"../secret": "0" * 64}), "files"),
        (lambda m: m["files"].pop("model.bin"), "files"),
        (lambda m: m["files"].update({"model.bin": "short"}), "files"),
        (lambda m: m["preprocessing"].update(channels=2), "preprocessing.channels"),
        (lambda m: m["preprocessing"].update(std=0.0), "preprocessing.std"),
        (lambda m: m["preprocessing"].update(input_size=[10**9, 8]), "preprocessing.input_size"),
        (lambda m: m["operating_point"].update(threshold=float("nan")), "operating_point.thresh"),
        (lambda m: m["operating_point"].update(components="some"), "operating_point.components"),
    ],
)
def test_a_wrong_entry_is_named(folder: Path, change: Callable[..., Any], entry: str) -> None:
    edit(folder, change)
    with pytest.raises(BundleError, match=f"entry '{entry}"):
        load_bundle(folder)


def test_sizes_are_limited_before_reading(folder: Path) -> None:
    with (folder / "model.bin").open("r+b") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(BundleError, match="over the limit of 1024 MiB"):
        load_bundle(folder)
    with (folder / MANIFEST_FILE).open("r+b") as file:
        file.truncate((1 << 20) + 1)
    with pytest.raises(BundleError, match="over the limit of 1 MiB"):
        load_bundle(folder)


def rewritten_check(folder: Path, made: Bundle, **arrays: Any) -> Bundle:
    np.savez(folder / "check.npz", **arrays)
    facts = made.manifest.model_dump(exclude={"schema_version", "files"})
    return seal(folder, facts)


def test_check_data(made: Bundle, folder: Path) -> None:
    check = read_check(made)
    assert check.images.shape == (4, *SIZE, 3)
    good: dict[str, Any] = {"images": check.images, "masks": check.masks, "logits": check.logits}
    assert np.array_equal(read_check(rewritten_check(folder, made, **good)).logits, check.logits)
    wrong: list[dict[str, Any]] = [
        good | {"images": check.images[:, 1:]},
        good | {"images": check.images.astype(np.int16)},
        good | {"masks": check.masks[:1]},
        good | {"logits": check.logits.astype(np.float64)},
        good | {"logits": check.logits[:, 0]},
        good | {"logits": np.repeat(check.logits, 3, axis=1)},
        {name: array[:0] for name, array in good.items()},
    ]
    for arrays in wrong:
        with pytest.raises(BundleError, match=r"check\.npz: expected images"):
            read_check(rewritten_check(folder, made, **arrays))


def test_check_data_that_cannot_be_read(made: Bundle, folder: Path) -> None:
    unreadable: list[dict[str, Any]] = [
        {"images": np.zeros(1)},
        {"images": np.array([{}]), "masks": np.zeros(1), "logits": np.zeros(1)},
    ]
    for arrays in unreadable:
        with pytest.raises(BundleError, match=r"check\.npz: cannot be read"):
            read_check(rewritten_check(folder, made, **arrays))
    (folder / "check.npz").write_bytes(b"no zip")
    with pytest.raises(BundleError, match=r"check\.npz: cannot be read"):
        read_check(Bundle(folder, made.manifest, made.id))


def test_a_check_file_that_unpacks_too_large(made: Bundle, folder: Path) -> None:
    np.savez_compressed(folder / "check.npz", images=np.zeros(300 << 20, np.uint8))
    with pytest.raises(BundleError, match="over the limit of 256 MiB"):
        read_check(Bundle(folder, made.manifest, made.id))

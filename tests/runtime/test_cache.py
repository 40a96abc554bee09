"""The cache of compiled models: where it is, that it is used, that it stands in nobody's way."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from featherseg.bundle import Bundle, load_bundle
from featherseg.preprocess import Preprocessing
from featherseg.runtime import cache, open_session
from featherseg.runtime.cache import model_cache
from tests.conftest import Cli
from tests.tiny import SIZE, blob_images, tiny_logits, write_tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("cache") / "bundle", channels=1)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("FEATHERSEG_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("platform", "place"),
    [
        ("linux", ".cache"),
        ("darwin", "Library/Caches"),
        ("win32", "AppData/Local"),
    ],
)
def test_the_place_is_that_of_the_platform(
    platform: str, place: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    found = model_cache()
    assert found == home / place / "featherseg" / "models"
    assert found.is_dir()
    assert found.stat().st_mode & 0o077 == 0


def test_what_the_environment_says_goes_before(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    assert model_cache() == home / "xdg" / "featherseg" / "models"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert model_cache() == home / ".cache" / "featherseg" / "models"
    monkeypatch.setenv("FEATHERSEG_CACHE", str(home / "mine"))
    assert model_cache() == home / "mine" / "models"
    monkeypatch.setenv("FEATHERSEG_CACHE", "off")
    assert model_cache() is None
    monkeypatch.delenv("FEATHERSEG_CACHE")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(home / "local"))
    assert model_cache() == home / "local" / "featherseg" / "models"


def test_a_place_that_cannot_be_used_is_not(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("no folder")
    monkeypatch.setenv("FEATHERSEG_CACHE", str(home / "file"))
    assert model_cache() is None
    monkeypatch.setenv("FEATHERSEG_CACHE", str(home / "open"))
    found = model_cache()
    assert found is not None
    found.chmod(0o777)
    assert model_cache() is None, "others could put a model there"
    found.chmod(0o700)
    assert model_cache() == found
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    assert model_cache() is None
    monkeypatch.delenv("FEATHERSEG_CACHE")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert model_cache() is None


def test_only_the_newest_models_are_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_MOST_FILES", 3)
    folder = model_cache()
    assert folder is not None
    for age in range(6):
        blob = folder / f"{age}.blob"
        blob.write_bytes(b"model")
        os.utime(blob, (1000 - age, 1000 - age))
    (folder / "notes.txt").write_text("not a model")
    model_cache()
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["0.blob", "1.blob", "2.blob", "notes.txt"]


def test_a_session_comes_out_of_the_cache_the_same(bundle: Bundle, tmp_path: Path) -> None:
    images = blob_images(2, seed=1)[0][..., np.newaxis]
    batch = np.ascontiguousarray(images.transpose(0, 3, 1, 2) / np.float32(255), np.float32)
    expected = tiny_logits(batch, labels=1)
    masks = open_session(bundle, threads=1).masks(images)
    for count in range(3):
        session = open_session(bundle, "openvino", "f32", threads=1, cache_dir=tmp_path)
        np.testing.assert_allclose(session.logits(batch), expected, atol=2e-5)
        np.testing.assert_array_equal(session.masks(images), masks)
        blobs = sorted(path.name for path in tmp_path.glob("*.blob"))
        assert len(blobs) == 2, "one model for logits and one for masks"
        if count == 1:
            for blob in tmp_path.glob("*.blob"):
                blob.chmod(0o600)
                blob.write_bytes(blob.read_bytes()[:100])


def test_another_threshold_is_another_model(tmp_path: Path) -> None:
    """A stale mask from the cache would be wrong without a word."""
    from featherseg.postprocess import OperatingPoint
    from featherseg.runtime import MaskRule
    from featherseg.runtime.openvino import open_openvino

    made = write_tiny_bundle(tmp_path / "bundle", channels=1)
    images = np.full((1, *SIZE, 1), 115, np.uint8)
    found = []
    for threshold in (0.2, 0.9, 0.2):
        rule = MaskRule(Preprocessing(SIZE, 1), OperatingPoint(threshold))
        session = open_openvino(
            made.openvino_file, (1, *SIZE), "f32", rule=rule, threads=1, cache_dir=tmp_path
        )
        found.append(bool(session.masks(images)[0, 5, 5]))
    assert found == [True, False, True]


def test_a_cache_that_fails_stops_nothing(bundle: Bundle) -> None:
    batch = np.zeros((1, 1, *SIZE), np.float32)
    session = open_session(bundle, threads=1, cache_dir=Path("/proc/none/models"))
    np.testing.assert_allclose(session.logits(batch), tiny_logits(batch, labels=1), atol=2e-5)


def test_predict_uses_it_and_leaves_the_bundle_alone(
    bundle: Bundle, home: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    import cv2

    cv2.imwrite(str(home / "image.png"), blob_images(1, seed=1)[0][0])
    before = sorted(path.name for path in bundle.folder.iterdir())
    monkeypatch.setenv("FEATHERSEG_CACHE", str(home / "mine"))
    assert cli("predict", bundle.folder, home / "image.png", "--out", home / "a").code == 0
    assert len(list((home / "mine" / "models").glob("*.blob"))) == 1
    monkeypatch.setenv("FEATHERSEG_CACHE", "off")
    assert cli("predict", bundle.folder, home / "image.png", "--out", home / "b").code == 0
    first, second = ((home / name / "image.png").read_bytes() for name in "ab")
    assert first == second
    assert sorted(path.name for path in bundle.folder.iterdir()) == before
    load_bundle(bundle.folder)

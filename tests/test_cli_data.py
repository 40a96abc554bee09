"""`featherseg data`: what a person sees, and one line with status 2 for bad input."""

import json
import shutil
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from featherseg.datasets import load_dataset
from featherseg.datasets.pack import open_pack
from featherseg.datasets.phantom import write_phantom
from featherseg.splits import load_split
from featherseg.storage import sha256_json
from tests.conftest import Called

Cli = Callable[..., Called]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "phantoms"
    write_phantom(out, 8, 1, (72, 80))
    return out


@pytest.fixture
def data(phantoms: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(phantoms, tmp_path / "data"))


def refused(called: Called, *words: str) -> None:
    """Status 2, nothing on stdout, and one line on stderr that says each of `words`."""
    assert called.code == 2
    assert called.out == ""
    lines = [line for line in called.err.splitlines() if line.startswith("featherseg: ")]
    assert len(lines) == 1
    assert called.err.rstrip().endswith(lines[0])
    assert "Traceback" not in called.err
    for word in words:
        assert word in lines[0]


def split_of(cli: Cli, data: Path, out: Path) -> Path:
    arguments = ("--layout", "phantom", "--fractions", ".5", ".25", ".25", "--out", out)
    assert cli("data", "split", data, *arguments).code == 0
    return out


def test_phantom_then_audit_split_pack(cli: Cli, tmp_path: Path) -> None:
    data, layout = tmp_path / "p", ("--layout", "phantom")
    made = cli("data", "phantom", "--out", data, "--cases", 6, "--seed", 2, "--size", 64)
    assert (made.code, "6 simulated images" in made.out) == (0, True)
    assert cli("data", "audit", data, *layout).code == 0
    split = tmp_path / "split.json"
    dealt = cli("data", "split", data, *layout, "--folds", 3, "--seed", 5, "--out", split)
    assert dealt.code == 0
    assert all(f"fold {fold} " in dealt.out for fold in range(3))
    assert load_split(split).seed == 5
    packed = cli("data", "pack", data, *layout, "--size", 32, "--out", tmp_path / "a.pack")
    assert packed.code == 0
    assert open_pack(tmp_path / "a.pack").images.shape == (6, 32, 32, 3)
    gray = cli(
        "data", "pack", data, *layout, "--size", 32, "--channels", 1, "--out", tmp_path / "b.pack"
    )
    assert gray.code == 0
    assert open_pack(tmp_path / "b.pack").images.shape == (6, 32, 32, 1)


def test_audit_as_json(cli: Cli, data: Path) -> None:
    called = cli("data", "audit", data, "--layout", "phantom", "--json")
    assert called.code == 0
    content = json.loads(called.out)
    assert (content["images"], content["distinct"], content["unreadable"]) == (8, 8, [])
    assert content["expected"] == {}


def test_audit_as_a_table(cli: Cli, data: Path) -> None:
    for part in ("images", "masks"):
        shutil.copy(data / part / "phantom_0001.png", data / part / "copy [1].png")
    (data / "images/phantom_0003.png").write_bytes(b"no image")
    called = cli("data", "audit", data, "--layout", "folder")
    assert called.code == 1
    lines = called.out.splitlines()
    assert any(line.split() == ["Images", "9"] for line in lines)
    text = " ".join(called.out.replace("│", " ").split())
    assert "copy [1]; phantom_0001" in text
    assert "Unreadable files" in text
    assert "phantom_0003" in text
    assert "Split with featherseg data split" in text or "featherseg data" in text
    assert "Not found: masks of another size" in called.out


def test_audit_ends_with_1_when_a_duplicate_crosses(cli: Cli, data: Path, tmp_path: Path) -> None:
    for part in ("images", "masks"):
        shutil.copy(data / part / "phantom_0001.png", data / part / "copy.png")
    (data / "phantom.json").unlink()
    split = tmp_path / "split.json"
    layout = ("--layout", "folder")
    fractions = ("--fractions", ".5", ".25", ".25", "--seed", 0)
    assert cli("data", "split", data, *layout, *fractions, "--out", split).code == 0
    assert cli("data", "audit", data, *layout, "--split", split).code == 0

    content = json.loads(split.read_text())
    part = next(name for name, ids in content["subsets"].items() if "copy" in ids)
    other = next(name for name in content["subsets"] if name != part)
    content["subsets"][part].remove("copy")
    content["subsets"][other].append("copy")
    del content["sha256"]
    split.write_text(json.dumps({**content, "sha256": sha256_json(content)}))
    called = cli("data", "audit", data, *layout, "--split", split)
    assert called.code == 1
    assert "(duplicate): copy; phantom_0001" in called.err
    called = cli("data", "audit", data, *layout, "--split", split, "--json")
    assert called.code == 1
    (crossing,) = json.loads(called.out)["crossings"]
    assert sorted(crossing["parts"]) == sorted([part, other])


def test_audit_tells_of_a_split_that_was_changed(cli: Cli, data: Path, tmp_path: Path) -> None:
    split = split_of(cli, data, tmp_path / "split.json")
    split.write_text(split.read_text().replace('"seed": 0', '"seed": 1'))
    called = cli("data", "audit", data, "--layout", "phantom", "--split", split)
    assert called.code == 1
    assert "changed after it was made" in called.err


def test_nothing_is_overwritten_unasked(cli: Cli, data: Path, tmp_path: Path) -> None:
    split = split_of(cli, data, tmp_path / "split.json")
    before = split.read_text()
    arguments = ("data", "split", data, "--layout", "phantom", "--folds", 3, "--out", split)
    refused(cli(*arguments), "split.json exists", "--overwrite")
    assert split.read_text() == before
    assert cli(*arguments, "--overwrite").code == 0
    assert split.read_text() != before
    refused(cli("data", "phantom", "--out", data, "--cases", 2), "--overwrite")
    assert len(load_dataset(data, "phantom").cases) == 8
    again = cli("data", "phantom", "--out", data, "--cases", 2, "--size", 64, "--overwrite")
    assert again.code == 0
    assert len(load_dataset(data, "phantom").cases) == 2
    pack = ("data", "pack", data, "--layout", "phantom", "--size", 16, "--out")
    refused(cli(*pack, split), "exists", "--overwrite")
    refused(cli(*pack, tmp_path), "got a folder")


def test_a_missing_folder(cli: Cli, tmp_path: Path) -> None:
    for verb, *more in (
        ("audit",),
        ("split", "--folds", 3, "--out", tmp_path / "s"),
        ("pack", "--size", 16, "--out", tmp_path / "p"),
    ):
        called = cli("data", verb, tmp_path / "absent", "--layout", "busi", *more)
        refused(called, "absent: expected a data folder, found nothing")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_layout(cli: Cli, data: Path) -> None:
    refused(cli("data", "audit", data, "--layout", "phantoms"), "did you mean 'phantom'?")


def test_files_without_a_partner(cli: Cli, data: Path) -> None:
    (data / "masks/phantom_0002.png").rename(data / "kept.png")
    refused(cli("data", "audit", data, "--layout", "folder"), "none for phantom_0002.png", "mask")
    (data / "kept.png").rename(data / "masks/phantom_0002.png")
    (data / "images/phantom_0002.png").unlink()
    refused(cli("data", "audit", data, "--layout", "folder"), "none for phantom_0002.png", "image")


def spoil_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:500])


def spoil_16_bit(path: Path) -> None:
    cv2.imwrite(str(path.with_suffix(".tif")), np.full((72, 80), 300, np.uint16))
    path.unlink()


def spoil_float(path: Path) -> None:
    cv2.imwrite(str(path.with_suffix(".tif")), np.full((72, 80), 0.5, np.float32))
    path.unlink()


def spoil_tiny(path: Path) -> None:
    PIL.Image.new("L", (1, 1)).save(path)


def spoil_huge(path: Path) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    checksum = struct.pack(">I", zlib.crc32(header))
    content = struct.pack(">I", 13) + header + checksum + end
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


SPOILED: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (spoil_truncated, "truncated or damaged"),
    "16-bit": (spoil_16_bit, "expected 8 bits a channel, got more than 8 bits"),
    "float": (spoil_float, "expected 8 bits a channel, got 32-bit float"),
    "1x1": (spoil_tiny, "at least 8x8 pixels, got 1x1"),
    "30000x30000": (spoil_huge, "over the limit of 100 megapixels"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_bad_images(cli: Cli, data: Path, tmp_path: Path, name: str) -> None:
    spoil, message = SPOILED[name]
    spoil(data / "images/phantom_0004.png")
    layout, out = ("--layout", "phantom"), tmp_path / "out"
    refused(
        cli("data", "split", data, *layout, "--folds", 3, "--out", out), "phantom_0004", message
    )
    refused(cli("data", "pack", data, *layout, "--size", 16, "--out", out), "phantom_0004", message)
    assert not out.exists()
    called = cli("data", "audit", data, *layout, "--json")
    assert called.code == 1
    (unreadable,) = json.loads(called.out)["unreadable"]
    assert unreadable["case"] == "phantom_0004"
    assert message in unreadable["reason"]


def test_a_mask_of_another_size(cli: Cli, data: Path, tmp_path: Path) -> None:
    PIL.Image.new("L", (20, 30)).save(data / "masks/phantom_0004.png")
    pack = cli("data", "pack", data, "--layout", "phantom", "--size", 16, "--out", tmp_path / "p")
    refused(pack, "phantom_0004.png", "its image's size", "got 30x20")


def test_a_split_for_other_images(cli: Cli, data: Path, tmp_path: Path) -> None:
    split = split_of(cli, data, tmp_path / "split.json")
    shutil.copy(data / "images/phantom_0001.png", data / "images/phantom_0002.png")
    called = cli("data", "audit", data, "--layout", "phantom", "--split", split)
    refused(called, "made for other images")
    split.write_text("[]")
    refused(cli("data", "audit", data, "--layout", "phantom", "--split", split), "a split file")


def test_bad_shares(cli: Cli, data: Path, tmp_path: Path) -> None:
    split = ("data", "split", data, "--layout", "phantom", "--out", tmp_path / "s")
    refused(cli(*split), "expected one of --fractions, --folds")
    refused(cli(*split, "--folds", 2), "at least 3 folds")
    refused(cli(*split, "--folds", 9), "at least 9 groups")
    refused(cli(*split, "--fractions", ".7", ".2", ".2"), "add up to 1", "got 0.7 0.2 0.2")
    refused(cli("data", "phantom", "--out", tmp_path / "n", "--cases", 0), "at least 1 case")


def test_an_error_stops_the_bar_before_it_is_told(cli: Cli, data: Path) -> None:
    """Its thread would draw over the message and, later, wait for itself."""
    spoil_truncated(data / "images/phantom_0004.png")
    before = {thread.ident for thread in threading.enumerate()}
    for _ in range(3):
        called = cli("data", "pack", data, "--layout", "phantom", "--size", 16, "--out", data / "p")
        refused(called, "truncated")
    for thread in threading.enumerate():
        if thread.ident not in before:
            thread.join(timeout=5)
            assert not thread.is_alive()


def test_help_shows_an_example(cli: Cli) -> None:
    for verb in ("audit", "split", "pack", "phantom"):
        shown = cli("data", verb, "--help").out
        assert "Example" in shown
        assert f"featherseg data {verb} " in shown.split("Example")[1]

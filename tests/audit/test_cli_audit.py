"""`featherseg data audit` and `fix-outlines`: what a person sees, gets and is refused."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from featherseg.datasets import load_dataset
from featherseg.datasets.phantom import write_phantom
from featherseg.images import raster
from featherseg.types import Mask
from tests.conftest import Cli


def ring(root: Path, width: int) -> Mask:
    """An ellipse's line, or the whole of it for width -1, on the grid of phantom_0002."""
    drawn = np.zeros(raster.image_size(root / "images" / "phantom_0002.png"), np.uint8)
    cv2.ellipse(drawn, (30, 30), (25, 20), 0, 0, 360, 255, width)
    return drawn


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight phantoms as a plain folder, with a copy of one and a mask that is an outline."""
    root = tmp_path_factory.mktemp("made") / "data"
    write_phantom(root, 8, 1, (72, 80))
    (root / "phantom.json").unlink()
    for part in ("images", "masks"):
        shutil.copy(root / part / "phantom_0001.png", root / part / "copy <b>.png")
    PIL.Image.fromarray(ring(root, 1)).save(root / "masks" / "phantom_0002.png")
    return root


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "data"))


def test_the_page(cli: Cli, data: Path, tmp_path: Path) -> None:
    (data / "images" / "phantom_0005.png").write_bytes(b"no image")
    page = tmp_path / "page.html"
    arguments = ("data", "audit", data, "--layout", "folder", "--html", page)
    called = cli(*arguments)
    assert called.code == 1
    assert str(page) in called.out.replace("\n", "")
    text = page.read_text()
    assert "copy &lt;b&gt;" in text
    assert "copy <b>" not in text
    assert "Not usable as it is: 1 unreadable file" in text
    for key in ("unreadable", "outlines", "duplicate_groups", "exact_duplicates"):
        assert f'id="{key}"' in text
    assert "cannot be shown" in text
    assert "leaks across the split" not in text  # no split was given
    assert text.count("data:image/jpeg;base64,") >= 5
    # Nothing is fetched from anywhere, and nothing runs.
    assert "http://" not in text
    assert "https://" not in text
    assert "<script" not in text
    refused = cli(*arguments)
    assert (refused.code, "--overwrite" in refused.err) == (2, True)
    assert cli(*arguments, "--overwrite", "--json").code == 1


def test_a_page_stays_small_and_says_how_many_more_there_are(
    cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from featherseg.report import audit_page

    monkeypatch.setattr(audit_page, "_SHOWN", {"mend": 1, "judge": 1, "know": 1})
    for number in (3, 4):
        for part in ("images", "masks"):
            source = data / part / f"phantom_000{number}.png"
            shutil.copy(source, data / part / f"again{number}.png")
    page = tmp_path / "page.html"
    assert cli("data", "audit", data, "--layout", "folder", "--html", page).code == 0
    text = page.read_text()
    assert "and 2 more: all 3 by name" in text
    assert "again3; phantom_0003" in text


def test_a_split_made_elsewhere(cli: Cli, data: Path, tmp_path: Path) -> None:
    names = [case.id for case in load_dataset(data, "folder").cases]
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": names[:4], "test": names[4:-1]}))
    called = cli("data", "audit", data, "--layout", "folder", "--split", split)
    lies_apart = "copy <b>" in names[:4] and "phantom_0001" in names[:4]
    assert called.code == (0 if lies_apart else 1)
    assert "names no part for 1 of the images" in called.err
    others = [name for name in names if name != "phantom_0001"]
    split.write_text(json.dumps({"train": others, "test": ["phantom_0001.png"]}))
    called = cli("data", "audit", data, "--layout", "folder", "--split", split, "--json")
    assert called.code == 1
    (crossing,) = json.loads(called.out)["crossings"]
    assert (crossing["why"], crossing["parts"]) == ("duplicate", ["test", "train"])


def test_outlines_are_filled_in_a_new_folder(cli: Cli, data: Path, tmp_path: Path) -> None:
    rows = "\n".join(f"{case.id},p" for case in load_dataset(data, "folder").cases)
    (data / "groups.csv").write_text(f"id,group\n{rows}\n")
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    out = tmp_path / "new"
    arguments = ("data", "fix-outlines", data, "--layout", "folder", "--out")
    called = cli(*arguments, out)
    assert (called.code, "9 cases, the outlines of 1 filled" in called.out) == (0, True)
    whole = ring(data, -1)
    filled = raster.read_mask(out / "masks" / "phantom_0002.png")
    assert set(np.unique(filled)) == {0, 255}
    assert ((filled > 0) != (whole > 0)).mean() < 0.01
    for path, content in before.items():
        assert path.read_bytes() == content
        if path.name != "phantom_0002.png" or path.parent.name != "masks":
            assert (out / path.relative_to(data)).read_bytes() == content
    again = cli("data", "audit", out, "--layout", "folder", "--json")
    assert json.loads(again.out)["outlines"] == []
    assert cli(*arguments, out).code == 2
    assert cli(*arguments, out, "--overwrite").code == 0
    assert cli(*arguments, data / "inside").code == 2


def test_outlines_of_other_layouts_are_left_to_their_readers(cli: Cli, tmp_path: Path) -> None:
    write_phantom(tmp_path / "data", 3, 1, (64, 64))
    called = cli(
        "data", "fix-outlines", tmp_path / "data", "--layout", "phantom", "--out", tmp_path / "new"
    )
    assert (called.code, "expected the layout 'folder'" in called.err) == (2, True)
    assert not (tmp_path / "new").exists()

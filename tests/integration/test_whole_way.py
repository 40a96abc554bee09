"""From a folder of images to masks, through the command line, with one label and with several."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from featherseg.datasets.phantom import write_phantom
from tests.conftest import Cli

SMALL = (
    *("--set", "input_size=64", "--set", "epochs=2", "--set", "batch_size=4"),
    *("--set", "network_options={width: 4}"),
)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantom(folder, 16, seed=5, size=(96, 96))
    return folder


@pytest.fixture
def label_maps(phantoms: Path, tmp_path: Path) -> Path:
    """The phantoms as a folder with two labels: the upper and the lower part of each lesion."""
    folder = tmp_path / "labels"
    shutil.copytree(phantoms / "images", folder / "images")
    (folder / "masks").mkdir()
    for path in sorted((phantoms / "masks").iterdir()):
        mask = (stored(path) > 0).astype(np.uint8)
        rows = np.flatnonzero(mask.any(axis=1))
        if rows.size:
            mask[(rows[0] + rows[-1]) // 2 :] *= 2
        PIL.Image.fromarray(mask).save(folder / "masks" / path.name)
    (folder / "labels.json").write_text('{"1": "upper", "2": "lower"}')
    return folder


def stored(path: Path) -> NDArray[np.uint8]:
    """The values that stand in a gray PNG file."""
    with PIL.Image.open(path) as opened:
        assert opened.mode == "L"
        return np.array(opened, np.uint8)


def walk(cli: Cli, data: Path, layout: str, out: Path) -> None:
    """Split, train, evaluate, export, verify and predict; every step must end with 0."""
    split = ("--split", out / "split.json")
    common = ("--data", data, "--layout", layout)
    fractions = ("--fractions", 0.6, 0.2, 0.2)
    steps: tuple[tuple[object, ...], ...] = (
        ("data", "audit", data, "--layout", layout),
        ("data", "split", data, "--layout", layout, *fractions, "--seed", 1, "--out", split[1]),
        ("data", "audit", data, "--layout", layout, *split),
        ("train", "simplified_unet", *common, *split, "--out", out / "run", *SMALL),
        ("evaluate", out / "run", *common, "--subset", "test", "--out", out / "of-run"),
        ("export", out / "run", "--out", out / "bundle"),
        ("evaluate", out / "bundle", *common, *split, "--subset", "test", "--out", out / "scores"),
        ("verify", out / "bundle"),
        ("predict", out / "bundle", data / "images", "--out", out / "masks", "--overlay"),
        ("evaluate", out / "bundle", *common, "--subset", "all", "--out", out / "all"),
    )
    for step in steps:
        called = cli(*step)
        assert called.code == 0, (step, called.out, called.err)


def test_a_folder_becomes_a_bundle(cli: Cli, phantoms: Path, tmp_path: Path) -> None:
    walk(cli, phantoms, "phantom", tmp_path)
    of_run = json.loads((tmp_path / "of-run" / "summary.json").read_text())
    scores = json.loads((tmp_path / "scores" / "summary.json").read_text())
    # The bundle was compared with the run on validation images; on the test images they agree.
    assert scores["dice_all"]["mean"] == pytest.approx(of_run["dice_all"]["mean"], abs=1e-3)
    assert scores["subset"] == "test"
    assert scores["external"] is False
    assert scores["n"] == of_run["n"] > 0

    predictions = json.loads((tmp_path / "masks" / "predictions.json").read_text())
    assert len(predictions["images"]) == 16
    for entry in predictions["images"]:
        image = stored(phantoms / "images" / Path(entry["input"]).name)
        mask = stored(tmp_path / "masks" / entry["mask"])
        assert mask.shape == image.shape[:2]
        assert set(np.unique(mask)) <= {0, 255}
        assert entry["measurements"][0]["area_px"] == np.count_nonzero(mask)

    measured = cli("measure", tmp_path / "masks" / predictions["images"][0]["mask"], "--json")
    assert measured.code == 0
    assert json.loads(measured.out)


def test_label_maps_work_from_end_to_end(cli: Cli, label_maps: Path, tmp_path: Path) -> None:
    walk(cli, label_maps, "folder", tmp_path)
    scores = json.loads((tmp_path / "scores" / "summary.json").read_text())
    assert set(scores["per_label"]) == {"upper", "lower"}
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert manifest["labels"] == ["upper", "lower"]
    predictions = json.loads((tmp_path / "masks" / "predictions.json").read_text())
    for entry in predictions["images"]:
        mask = stored(tmp_path / "masks" / entry["mask"])
        assert set(np.unique(mask)) <= {0, 1, 2}
        assert [each["label"] for each in entry["measurements"]] == ["upper", "lower"]


def test_predicting_imports_no_torch(cli: Cli, phantoms: Path, tmp_path: Path) -> None:
    from tests.tiny import write_tiny_bundle

    write_tiny_bundle(tmp_path / "bundle")
    program = (
        "import sys; from featherseg.cli import app;"
        "app(sys.argv[1:], standalone_mode=False);"
        "print(sorted({'torch', 'scipy', 'matplotlib', 'pandas'} & set(sys.modules)))"
    )
    arguments = ("predict", tmp_path / "bundle", phantoms / "images", "--out", tmp_path / "masks")
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("[]"), done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_demo_reaches_its_score(cli: Cli, tmp_path: Path) -> None:
    called = cli("demo", "--out", tmp_path / "demo")
    assert called.code == 0, called.err
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert summary["test"]["dice_lesion"]["mean"] >= 0.85
    assert summary["test"]["n"] >= 30
    assert called.out.strip().endswith(summary["report"])
    page = (tmp_path / "demo" / summary["report"]).read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_the_demo_removes_nothing_that_it_has_not_made(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    (tmp_path / "data").mkdir()
    called = cli("demo", "--out", tmp_path)
    assert called.code == 2
    assert "--overwrite" in called.err
    forced = cli("demo", "--out", tmp_path, "--overwrite")
    assert forced.code == 2
    assert "no demo made" in forced.err
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", "data"}

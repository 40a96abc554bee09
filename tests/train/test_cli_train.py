"""The verb `train`: from a folder or a pack to a run, and what it refuses with status 2."""

import json
import shutil
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from featherseg.datasets import load_dataset
from featherseg.datasets.pack import pack, save_pack
from featherseg.datasets.phantom import write_phantom
from featherseg.duplicates import find_duplicates
from featherseg.splits import make_split, save_split
from tests.conftest import Cli

SMALL = ["--set", "input_size=32", "--set", "network_options.width=2", "--set", "epochs=1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ten phantoms, a split, a split in folds, and a pack."""
    root = tmp_path_factory.mktemp("train")
    write_phantom(root / "data", 10, seed=0, size=(64, 64))
    dataset = load_dataset(root / "data", "phantom")
    duplicates = find_duplicates(dataset)
    split = make_split(dataset, duplicates, fractions=(0.6, 0.2, 0.2), seed=0)
    save_split(split, root / "split.json")
    save_split(make_split(dataset, duplicates, folds=3, seed=0), root / "folds.json")
    save_pack(pack(dataset, (32, 32), 3), root / "data.pack")
    return root


def arguments(made: Path, run: Path, **changes: Any) -> list[str]:
    given = {"data": made / "data", "layout": "phantom", "split": made / "split.json", "out": run}
    given |= changes
    options = [(f"--{name}", str(value)) for name, value in given.items() if value is not None]
    return ["train", "simplified_unet", *(part for option in options for part in option), *SMALL]


def test_a_folder_becomes_a_run_and_is_not_overwritten(
    made: Path, tmp_path: Path, cli: Cli
) -> None:
    out = tmp_path / "run"
    done = cli(*arguments(made, out))
    assert done.code == 0, done.err
    assert f"trained: {out}" in done.out
    assert f"featherseg evaluate {out} --data {made / 'data'} --layout phantom" in done.out
    assert f"featherseg export {out}" in done.out
    content = json.loads((out / "run.json").read_text())
    split = json.loads((made / "split.json").read_text())
    assert json.loads((out / "split.json").read_text()) == split
    assert (content["layout"], content["protocol"]) == ("phantom", split["protocol"])
    assert content["split_sha256"] == split["sha256"]
    assert content["images_sha256"] == split["images_sha256"]
    again = cli(*arguments(made, out))
    assert again.code == 2
    assert "is not empty; go on with the run in it by --resume" in again.err
    assert cli(*arguments(made, out), "--resume").code == 0
    changed = cli(*arguments(made, out), "--resume", "--set", "lr=1")
    assert changed.code == 2
    assert "the recipe has changed in lr" in changed.err


def test_a_pack_and_a_fold(made: Path, tmp_path: Path, cli: Cli) -> None:
    changes = {"data": made / "data.pack", "layout": None, "split": made / "folds.json"}
    assert cli(*arguments(made, tmp_path / "run", **changes, fold=1)).code == 0
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    folds = json.loads((made / "folds.json").read_text())["folds"]
    assert content["fold"] == 1
    assert content["images"] == {"train": len(folds[0]), "validation": len(folds[2])}
    refused = cli(*arguments(made, tmp_path / "other", **changes))
    assert refused.code == 2
    assert "expected a fold from 0 to 2" in refused.err


def test_curves_for_tensorboard_are_written_on_request(
    made: Path, tmp_path: Path, cli: Cli
) -> None:
    for name, more in (("with", ["--tensorboard"]), ("without", [])):
        done = cli(*arguments(made, tmp_path / name), *more)
        assert done.code == 0, done.err
        assert (tmp_path / name / "tensorboard").exists() == bool(more)
    (events,) = (tmp_path / "with" / "tensorboard").iterdir()
    assert b"dice/validation" in events.read_bytes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": "nowhere"}, "nowhere: expected a data folder, found nothing"),
        ({"layout": "phantoms"}, "did you mean 'phantom'"),
        ({"split": "none.json"}, "none.json"),
        ({"out": __file__}, "expected a folder for the run, found a file"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    changes: dict[str, Any], words: str, made: Path, tmp_path: Path, cli: Cli
) -> None:
    done = cli(*arguments(made, tmp_path / "run", **changes))
    assert done.code == 2
    assert words in done.err
    assert done.err.strip().splitlines()[-1].startswith("featherseg: ")
    assert not (tmp_path / "run").exists()


def test_a_split_or_pack_of_other_images_is_refused(made: Path, tmp_path: Path, cli: Cli) -> None:
    shutil.copytree(made / "data", tmp_path / "data")
    image = min((tmp_path / "data" / "images").iterdir())
    PIL.Image.open(image).rotate(180).save(image)
    done = cli(*arguments(made, tmp_path / "run", data=tmp_path / "data"))
    assert done.code == 2
    assert "made for other images" in done.err
    save_pack(pack(load_dataset(tmp_path / "data", "phantom"), (32, 32), 3), tmp_path / "x.pack")
    done = cli(*arguments(made, tmp_path / "run", data=tmp_path / "x.pack"))
    assert done.code == 2
    assert "made for other images than those of this pack" in done.err


def test_unknown_settings_are_named(made: Path, tmp_path: Path, cli: Cli) -> None:
    done = cli(*arguments(made, tmp_path / "run"), "--set", "epohcs=3")
    assert done.code == 2
    assert "unknown key 'epohcs'; did you mean epochs?" in done.err

"""`featherseg compare`: files, tables, pictures, and what is refused."""

import json
from pathlib import Path

import PIL.Image
import pytest

from featherseg.datasets.phantom import write_phantom
from tests.compare.tables import GOOD, POOR, found_masks, table, truth_masks, write_evaluation
from tests.conftest import Cli
from tests.scoring import write_folder
from tests.tiny import blob_images, write_tiny_bundle

FOUND = {"good": found_masks(GOOD), "poor": found_masks(POOR, alarm=True)}
FILES = {"comparison.csv", "comparison.json", "comparison.html"}


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [write_evaluation(tmp_path / name, table(FOUND[name])) for name in FOUND]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "data", truth_masks())


def write_masks(folder: Path, name: str) -> Path:
    folder.mkdir()
    for case, mask in FOUND[name].items():
        PIL.Image.fromarray(mask * 255).save(folder / f"{case}.png")
    return folder


def test_three_files_and_a_table(cli: Cli, folders: list[Path], tmp_path: Path) -> None:
    called = cli("compare", *folders, "--out", tmp_path / "out")
    assert called.code == 0, called.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    printed = " ".join(called.out.split())
    for expected in ("compared with good", "HD95 (px)", "worse", "baseline", "all empty", "note:"):
        assert expected in printed
    # The tables fit a terminal of 80 columns.
    assert max(len(line) for line in called.out.splitlines() if "│" in line) <= 80
    stored = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert stored["metrics"]["dice_lesion"]["runs"]["poor"]["versus"]["verdict"] == "worse"
    assert str(tmp_path) not in (tmp_path / "out" / "comparison.html").read_text()


def test_json_alone_on_stdout(cli: Cli, folders: list[Path], tmp_path: Path) -> None:
    how = ("--metric", "dice_all, nsd", "--reference", "poor", "--json")
    called = cli("compare", *folders, "--out", tmp_path / "out", *how)
    printed = json.loads(called.out)
    assert list(printed["metrics"]) == ["dice_all", "nsd"]
    assert printed["reference"] == "poor"
    assert printed == json.loads((tmp_path / "out" / "comparison.json").read_text())


def test_nothing_is_overwritten_unasked(cli: Cli, folders: list[Path], tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out", "--metric", "dice_all")
    assert cli("compare", *folders, *out).code == 0
    again = cli("compare", *folders, *out)
    assert (again.code, "--overwrite" in again.err) == (2, True)
    assert cli("compare", *folders, *out, "--overwrite").code == 0


def test_masks_of_a_folder_are_drawn(
    cli: Cli, folders: list[Path], data: Path, tmp_path: Path
) -> None:
    masks = [f"{name}={write_masks(tmp_path / f'{name}-masks', name)}" for name in FOUND]
    how = ("--data", data, "--layout", "folder", "--masks", masks[0], "--masks", masks[1])
    only = ("--metric", "dice_all")
    called = cli("compare", *folders, "--out", tmp_path / "out", *how, *only)
    assert called.code == 0, called.err
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert page.count("<img ") == 6 * 4


def test_a_model_draws_its_masks_again(cli: Cli, tmp_path: Path) -> None:
    images, masks = blob_images(8, seed=3)
    for part, arrays in (("images", images), ("masks", masks * 255)):
        (tmp_path / "blobs" / part).mkdir(parents=True)
        for number, pixels in enumerate(arrays):
            path = tmp_path / "blobs" / part / f"case{number}.png"
            PIL.Image.fromarray(pixels).save(path)
    bundle = write_tiny_bundle(tmp_path / "bundle").folder
    data = ("--data", tmp_path / "blobs", "--layout", "folder")
    for name in ("a", "b"):
        out = ("--subset", "all", "--out", tmp_path / name)
        assert cli("evaluate", bundle, *data, *out).code == 0
    evaluations = (tmp_path / "a", tmp_path / "b")
    how = ("--model", f"a={bundle}", "--metric", "dice_all")
    called = cli("compare", *evaluations, *data, *how, "--out", tmp_path / "out")
    assert called.code == 0, called.err
    assert "tie" in called.out
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert page.count("<img ") == 6 * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--metric", "dicee"), "did you mean 'dice"),
        (("--reference", "none"), "expected the reference out of good, poor"),
        (("--data", "DATA"), "pictures need --data and --layout"),
        (("--masks", "good=x"), "pictures need --data and --layout"),
        (("--data", "DATA", "--layout", "folder", "--masks", "nobody=x"), "NAME out of good, poor"),
        (("--data", "DATA", "--layout", "folder", "--masks", "good"), "expected NAME=PATH"),
        (("--data", "DATA", "--layout", "folder", "--masks", "good=none"), "a folder of masks"),
        (("--data", "DATA", "--layout", "folder", "--model", "good=none"), "expected a bundle"),
    ],
)
def test_bad_input_is_one_line(
    cli: Cli,
    folders: list[Path],
    data: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    message: str,
) -> None:
    given = [str(data) if option == "DATA" else option for option in options]
    called = cli("compare", *folders, "--out", tmp_path / "out", *given)
    assert called.code == 2
    assert message in called.err
    assert called.err.startswith("featherseg: ")
    assert called.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_masks_given_twice_or_not_for_every_case_are_refused(
    cli: Cli, folders: list[Path], data: Path, tmp_path: Path
) -> None:
    masks = write_masks(tmp_path / "m", "good")
    common = ("compare", *folders, "--out", tmp_path / "out", "--data", data, "--layout", "folder")
    twice = cli(*common, "--masks", f"good={masks}", "--masks", f"good={masks}")
    assert (twice.code, "given twice" in twice.err) == (2, True)
    for path in masks.glob("case*.png"):
        path.unlink()
    fewer = cli(*common, "--masks", f"good={masks}")
    assert (fewer.code, "expected a mask called case" in fewer.err) == (2, True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_trainings_are_compared_on_their_test_images(cli: Cli, tmp_path: Path) -> None:
    write_phantom(tmp_path / "data", 60, seed=7, size=(96, 96))
    data = ("--data", tmp_path / "data", "--layout", "phantom")
    split = tmp_path / "split.json"
    dealt = ("--fractions", 0.4, 0.2, 0.4, "--seed", 1, "--out", split)
    assert cli("data", "split", tmp_path / "data", "--layout", "phantom", *dealt).code == 0
    tiny = (
        "--set",
        "input_size=64",
        "--set",
        "batch_size=4",
        "--set",
        "network_options={width: 8}",
    )
    epochs = {"trained": 12, "hardly": 1}
    for name, count in epochs.items():
        out = tmp_path / name
        seed = ("--set", f"seed={count}", "--set", f"epochs={count}")
        how = (*data, "--split", split, "--out", out / "run", *tiny, *seed)
        called = cli("train", "simplified_unet", *how)
        assert called.code == 0, called.err
        scored = cli("evaluate", out / "run", *data, "--subset", "test", "--out", out / "scores")
        assert scored.code == 0, scored.err
    models = [f"{name}/scores={tmp_path / name / 'run'}" for name in epochs]
    called = cli(
        "compare",
        *(tmp_path / name / "scores" for name in epochs),
        *data,
        *("--model", models[0], "--model", models[1], "--json", "--out", tmp_path / "out"),
    )
    assert called.code == 0, called.err
    compared = json.loads(called.out)
    assert compared["reference"] == "trained/scores"
    found = compared["metrics"]["dice_lesion"]["runs"]["hardly/scores"]["versus"]
    assert found["verdict"] == "worse"
    assert found["high"] < 0
    assert compared["laednet_p"]["hardly/scores"] < 0.05
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert page.count("<img ") == 6 * 4

"""`featherseg data export`: a split, predictions to correct, and what is refused."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from featherseg.cli import app
from featherseg.datasets import load_dataset, read_case
from featherseg.datasets.exchange.nifti import write_nifti
from featherseg.splits import load_split, subset
from tests.conftest import REPOSITORY, Cli
from tests.scoring import blank, box, write_folder
from tests.tiny import write_tiny_bundle

MASKS = {f"a ({n})": box(5, n) if n % 3 else blank() for n in range(1, 10)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "data", MASKS)


def test_the_same_split_goes_out(cli: Cli, data: Path, tmp_path: Path) -> None:
    common = (data, "--layout", "folder")
    split = tmp_path / "split.json"
    made = cli("data", "split", *common, "--folds", 3, "--out", split)
    assert made.code == 0, made.err
    called = cli(
        "data", "export", *common, "--to", "nnunet", "--out", tmp_path / "raw", "--split", split,
        "--fold", 1, "--name", "Boxes", "--number", 7,
    )  # fmt: skip
    assert called.code == 0, called.err
    root = tmp_path / "raw" / "Dataset007_Boxes"
    assert "train 3, validation 3, test 3" in called.out
    known = json.loads((root / "names.json").read_text())["cases"]
    tests = {known[path.stem]["id"] for path in (root / "labelsTs").iterdir()}
    assert tests == set(subset(load_split(split), "test", 1))
    refused = cli(
        "data", "export", *common, "--to", "coco", "--out", tmp_path / "c", "--split", split
    )
    assert (refused.code, "expected a fold from 0 to 2" in refused.err) == (2, True)
    refused = cli("data", "export", *common, "--to", "coco", "--out", tmp_path / "c", "--fold", 1)
    assert (refused.code, "--fold belongs to a split" in refused.err) == (2, True)


@pytest.mark.parametrize("layout", ["images", "folder"])
def test_predictions_are_corrected_elsewhere_and_read_back(
    cli: Cli, data: Path, tmp_path: Path, layout: str
) -> None:
    write_tiny_bundle(tmp_path / "bundle")
    images = data / "images"
    for path in ("a (8).png", "a (9).png"):
        (tmp_path / "few").mkdir(exist_ok=True)
        (tmp_path / "few" / path).write_bytes((images / path).read_bytes())
    made = cli(
        "predict", tmp_path / "bundle", tmp_path / "few", "--out", tmp_path / "p", "--overlay"
    )
    assert made.code == 0, made.err
    source = images if layout == "images" else data
    called = cli(
        "data", "export", source, "--layout", layout, "--masks", tmp_path / "p", "--to", "nifti",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert called.code == 0, called.err
    assert "7 of 9 cases have no mask" in called.err
    back = load_dataset(tmp_path / "out", "nifti")
    assert [case.id for case in back.cases] == ["a (8)", "a (9)"]
    _, found = read_case(back, back.cases[0])
    predicted = load_dataset(write_folder(tmp_path / "check", {"x": found}), "folder")
    assert read_case(predicted, predicted.cases[0])[1].any() == found.any()
    # What an editor saves is what is read.
    corrected = np.zeros_like(found)
    corrected[3:9, 4:11] = 1
    write_nifti(back.cases[0].masks[0], corrected, None)
    np.testing.assert_array_equal(read_case(back, back.cases[0])[1], corrected)


def test_predictions_of_several_labels_keep_them(cli: Cli, tmp_path: Path) -> None:
    labels = ("head", "body")
    masks = {"a": box(5, 5) + box(18, 18, label=2), "b": blank()}
    data = write_folder(tmp_path / "data", masks, labels)
    found = write_folder(tmp_path / "found", {"a": box(2, 2, label=2)}, labels) / "masks"
    common = ("data", "export", data, "--layout", "folder", "--masks", found, "--to")
    assert cli(*common, "coco", "--out", tmp_path / "coco").code == 0
    back = load_dataset(tmp_path / "coco", "coco")
    assert (back.labels, [case.id for case in back.cases]) == (labels, ["a"])
    np.testing.assert_array_equal(read_case(back, back.cases[0])[1], box(2, 2, label=2))
    (found / "predictions.json").write_text(
        '{"labels": ["lesion"], "images": [{"input": "a.png", "mask": "a.png"}]}'
    )
    refused = cli(*common, "coco", "--out", tmp_path / "c")
    assert (refused.code, "expected masks of the labels head, body" in refused.err) == (2, True)


def test_what_makes_no_sense_is_refused(cli: Cli, data: Path, tmp_path: Path) -> None:
    common = ("data", "export", data, "--layout", "folder", "--out", tmp_path / "out", "--to")
    strangers = write_folder(tmp_path / "other", {"stranger": blank()}) / "masks"
    wrong = write_folder(tmp_path / "wrong", {"a (1)": box(0, 0)[:20]}) / "masks"
    for arguments, message in (
        (("coco", "--size", 64), "--size is for --to npz"),
        (("nnunet", "--name", "a b"), "expected letters, digits and _"),
        (("nnunet", "--number", 0), "from 1 to 999, got 0"),
        (("npz", "--size", 4), "at least 8 pixels"),
        (("coco", "--masks", strangers), "expected masks of cases in"),
        (("coco", "--masks", wrong), "its image's size 30x40, got 20x40"),
    ):
        called = cli(*common, *arguments)
        assert called.code == 2
        assert message in called.err
        assert called.err.strip().count("\n") <= 1
    plain = cli(
        "data", "export", data, "--layout", "images", "--to", "coco", "--out", tmp_path / "o"
    )
    assert (plain.code, "give --masks" in plain.err) == (2, True)


def test_an_occupied_folder_is_refused_unless_asked(cli: Cli, data: Path, tmp_path: Path) -> None:
    common = ("data", "export", data, "--layout", "folder", "--to", "coco", "--out", tmp_path / "o")
    assert cli(*common).code == 0
    refused = cli(*common)
    assert (refused.code, "--overwrite" in refused.err) == (2, True)
    assert cli(*common, "--overwrite").code == 0


DOCUMENT = (REPOSITORY / "docs" / "exchange.md").read_text()


def documented() -> list[str]:
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", DOCUMENT, flags=re.DOTALL))
    return [line for line in shell.splitlines() if line.startswith("featherseg ")]


@pytest.mark.parametrize("line", documented())
def test_every_documented_command_exists_with_its_options(line: str) -> None:
    command: Any = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_documented_lists_for_monai_are_files(
    cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = tmp_path / "split.json"
    common = (data, "--layout", "folder")
    shares = ("--fractions", 0.6, 0.2, 0.2)
    assert cli("data", "split", *common, *shares, "--out", split).code == 0
    raw = tmp_path / "nnUNet_raw"
    called = cli(
        "data",
        "export",
        *common,
        "--to",
        "nnunet",
        "--out",
        raw,
        "--split",
        split,
        "--name",
        "busi",
    )
    assert called.code == 0, called.err
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    scope: dict[str, Any] = {}
    exec(compile(example, "exchange.md", "exec"), scope)
    listed = [path for part in scope["files"].values() for pair in part for path in pair.values()]
    assert listed
    assert all(path.is_file() for path in listed)

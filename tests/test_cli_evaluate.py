"""`featherseg evaluate` and `summarize`: files, stamps, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from featherseg.bundle import Bundle
from featherseg.case_table import write_cases_csv
from featherseg.datasets import images_sha256, load_dataset
from featherseg.duplicates import Duplicates
from featherseg.splits import Split, make_split, save_split
from tests.conftest import Cli
from tests.scoring import blank, box, rows_of
from tests.tiny import blob_images, seal, tiny_facts, write_tiny_bundle

CASES = 9


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Nine images with a bright blob, as the tiny network finds it."""
    folder = tmp_path / "data"
    images, masks = blob_images(CASES, seed=3)
    for name, arrays in (("images", images), ("masks", masks * np.uint8(255))):
        (folder / name).mkdir(parents=True)
        for number, pixels in enumerate(arrays):
            PIL.Image.fromarray(pixels).save(folder / name / f"case{number}.png")
    return folder


def write_split(data: Path, out: Path, **how: Any) -> Split:
    dataset = load_dataset(data, "folder")
    split = make_split(dataset, Duplicates((), ()), seed=0, **how)
    save_split(split, out)
    return split


def bundle_of(folder: Path, images: str, split: str) -> Bundle:
    """A tiny bundle that says it was made from these images and this split."""
    write_tiny_bundle(folder)
    facts = tiny_facts(("lesion",), 3, blob_images(4, seed=1)[0])
    facts["sources"] |= {"images_sha256": images, "split_sha256": split}
    (folder / "manifest.json").unlink()
    return seal(folder, facts)


@pytest.fixture
def split(data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "split.json"
    write_split(data, path, fractions=(0.4, 0.3, 0.3))
    return path


@pytest.fixture
def bundle(data: Path, split: Path, tmp_path: Path) -> Path:
    sha256 = json.loads(split.read_text())["sha256"]
    images = images_sha256(load_dataset(data, "folder"))
    return bundle_of(tmp_path / "bundle", images, sha256).folder


def test_a_bundle_is_scored_on_its_test_subset(
    cli: Cli, data: Path, split: Path, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scores"
    common = ("--data", data, "--layout", "folder", "--split", split, "--out", out)
    called = cli("evaluate", bundle, *common, "--subset", "test")
    assert (called.code, called.err.count("Error")) == (0, 0), called.err
    assert "missed lesion: Dice" in called.out.replace("\n", " ")
    assert {path.name for path in out.iterdir()} == {"cases.csv", "summary.json", "report.html"}
    summary = json.loads((out / "summary.json").read_text())
    known = json.loads(split.read_text())
    assert (summary["subset"], summary["external"], summary["protocol"]) == ("test", False, "safe")
    assert summary["split_sha256"] == known["sha256"]
    assert summary["n"] == len(known["subsets"]["test"])
    assert summary["dice_lesion"]["mean"] > 0.9
    assert summary["chosen_on"] == "validation"
    assert summary["model"]["kind"] == "bundle"
    assert str(tmp_path) not in (out / "summary.json").read_text() + (out / "cases.csv").read_text()
    assert str(tmp_path) not in (out / "report.html").read_text()
    again = cli("summarize", out / "cases.csv", "--json")
    assert json.loads(again.out) == summary


def test_the_validation_subset_is_marked_as_having_chosen(
    cli: Cli, data: Path, split: Path, bundle: Path, tmp_path: Path
) -> None:
    common = ("--data", data, "--layout", "folder", "--split", split, "--out", tmp_path / "v")
    called = cli("evaluate", bundle, *common, "--subset", "validation")
    assert called.code == 0
    assert "these figures are too good" in called.out.replace("\n", " ")


def test_other_data_need_no_split_and_are_stamped_external(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    folder = write_tiny_bundle(tmp_path / "other").folder
    common = ("--data", data, "--layout", "folder", "--subset", "all", "--json")
    called = cli("evaluate", folder, *common, "--out", tmp_path / "e")
    assert called.code == 0, called.err
    summary = json.loads(called.out)
    assert (summary["external"], summary["split_sha256"], summary["n"]) == (True, None, CASES)
    assert summary["chosen_on"] == "validation of other data"
    assert (summary["nsd"]["tolerance"], summary["nsd"]["tolerance_unit"]) == (2.0, "px")
    table = (tmp_path / "e" / "cases.csv").read_text()
    assert table.count(",flagged,") == CASES
    assert "external data" in (tmp_path / "e" / "report.html").read_text()


def test_all_images_of_the_training_are_not_called_external(
    cli: Cli, data: Path, bundle: Path, tmp_path: Path
) -> None:
    common = ("--data", data, "--layout", "folder", "--subset", "all", "--json")
    called = cli("evaluate", bundle, *common, "--out", tmp_path / "e")
    assert json.loads(called.out)["external"] is False
    assert "how well it remembers" in (tmp_path / "e" / "report.html").read_text()


def test_the_groups_of_the_split_are_those_of_the_table(
    cli: Cli, data: Path, split: Path, bundle: Path, tmp_path: Path
) -> None:
    dataset = load_dataset(data, "folder")
    ids = tuple(case.id for case in dataset.cases)
    joined = make_split(dataset, Duplicates((ids[:3],), ()), fractions=(0.4, 0.3, 0.3), seed=0)
    save_split(joined, split)
    folder = bundle_of(tmp_path / "b2", joined.images_sha256, joined.sha256).folder
    common = ("--data", data, "--layout", "folder", "--split", split, "--subset", "all")
    called = cli("evaluate", folder, *common, "--out", tmp_path / "e", "--json")
    assert json.loads(called.out)["n_groups"] == CASES - 2


def test_a_fold_is_scored(cli: Cli, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "folds.json"
    split = write_split(data, path, folds=3)
    folder = bundle_of(tmp_path / "b", split.images_sha256, split.sha256).folder
    common = ("--data", data, "--layout", "folder", "--split", path, "--subset", "test", "--json")
    called = cli("evaluate", folder, *common, "--fold", 1, "--out", tmp_path / "e")
    assert json.loads(called.out)["n"] == len((split.folds or ())[1])
    refused = cli("evaluate", folder, *common, "--out", tmp_path / "f")
    assert (refused.code, "expected a fold from 0 to 2" in refused.err) == (2, True)


def test_a_subset_without_a_split_is_refused(
    cli: Cli, data: Path, bundle: Path, tmp_path: Path
) -> None:
    common = ("--data", data, "--layout", "folder", "--out", tmp_path / "e")
    called = cli("evaluate", bundle, *common, "--subset", "test")
    assert called.code == 2
    assert "give --split" in called.err
    assert not (tmp_path / "e").exists()


def test_another_split_of_the_training_images_is_refused(
    cli: Cli, data: Path, bundle: Path, tmp_path: Path
) -> None:
    write_split(data, tmp_path / "other.json", fractions=(0.3, 0.3, 0.4))
    common = ("--data", data, "--layout", "folder", "--split", tmp_path / "other.json")
    called = cli("evaluate", bundle, *common, "--subset", "test", "--out", tmp_path / "e")
    assert called.code == 2
    assert "trained with another split" in called.err


def test_what_is_no_model_is_refused(cli: Cli, data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, found in (("none", "nothing"), ("data", "a folder"), ("file", "a file")):
        common = ("--data", data, "--layout", "folder", "--subset", "all", "--out", tmp_path / "e")
        called = cli("evaluate", tmp_path / name, *common)
        assert called.code == 2
        assert f"expected a bundle (manifest.json) or a run (run.json), found {found}" in called.err


def test_an_occupied_folder_is_refused_unless_asked(
    cli: Cli, data: Path, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "e"
    out.mkdir()
    (out / "kept.txt").write_text("mine")
    common = ("--data", data, "--layout", "folder", "--subset", "all", "--out", out)
    refused = cli("evaluate", bundle, *common)
    assert (refused.code, "--overwrite" in refused.err) == (2, True)
    assert cli("evaluate", bundle, *common, "--overwrite").code == 0
    assert (out / "kept.txt").read_text() == "mine"


def test_summarize_prints_a_table_and_refuses_what_is_none(cli: Cli, tmp_path: Path) -> None:
    refused = cli("summarize", tmp_path / "none.csv")
    assert (refused.code, "found nothing" in refused.err) == (2, True)
    rows = [*rows_of("a", box(5, 5), box(5, 5), ("a", "benign")), *rows_of("b", box(5, 5), blank())]
    write_cases_csv(rows, tmp_path / "cases.csv")
    called = cli("summarize", tmp_path / "cases.csv")
    assert called.code == 0
    for text in (
        "2 images",
        "subset not stated",
        "0.500",
        "benign",
        "1 of 2 seen",
        "no such image",
    ):
        assert text in called.out


def test_several_labels_are_printed_one_by_one(cli: Cli, tmp_path: Path) -> None:
    write_cases_csv(rows_of("a", box(5, 5), box(5, 5), labels=("head", "body")), tmp_path / "t.csv")
    called = cli("summarize", tmp_path / "t.csv")
    assert "label" in called.out
    assert "body" in called.out


def test_a_tolerance_that_is_none_is_refused(cli: Cli, data: Path, tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "other").folder
    common = ("--data", data, "--layout", "folder", "--subset", "all", "--out", tmp_path / "e")
    called = cli("evaluate", folder, *common, "--nsd-tolerance-mm", "inf")
    assert called.code == 2
    assert "expected a tolerance of nsd from 0 mm on, got inf" in called.err

"""Leaks are found in any split file, and what is none is refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from featherseg.audit.leaks import GivenSplit, crossings, read_given_split, unassigned
from featherseg.datasets import Dataset, load_dataset
from featherseg.datasets.phantom import write_phantom
from featherseg.duplicates import Duplicates
from featherseg.errors import DataError
from featherseg.splits import make_split, save_split


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("leaks") / "data"
    write_phantom(root, 6, 1, (64, 64))
    return load_dataset(root, "phantom")


def names(dataset: Dataset) -> list[str]:
    return [case.id for case in dataset.cases]


def given(tmp_path: Path, content: Any, dataset: Dataset) -> GivenSplit:
    path = tmp_path / "split.json"
    path.write_text(json.dumps(content))
    return read_given_split(path, dataset)


def found(dataset: Dataset, split: GivenSplit) -> list[tuple[str, tuple[str, ...]]]:
    first, second, *_ = names(dataset)
    duplicates = Duplicates(((first, second),), ())
    return [(one.why, one.parts) for one in crossings(dataset, duplicates, split)]


def test_forms_of_one_split(tmp_path: Path, dataset: Dataset) -> None:
    a, b, c, d, e, f = names(dataset)
    forms: list[Any] = [
        {"train": [a, c, e], "test": [b, d, f]},
        {"train": [f"images/{a}.png", f"{c}.png", f"{e}_0000.nii.gz"], "test": [b, d, f]},
        {"train": [{"image": a}, {"image": c}, {"image": e}], "test": [b, d, f]},
        {a: "train", b: "test", c: "train", d: "test", e: "train", f: "test"},
    ]
    for form in forms:
        split = given(tmp_path, form, dataset)
        assert found(dataset, split) == [("duplicate", ("test", "train"))]
        assert unassigned(dataset, split) == ()
        assert (split.not_in_data, split.is_intact) == ((), None)
    rows = [f"{name},{'train' if name in (a, c, e) else 'test'}" for name in names(dataset)]
    path = tmp_path / "split.csv"
    path.write_text("\ufeffImage,Subset\n" + "\n".join(rows) + "\n")
    assert found(dataset, read_given_split(path, dataset)) == [("duplicate", ("test", "train"))]
    path = tmp_path / "split.tsv"
    path.write_text("case\tfold\n" + "\n".join(row.replace(",", "\t") for row in rows) + "\n")
    assert found(dataset, read_given_split(path, dataset)) == [("duplicate", ("test", "train"))]


def test_a_split_without_leaks(tmp_path: Path, dataset: Dataset) -> None:
    a, b, c, d, e, f = names(dataset)
    assert found(dataset, given(tmp_path, {"train": [a, b], "test": [c, d, e, f]}, dataset)) == []


def test_folds_of_nnunet_are_looked_through_one_by_one(tmp_path: Path, dataset: Dataset) -> None:
    a, b, c, d, e, f = names(dataset)
    folds = [
        {"train": [c, d, e, f], "val": [a, b]},
        {"train": [a, b, e, f], "val": [c, d]},
    ]
    assert found(dataset, given(tmp_path, folds, dataset)) == []
    folds.append({"train": [a, c, d, e, f], "val": [b]})
    leaks = found(dataset, given(tmp_path, folds, dataset))
    assert leaks == [("duplicate", ("fold 2 train", "fold 2 val"))]


def test_a_case_in_two_parts_and_cases_in_none(tmp_path: Path, dataset: Dataset) -> None:
    a, b, c, d, e, f = names(dataset)
    split = given(tmp_path, {"train": [a, b, c], "test": [c, d, "other"]}, dataset)
    assert found(dataset, split) == [("case", ("test", "train"))]
    assert unassigned(dataset, split) == (e, f)
    assert split.not_in_data == ("other",)


def test_our_own_file(tmp_path: Path, dataset: Dataset) -> None:
    a, b, *_ = names(dataset)
    split = make_split(dataset, Duplicates(((a, b),), ()), folds=3, seed=0)
    save_split(split, tmp_path / "split.json")
    read = read_given_split(tmp_path / "split.json", dataset)
    assert read.is_intact
    assert found(dataset, read) == []


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", "[1]", '"train"', "{", '{"train": []}', '{"train": [[1]]}', '{"train": [null]}',
     '{"train": ["unknown"]}', '{"a": {"b": 1}}', '{"schema": 1}'],
)  # fmt: skip
def test_what_is_no_split(tmp_path: Path, dataset: Dataset, content: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"split\.json") as raised:
        read_given_split(path, dataset)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "case,other\nx,y\n", "case,split\nx,y\n"])
def test_what_is_no_csv(tmp_path: Path, dataset: Dataset, content: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=r"split\.csv"):
        read_given_split(path, dataset)


def test_files_that_are_missing_or_too_large(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("absent.json", "absent.csv"):
        with pytest.raises(DataError, match="found nothing"):
            read_given_split(tmp_path / name, dataset)
    monkeypatch.setattr("featherseg.audit.leaks._LARGEST_BYTES", 3)
    (tmp_path / "large.json").write_text("[1, 2]")
    with pytest.raises(DataError, match="at most 64 MB"):
        read_given_split(tmp_path / "large.json", dataset)

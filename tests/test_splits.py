"""Splits: nothing crosses, nothing is lost, classes are even, files are what they say."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featherseg.datasets import Dataset, load_dataset
from featherseg.datasets.phantom import write_phantom
from featherseg.duplicates import Duplicates, find_duplicates
from featherseg.errors import DataError
from featherseg.splits import (
    SUBSETS,
    Split,
    check_split,
    is_intact,
    load_split,
    make_split,
    parts_of,
    read_split,
    save_split,
    subset,
)
from featherseg.storage import sha256_json
from featherseg.types import Case

FRACTIONS = (0.7, 0.1, 0.2)


def made_up(
    monkeypatch: pytest.MonkeyPatch, cases: list[tuple[str, str]], layout: str = "folder"
) -> Dataset:
    """A data set of (group, class) without files; their hash is that of the names."""
    monkeypatch.setattr("featherseg.splits.file.images_sha256", names_sha256)
    found = tuple(
        Case(f"case {place}", group, Path(f"{place}.png"), (), label)
        for place, (group, label) in enumerate(cases)
    )
    return Dataset(layout, Path("data"), ("lesion",), found)


def names_sha256(dataset: Dataset) -> str:
    return sha256_json([case.id for case in dataset.cases])


def no_duplicates() -> Duplicates:
    return Duplicates((), ())


def same_picture(*groups: tuple[int, ...]) -> Duplicates:
    return Duplicates(tuple(tuple(f"case {n}" for n in group) for group in groups), ())


@st.composite
def drawn_datasets(draw: st.DrawFn) -> tuple[list[tuple[str, str]], list[list[int]]]:
    count = draw(st.integers(12, 60))
    groups = draw(st.lists(st.integers(0, count), min_size=count, max_size=count))
    labels = draw(
        st.lists(st.sampled_from(["benign", "malignant"]), min_size=count, max_size=count)
    )
    places = st.integers(0, count - 1)
    same = draw(st.lists(st.lists(places, min_size=2, max_size=4, unique=True), max_size=4))
    return [(f"g{g}", label) for g, label in zip(groups, labels, strict=True)], same


@given(drawn_datasets(), st.integers(0, 3), st.sampled_from([None, 3, 4]))
def test_nothing_crosses_and_nothing_is_lost(
    drawn: tuple[list[tuple[str, str]], list[list[int]]], seed: int, folds: int | None
) -> None:
    cases, same = drawn
    with pytest.MonkeyPatch.context() as monkeypatch:
        dataset = made_up(monkeypatch, cases)
        duplicates = same_picture(*map(tuple, same))
        fractions = None if folds else FRACTIONS
        try:
            split = make_split(dataset, duplicates, fractions=fractions, folds=folds, seed=seed)
        except DataError:
            joined = {name for group in duplicates.groups for name in group}
            assert len({case.group for case in dataset.cases}) < 4 + len(joined)
            return
    parts = parts_of(split)
    assert all(parts.values())
    listed = [name for ids in parts.values() for name in ids]
    assert sorted(listed) == sorted(case.id for case in dataset.cases)
    where = {name: part for part, ids in parts.items() for name in ids}
    together = [*duplicates.groups]
    for group in {case.group for case in dataset.cases}:
        together.append(tuple(case.id for case in dataset.cases if case.group == group))
    for names in together:
        assert len({where[name] for name in names}) == 1
        assert len({split.groups[name] for name in names}) == 1
    assert is_intact(split)


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_even(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Singles and pairs: each class is within one image of its share."""
    cases = [
        (f"g{n // 2 if n < 80 else n}", "benign" if n % 16 < 8 else "normal") for n in range(320)
    ]
    dataset = made_up(monkeypatch, cases)
    total = Counter(case.label for case in dataset.cases)
    labels = {case.id: case.label for case in dataset.cases}
    split = make_split(dataset, no_duplicates(), fractions=FRACTIONS, seed=seed)
    for name, share in zip(SUBSETS, FRACTIONS, strict=True):
        counts = Counter(labels[case] for case in subset(split, name))
        for label in total:
            assert abs(counts[label] - share * total[label]) <= 1
    folded = make_split(dataset, no_duplicates(), folds=5, seed=seed)
    for ids in folded.folds or ():
        counts = Counter(labels[case] for case in ids)
        assert all(abs(counts[label] - total[label] / 5) <= 1 for label in total)


def test_the_seed_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = made_up(monkeypatch, [(f"g{n}", "") for n in range(40)])
    splits = [make_split(dataset, no_duplicates(), fractions=FRACTIONS, seed=s) for s in (1, 1, 2)]
    assert splits[0] == splits[1]
    assert splits[0].subsets != splits[2].subsets
    assert splits[0].sha256 != splits[2].sha256


def test_the_deal_is_the_same_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = made_up(monkeypatch, [(f"g{n}", "ab"[n % 2]) for n in range(10)])
    split = make_split(dataset, no_duplicates(), fractions=(0.6, 0.2, 0.2), seed=0)
    assert split.subsets == {
        "train": ("case 0", "case 1", "case 6", "case 7", "case 8", "case 9"),
        "validation": ("case 4", "case 5"),
        "test": ("case 2", "case 3"),
    }


def test_duplicates_join_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [("p1", ""), ("p1", ""), ("p2", ""), ("p2", ""), ("p3", ""), ("p4", ""), ("p5", "")]
    dataset = made_up(monkeypatch, cases)
    split = make_split(dataset, same_picture((1, 2)), fractions=(0.5, 0.25, 0.25), seed=0)
    assert {split.groups[f"case {n}"] for n in range(4)} == {"p1"}
    assert len(set(split.groups.values())) == 4


def test_small_parts_are_never_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = made_up(monkeypatch, [(f"g{n}", "") for n in range(3)])
    split = make_split(dataset, no_duplicates(), fractions=(0.98, 0.01, 0.01), seed=0)
    assert [len(ids) for ids in parts_of(split).values()] == [1, 1, 1]


def test_too_few_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = made_up(monkeypatch, [("a", ""), ("a", ""), ("b", ""), ("c", "")])
    with pytest.raises(DataError, match=r"at least 4 groups .* got 3 \(4 images\)"):
        make_split(dataset, no_duplicates(), folds=4, seed=0)
    with pytest.raises(DataError, match="at least 3 groups"):
        make_split(dataset, same_picture((2, 3)), fractions=FRACTIONS, seed=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either fractions or folds"),
        ({"fractions": FRACTIONS, "folds": 5}, "either fractions or folds"),
        ({"folds": 2}, "at least 3 folds"),
        ({"fractions": (0.7, 0.2, 0.2)}, "add up to 1"),
        ({"fractions": (0.8, 0.2)}, "three fractions"),
        ({"fractions": (0.8, 0.0, 0.2)}, "above 0"),
        ({"fractions": (1.2, -0.4, 0.2)}, "above 0"),
        ({"fractions": (float("nan"), 0.5, 0.5)}, "above 0"),
    ],
)
def test_bad_shares(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], message: str
) -> None:
    dataset = made_up(monkeypatch, [(f"g{n}", "") for n in range(10)])
    with pytest.raises(DataError, match=message):
        make_split(dataset, no_duplicates(), seed=0, **arguments)


@pytest.fixture
def folded(monkeypatch: pytest.MonkeyPatch) -> Split:
    dataset = made_up(monkeypatch, [(f"g{n}", "ab"[n % 2]) for n in range(20)])
    return make_split(dataset, no_duplicates(), folds=4, seed=0)


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch) -> Split:
    dataset = made_up(monkeypatch, [(f"g{n}", "ab"[n % 2]) for n in range(20)])
    return make_split(dataset, no_duplicates(), fractions=FRACTIONS, seed=0)


def test_folds_take_turns(folded: Split) -> None:
    tested: list[str] = []
    for fold in range(4):
        chosen = {name: subset(folded, name, fold) for name in SUBSETS}
        assert sorted(case for ids in chosen.values() for case in ids) == sorted(folded.groups)
        assert chosen["validation"] == subset(folded, "test", (fold + 1) % 4)
        tested.extend(chosen["test"])
    assert sorted(tested) == sorted(folded.groups)


def test_bad_subsets(folded: Split, split: Split) -> None:
    with pytest.raises(DataError, match="subset out of train, validation, test, got 'tests'"):
        subset(split, "tests")
    with pytest.raises(DataError, match="has no folds, got fold 0"):
        subset(split, "test", 0)
    for fold in (None, -1, 4):
        with pytest.raises(DataError, match="a fold from 0 to 3"):
            subset(folded, "test", fold)


def test_files_come_back(folded: Split, split: Split, tmp_path: Path) -> None:
    for made, parts in ((split, "subsets"), (folded, "folds")):
        path = tmp_path / f"{parts}.json"
        save_split(made, path)
        assert load_split(path) == made
        keys = ["schema", "layout", "seed", "protocol", parts, "groups", "images_sha256", "sha256"]
        content = json.loads(path.read_text())
        assert list(content) == keys
        assert content["protocol"] == "safe"
        assert "/" not in path.read_text()


EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no schema": (lambda c: c.pop("schema"), "'schema'"),
    "next schema": (lambda c: c.update(schema=2), "'schema'"),
    "unknown key": (lambda c: c.update(extra=1), "'extra'"),
    "no groups": (lambda c: c.pop("groups"), "'groups'"),
    "subsets are a list": (lambda c: c.update(subsets=[["a"]]), "'subsets'"),
    "another subset": (lambda c: c["subsets"].update(more=[]), "expected the subsets train"),
    "both": (lambda c: c.update(folds=[["a"], ["b"], ["c"]]), "expected the subsets train"),
    "neither": (lambda c: c.pop("subsets"), "expected the subsets train"),
    "one case twice": (
        lambda c: c["subsets"]["test"].append(c["subsets"]["train"][0]),
        "in exactly one part",
    ),
    "one case lost": (lambda c: c["subsets"]["train"].pop(), "in exactly one part"),
    "another seed": (lambda c: c.update(seed=7), "does not fit its sha256"),
    "a case moved": (
        lambda c: c["subsets"]["test"].append(c["subsets"]["train"].pop()),
        "does not fit its sha256",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_files_are_refused(split: Split, tmp_path: Path, name: str) -> None:
    edit, message = EDITS[name]
    path = tmp_path / "split.json"
    save_split(split, path)
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        load_split(path)


def test_a_changed_file_can_be_looked_into(split: Split, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    save_split(split, path)
    assert is_intact(read_split(path))
    content = json.loads(path.read_text())
    content["subsets"]["test"].append(content["subsets"]["train"].pop())
    path.write_text(json.dumps(content))
    assert not is_intact(read_split(path))


@pytest.mark.parametrize("content", ["", "[]", "7", "null", '"text"', "{", "{}"])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"split\.json: expected"):
        load_split(path)
    with pytest.raises(DataError, match="found nothing"):
        load_split(tmp_path / "absent.json")


def test_a_split_for_other_images(tmp_path: Path) -> None:
    for name, cases, seed in (("a", 6, 1), ("b", 8, 1), ("c", 6, 2)):
        write_phantom(tmp_path / name, cases, seed, (64, 64))
    datasets = {name: load_dataset(tmp_path / name, "phantom") for name in "abc"}
    split = make_split(datasets["a"], no_duplicates(), fractions=FRACTIONS, seed=0)
    check_split(split, datasets["a"])
    with pytest.raises(DataError, match=r"other images .* not in the split: phantom_0007, ph"):
        check_split(split, datasets["b"])
    with pytest.raises(DataError, match="same names but another content"):
        check_split(split, datasets["c"])
    with pytest.raises(DataError, match="for the layout 'phantom', not 'folder'"):
        check_split(split, load_dataset(tmp_path / "a", "folder"))
    larger = make_split(datasets["b"], no_duplicates(), fractions=FRACTIONS, seed=0)
    with pytest.raises(DataError, match=r"not in the data: phantom_000"):
        check_split(larger, datasets["a"])


def test_busi_is_split_evenly_and_safely(data_root: Path) -> None:
    whole = load_dataset(data_root / "BUSI", "busi")
    dataset = Dataset("busi", whole.root, whole.labels, whole.cases[::4])
    duplicates = find_duplicates(dataset)
    assert duplicates.groups
    split = make_split(dataset, duplicates, fractions=FRACTIONS, seed=0)
    total = Counter(case.label for case in dataset.cases)
    labels = {case.id: case.label for case in dataset.cases}
    for name, share in zip(SUBSETS, FRACTIONS, strict=True):
        counts = Counter(labels[case] for case in subset(split, name))
        assert all(abs(counts[label] - share * total[label]) <= 1.5 for label in total)
    check_split(split, dataset)

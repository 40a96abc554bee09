"""Leave one out, blocks, exclusions, and the papers' leaky ways to split."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featherseg.audit.leaks import crossings, from_split
from featherseg.datasets import Dataset, load_dataset
from featherseg.duplicates import find_duplicates
from featherseg.errors import DataError
from featherseg.splits import (
    PROTOCOLS,
    SUBSETS,
    Split,
    check_split,
    dropped,
    excluded_cases,
    find_leaks,
    is_intact,
    load_split,
    make_blocks,
    make_leave_one_out,
    make_paper_split,
    make_split,
    parts_of,
    save_split,
    subset,
    with_note,
)
from tests.conftest import REPOSITORY
from tests.test_splits import drawn_datasets, made_up, no_duplicates, same_picture

Drawn = tuple[list[tuple[str, str]], list[list[int]]]


@pytest.fixture
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield monkeypatch


def crossing(split: Split, dataset: Dataset, together: list[tuple[str, ...]]) -> int:
    """How many of `together`, and of the data set's groups, lie in several parts."""
    where = {name: part for part, ids in parts_of(split).items() for name in ids}
    groups: dict[str, tuple[str, ...]] = {}
    for case in dataset.cases:
        groups[case.group] = (*groups.get(case.group, ()), case.id)
    every = [*together, *groups.values()]
    return sum(len({where[name] for name in names if name in where}) > 1 for names in every)


@settings(deadline=None)
@given(drawn_datasets(), st.sampled_from(["loo", "blocks"]), st.integers(3, 5), st.booleans())
def test_nothing_crosses_one_group_out_and_blocks(
    drawn: Drawn, way: str, count: int, leave_some_out: bool
) -> None:
    cases, same = drawn
    with pytest.MonkeyPatch.context() as monkeypatch:
        dataset = made_up(monkeypatch, cases)
        duplicates = same_picture(*map(tuple, same))
        out = {"case 3": "for a reason", "case 7": "another"} if leave_some_out else {}
        try:
            if way == "loo":
                split = make_leave_one_out(dataset, duplicates, out)
            else:
                split = make_blocks(dataset, duplicates, count, excluded=out)
        except DataError as error:
            if "groups that may be parted" not in str(error):
                raise
            return
    listed = [name for ids in parts_of(split).values() for name in ids]
    assert sorted([*listed, *out]) == sorted(case.id for case in dataset.cases)
    assert crossing(split, dataset, [*duplicates.groups]) == 0
    assert all(parts_of(split).values())
    assert is_intact(split)
    assert (split.excluded or {}) == out
    if way == "loo":
        assert all(len({split.groups[name] for name in ids}) == 1 for ids in split.folds or ())
    else:
        assert listed == [case.id for case in dataset.cases if case.id not in out]


@given(st.integers(9, 40), st.integers(3, 5), st.integers(1, 3))
def test_neighbors_of_held_out_blocks_are_left_out(cases: int, count: int, gap: int) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        dataset = made_up(monkeypatch, [(f"g{n}", "") for n in range(cases)])
        try:
            split = make_blocks(dataset, no_duplicates(), count, gap)
        except DataError as error:
            if "leaves nothing" not in str(error) or cases // count > 2 * gap:
                raise
            return
    sizes = [len(ids) for ids in split.folds or ()]
    assert max(sizes) - min(sizes) <= 1
    for fold in range(count):
        place = {
            name: [int(case.split()[1]) for case in subset(split, name, fold)] for name in SUBSETS
        }
        assert min(abs(a - b) for a in place["train"] for b in place["test"]) > gap
        assert min(abs(a - b) for a in place["train"] for b in place["validation"]) > gap
        assert min(abs(a - b) for a in place["validation"] for b in place["test"]) > gap
        assert len(dropped(split, fold)) == cases - sum(map(len, place.values()))
    assert [name for fold in range(count) for name in subset(split, "test", fold)] == [
        case.id for case in dataset.cases
    ]
    assert split.notes is not None
    assert str(max(len(dropped(split, fold)) for fold in range(count))) in split.notes[0]


def test_blocks_are_the_same_everywhere(patched: pytest.MonkeyPatch) -> None:
    dataset = made_up(patched, [(f"g{n // 4}", "") for n in range(16)])
    split = make_blocks(dataset, same_picture((0, 5)), 3)
    assert [len(ids) for ids in split.folds or ()] == [8, 4, 4]
    assert (split.protocol, split.gap, split.seed) == ("blocks", None, 0)
    with pytest.raises(DataError, match=r"at least 3 blocks .* got 2 blocks"):
        make_blocks(dataset, no_duplicates(), 2)
    with pytest.raises(DataError, match="gap of 0 or more"):
        make_blocks(dataset, no_duplicates(), 3, -1)
    with pytest.raises(DataError, match="at least 5 groups"):
        make_blocks(dataset, no_duplicates(), 5)


def test_one_group_out_takes_every_group_once(patched: pytest.MonkeyPatch) -> None:
    dataset = made_up(patched, [("a", ""), ("b", ""), ("a", ""), ("c", ""), ("d", "")])
    split = make_leave_one_out(dataset, same_picture((3, 4)))
    assert split.folds == (("case 0", "case 2"), ("case 1",), ("case 3", "case 4"))
    assert split.protocol == "safe"
    assert subset(split, "validation", 2) == ("case 0", "case 2")
    with pytest.raises(DataError, match="at least 3 groups"):
        make_leave_one_out(dataset, same_picture((0, 1), (3, 4)))


@settings(deadline=None)
@given(drawn_datasets(), st.sampled_from(sorted(PROTOCOLS)), st.integers(0, 3))
def test_protocols_give_their_shares(drawn: Drawn, name: str, seed: int) -> None:
    cases, same = drawn
    protocol = PROTOCOLS[name]
    with pytest.MonkeyPatch.context() as monkeypatch:
        dataset = made_up(monkeypatch, [(f"{group}", label) for group, label in cases])
        try:
            split = make_paper_split(dataset, same_picture(*map(tuple, same)), name, seed=seed)
        except DataError as error:
            if "leaves a part empty" not in str(error):
                raise
            return
    assert split.protocol == name
    assert split.subsets is not None
    listed = [case for ids in split.subsets.values() for case in ids]
    assert sorted(listed) == sorted(case.id for case in dataset.cases)
    if protocol.by_group:
        assert crossing(split, dataset, []) == 0
        return
    labels = {case.id: case.label if protocol.by_class else "" for case in dataset.cases}
    for subset_name, share in zip(SUBSETS, protocol.fractions, strict=True):
        counts = Counter(labels[case] for case in split.subsets[subset_name])
        for label, total in Counter(labels.values()).items():
            assert abs(counts[label] - share * total) <= 1.0


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("alnet", [10, 4, 6]),  # the paper's STARE: 14 train and validate, 6 test
        ("laednet", [14, 2, 4]),
        ("lighter", [12, 4, 4]),
        ("lightbtseg", [14, 2, 4]),
    ],
)
def test_protocols_of_twenty_images(
    patched: pytest.MonkeyPatch, name: str, counts: list[int]
) -> None:
    dataset = made_up(patched, [(f"g{n}", "") for n in range(20)])
    split = make_paper_split(dataset, no_duplicates(), name, seed=0)
    assert [len(ids) for ids in parts_of(split).values()] == counts
    again = make_paper_split(dataset, no_duplicates(), name, seed=0)
    assert again == split
    assert make_paper_split(dataset, no_duplicates(), name, seed=1).subsets != split.subsets
    assert split.notes is not None
    assert split.notes[0].startswith("as ")


def test_a_protocol_is_the_same_on_every_machine(patched: pytest.MonkeyPatch) -> None:
    dataset = made_up(patched, [(f"g{n}", "") for n in range(10)])
    split = make_paper_split(dataset, no_duplicates(), "alnet", seed=0)
    assert split.subsets == {
        "train": ("case 1", "case 3", "case 5", "case 7", "case 8"),
        "validation": ("case 2", "case 4"),
        "test": ("case 0", "case 6", "case 9"),
    }


def test_laednet_exchanges_training_and_validation_only(patched: pytest.MonkeyPatch) -> None:
    dataset = made_up(patched, [(f"g{n}", "ab"[n % 2]) for n in range(60)])
    first, second = (
        make_paper_split(dataset, no_duplicates(), "laednet", seed=4, exchange=n) for n in (0, 1)
    )
    assert subset(first, "test") == subset(second, "test")
    assert subset(first, "validation") != subset(second, "validation")
    assert first.sha256 != second.sha256
    nerve = made_up(patched, [(f"g{n}", "") for n in range(100)], "bp")
    parts = parts_of(make_paper_split(nerve, no_duplicates(), "laednet", seed=0))
    assert [len(ids) for ids in parts.values()] == [80, 10, 10]


def test_lightbtseg_leaves_normal_images_out(patched: pytest.MonkeyPatch) -> None:
    labels = ("benign", "malignant", "normal")
    dataset = made_up(patched, [(f"g{n}", labels[n % 3]) for n in range(90)])
    split = make_paper_split(
        dataset, no_duplicates(), "lightbtseg", seed=0, excluded={"case 0": "axilla"}
    )
    assert split.excluded is not None
    assert Counter(split.excluded.values()) == {
        "protocol lightbtseg leaves out the class normal": 30,
        "axilla": 1,
    }
    assert len(split.groups) == 59
    check_split(split, dataset)


def test_other_protocols_and_too_few_images(patched: pytest.MonkeyPatch) -> None:
    dataset = made_up(patched, [("a", ""), ("b", "")])
    with pytest.raises(DataError, match=r"protocol out of laednet, alnet.* got 'lenet'"):
        make_paper_split(dataset, no_duplicates(), "lenet", seed=0)
    with pytest.raises(DataError, match="leaves a part empty; use --protocol safe"):
        make_paper_split(dataset, no_duplicates(), "alnet", seed=0)


def test_a_leaky_split_is_found_out(patched: pytest.MonkeyPatch) -> None:
    dataset = made_up(patched, [(f"p{n // 4}", "") for n in range(80)])
    twins = same_picture(*((n, n + 41) for n in range(0, 30, 2)))
    leaky = find_leaks(make_paper_split(dataset, twins, "alnet", seed=0), dataset, twins)
    assert leaky
    assert (leaky.duplicate_groups, leaky.all_groups) == (15, 20)
    assert 0 < leaky.duplicates <= 15
    assert 10 < leaky.groups <= 20
    assert leaky.tested is not None
    assert leaky.tested > 10
    by_patient = find_leaks(make_paper_split(dataset, twins, "lighter", seed=0), dataset, twins)
    assert by_patient.groups == 0
    assert by_patient.duplicates > 0
    safe = find_leaks(make_split(dataset, twins, folds=3, seed=0), dataset, twins)
    assert not safe
    assert safe.tested is None


def test_excluded_cases(patched: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = made_up(patched, [(f"g{n}", "ab"[n % 2]) for n in range(12)])
    listed = tmp_path / "out.txt"
    listed.write_text("# axilla, seen by a reader\ncase 0 # axilla\n\n  case 3\n", encoding="utf-8")
    out = excluded_cases(dataset, ["b"], listed)
    assert out["case 0"] == "axilla"
    assert out["case 3"] == "listed in out.txt"
    assert [out[f"case {n}"] for n in (1, 5, 7, 9, 11)] == ["class b"] * 5
    split = make_split(dataset, same_picture((2, 0), (0, 4)), folds=3, seed=0, excluded=out)
    assert sorted(split.groups) == sorted(f"case {n}" for n in (2, 4, 6, 8, 10))
    # What an excluded picture joins stays together.
    assert split.groups["case 2"] == split.groups["case 4"]
    check_split(split, dataset)
    save_split(split, tmp_path / "split.json")
    assert load_split(tmp_path / "split.json") == split
    with pytest.raises(DataError, match="not in the data: case 1"):
        check_split(split, replace(dataset, cases=dataset.cases[:1] + dataset.cases[2:]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"case 0\ncase 99\n", "line 2: expected the id of a case, got 'case 99'"),
        (b"case 0\ncase 0 # again\n", "line 2: 'case 0' is listed twice"),
        (b"\xff\xfe\x00", "expected text with one id a line"),
        ("\n".join(f"case {n}" for n in range(4)).encode(), "all are excluded"),
    ],
)
def test_bad_lists(patched: pytest.MonkeyPatch, tmp_path: Path, text: bytes, message: str) -> None:
    dataset = made_up(patched, [(f"g{n}", "") for n in range(4)])
    (tmp_path / "out.txt").write_bytes(text)
    with pytest.raises(DataError, match=message):
        excluded_cases(dataset, (), tmp_path / "out.txt")
    with pytest.raises(DataError, match="cannot be read"):
        excluded_cases(dataset, (), tmp_path / "absent.txt")
    with pytest.raises(DataError, match=r"classes of data to exclude .* got normal"):
        excluded_cases(dataset, ["normal"])


def test_what_is_in_a_part_is_not_excluded(patched: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset = made_up(patched, [(f"g{n}", "") for n in range(12)])
    split = make_split(dataset, no_duplicates(), folds=3, seed=0)
    save_split(replace(split, excluded={"case 1": "both"}), tmp_path / "split.json")
    with pytest.raises(DataError, match="excluded cases in no part, got case 1"):
        load_split(tmp_path / "split.json")
    noted = with_note(split, "a remark")
    assert is_intact(noted)
    assert noted.sha256 != split.sha256


def test_old_split_files_stay_what_they_are() -> None:
    split = load_split(REPOSITORY / "results" / "busi_simplified_unet" / "split.json")
    assert split.sha256 == "2f503fcd55604b01ea6acd1af883e9e15fcad168a149a5cc95b16dc7ff6fdb29"
    assert (split.excluded, split.notes, split.gap) == (None, None, None)


def test_the_papers_leak_on_busi(data_root: Path) -> None:
    whole = load_dataset(data_root / "BUSI", "busi")
    dataset = replace(whole, cases=whole.cases[::3])
    duplicates = find_duplicates(dataset)
    split = make_paper_split(dataset, duplicates, "laednet", seed=0)
    leaks = find_leaks(split, dataset, duplicates)
    assert leaks.duplicates == len(crossings(dataset, duplicates, from_split(split))) > 0

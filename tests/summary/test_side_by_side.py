"""Tables of different cases beside one another: stamps, differences, and what is warned of."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from featherseg.case_table import Row, cases_csv
from featherseg.errors import DataError
from featherseg.report.words import HEADLINE, notes
from featherseg.summary import Stamp, summarize
from featherseg.summary.side_by_side import Table, side_by_side
from tests.conftest import Cli

FACTS = {"area_true": 9.0, "area_found": 9.0}
SCORES = ("iou", "precision", "recall", "accuracy", "hd95", "assd")


def rows_of(dice: Sequence[float], first: int = 0, unit: str = "px") -> tuple[Row, ...]:
    rows = []
    for number, value in enumerate(dice, start=first):
        scores = {**FACTS, "dice": value, **dict.fromkeys(SCORES, value)}
        for metric, score in scores.items():
            distance = unit if metric in ("hd95", "assd") else ""
            rows.append(Row(f"case {number}", f"g{number}", "", metric, score, distance))
    return tuple(rows)


def table(name: str, rows: tuple[Row, ...], protocol: str) -> Table:
    summary = summarize(rows, Stamp(subset="test", protocol=protocol))
    return Table(name, summary, frozenset(row.case for row in rows))


def test_the_difference_of_means_and_its_warnings() -> None:
    safe = table("safe", rows_of([0.5, 0.7, 0.6]), "safe")
    leaky = table("leaky", rows_of([0.8, 0.9, 0.7], first=2), "laednet")
    content = side_by_side([safe, leaky], HEADLINE)
    first, second = content["averages"]["dice_lesion"]
    assert (first["mean"], first["difference"]) == (pytest.approx(0.6), 0.0)
    assert (second["mean"], second["difference"]) == (pytest.approx(0.8), pytest.approx(0.2))
    assert [each["protocol"] for each in content["tables"]] == ["safe", "laednet"]
    about_cases, about_protocol = content["warnings"]
    assert "different cases (1 in both)" in about_cases
    assert "leaky was scored on a split of the protocol 'laednet'" in about_protocol


def test_the_same_cases_are_for_compare() -> None:
    content = side_by_side(
        [table(name, rows_of([0.5, 0.7]), "safe") for name in ("a", "b")], HEADLINE
    )
    (warning,) = content["warnings"]
    assert "featherseg compare" in warning


def test_distances_in_two_units_are_not_subtracted() -> None:
    tables = [table(unit, rows_of([0.5, 0.7], unit=unit), "safe") for unit in ("px", "mm")]
    content = side_by_side(tables, HEADLINE)
    assert "hd95" not in content["averages"]
    assert "dice_lesion" in content["averages"]


def test_two_tables_with_two_names_are_needed() -> None:
    one = table("a", rows_of([0.5, 0.7]), "safe")
    for tables in ([one], [one, one]):
        with pytest.raises(DataError, match="two or more tables with different names"):
            side_by_side(tables, HEADLINE)


def test_a_leaky_protocol_is_noted() -> None:
    for protocol, is_noted in (("safe", False), ("blocks", False), (None, False), ("alnet", True)):
        summary = summarize(rows_of([0.5, 0.7]), Stamp(protocol=protocol))
        assert any("may be too good" in note for note in notes(summary)) is is_noted


def test_the_verb(tmp_path: Path, cli: Cli) -> None:
    for name, protocol, first in (("one", "safe", 0), ("two", "alnet", 1)):
        (tmp_path / name).mkdir()
        rows = rows_of([0.5, 0.7, 0.6], first)
        (tmp_path / name / "cases.csv").write_text(cases_csv(rows))
        summary = summarize(rows, Stamp(subset="test", protocol=protocol))
        (tmp_path / name / "summary.json").write_text(json.dumps(summary))
    called = cli("summarize", tmp_path / "one", tmp_path / "two" / "cases.csv")
    assert called.code == 0
    assert "alnet" in called.out
    assert "0.600 [" in called.out
    assert "] +0.000" in called.out
    assert "different cases (2 in both)" in called.out.replace("\n", " ")
    called = cli("summarize", tmp_path / "one", tmp_path / "two", "--json")
    assert [each["name"] for each in json.loads(called.out)["tables"]] == ["one", "two"]
    assert cli("summarize", tmp_path / "one", tmp_path / "one").code == 2

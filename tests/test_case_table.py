"""The per-case table survives its file, and a damaged one is named."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featherseg.case_table import COLUMNS, Row, cases_csv, read_cases_csv, write_cases_csv
from featherseg.errors import DataError

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
rows = st.builds(
    Row,
    case=names,
    group=names,
    class_name=names,
    metric=st.sampled_from(["dice", "hd95", "dice:left, lung"]),
    value=st.none() | st.floats(-1e9, 1e9).map(lambda value: round(value, 6)),
    unit=st.sampled_from(["", "px", "mm"]),
)


@settings(deadline=None)
@given(st.lists(rows, max_size=8))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, table: list[Row]
) -> None:
    path = tmp_path_factory.mktemp("table") / "cases.csv"
    write_cases_csv(table, path)
    assert list(read_cases_csv(path)) == table
    assert path.read_text(encoding="utf-8") == cases_csv(read_cases_csv(path))


def test_an_undefined_value_is_an_empty_field() -> None:
    text = cases_csv(
        [Row("a", "g", "benign", "dice", None, ""), Row("a", "g", "", "hd95", 3, "px")]
    )
    assert text.splitlines() == [
        "case,group,class,metric,value,unit",
        "a,g,benign,dice,,",
        "a,g,,hd95,3,px",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got an empty file"),
        ("case,metric\n", "got case,metric"),
        (",".join(COLUMNS) + "\na,b,c\n", "row 2: expected 6 fields, got 3"),
        (
            ",".join(COLUMNS) + "\na,b,c,dice,high,\n",
            "row 2: expected a number as value, got 'high'",
        ),
        (",".join(COLUMNS) + "\na,b,c,dice,nan,\n", "row 2: expected a finite number"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cases.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_cases_csv(path)


def test_a_missing_and_an_unreadable_table_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: expected a table .* found nothing"):
        read_cases_csv(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"bad\.csv: cannot be read"):
        read_cases_csv(tmp_path / "bad.csv")

"""Progress bars: shown where something takes a while, never in the way of an error."""

import pytest

from featherseg.cli import console


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show bars at once."""
    monkeypatch.setattr(console, "_SILENT_SECONDS", -1.0)


def test_what_is_done_at_once_shows_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(console.tracked([1, 2, 3], "counting")) == [1, 2, 3]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("impatient")
def test_a_bar_counts_to_the_end_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(console.tracked((n for n in range(4)), "counting", total=4)) == [0, 1, 2, 3]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "counting" in printed.err
    assert "4/4" in printed.err


@pytest.mark.usefixtures("impatient")
def test_a_bar_left_behind_by_an_error_is_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    items = console.tracked([1, 2, 3], "counting")
    assert [next(items), next(items)] == [1, 2]
    console.stop_bars()
    before = capsys.readouterr().err
    assert "counting" in before
    items.close()  # type: ignore[attr-defined]
    assert capsys.readouterr().err == ""


def test_json_goes_to_stdout_and_refuses_nan(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"a": [1]})
    assert capsys.readouterr().out == '{\n  "a": [\n    1\n  ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        console.print_json(float("nan"))

"""Arms that are known to be better, worse or the same, and what is said of them."""

import json
from pathlib import Path

import pytest

from featherseg.distillation import (
    arms_json,
    arms_markdown,
    compare_arms,
    metric_rows,
    plain_words,
    size_rows,
)
from featherseg.errors import DataError
from featherseg.stats import mean_interval
from tests.compare.tables import write_evaluation
from tests.scoring import blank, box, rows_of

COUNT = 18


def write_arm(folder: Path, shift: int) -> Path:
    """Eighteen lesions of three sizes, found `shift` pixels beside where they are."""
    rows = []
    for number in range(COUNT):
        side = 4 + 3 * (number % 3)
        wobble = shift + number % 2
        true, found = box(5, 5, side, side), box(5, 5 + wobble, side, side)
        rows += rows_of(f"case{number}", true, found, (f"case{number}", ""))
    rows += rows_of("normal", blank(), blank(), ("normal", ""))
    return write_evaluation(folder, rows)


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("arms")
    shifts = {"better": 0, "no_teacher": 1, "same": 1, "worse": 2}
    return [write_arm(root / name, shift) for name, shift in shifts.items()]


def test_differences_are_from_the_student_without_teachers(arms: list[Path]) -> None:
    found = arms_json(compare_arms(arms, "no_teacher"))
    json.dumps(found, allow_nan=False)
    assert (found["reference"], found["n"]) == ("no_teacher", COUNT + 1)
    verdicts = {name: entry["dice_lesion"].get("verdict") for name, entry in found["arms"].items()}
    assert verdicts == {
        "no_teacher": None,
        "better": "better",
        "same": "tie",
        "worse": "worse",
        "all empty": None,
    }
    better = found["arms"]["better"]["dice_lesion"]
    own, base = (found["arms"][n]["dice_lesion"]["mean"] for n in ("better", "no_teacher"))
    assert better["difference"] == pytest.approx(own - base, abs=2e-6)
    assert better["difference_low"] < better["difference"] < better["difference_high"]
    same = found["arms"]["same"]["dice_lesion"]
    assert same["difference"] == same["difference_low"] == same["difference_high"] == 0


def test_thirds_by_size_hold_their_own_lesions(arms: list[Path]) -> None:
    table = compare_arms(arms, "no_teacher")
    assert [name.split(" (")[0] for name in table.sizes] == [
        "size: small",
        "size: medium",
        "size: large",
    ]
    for place, metric in enumerate(table.sizes.values()):
        values = {run: dict(cases) for run, cases in metric.values.items()}
        assert set(values["better"]) == {f"case{n}" for n in range(COUNT) if n % 3 == place}
        differences = [
            values["worse"][case] - values["no_teacher"][case] for case in values["no_teacher"]
        ]
        versus = next(each.versus for each in metric.standings if each.run == "worse")
        assert versus is not None
        assert versus.difference == pytest.approx(sum(differences) / len(differences))
        expected = mean_interval(differences, 0, groups=list(values["no_teacher"]))
        assert expected is not None
        assert (versus.low, versus.high) == (expected.low, expected.high)


def test_ties_and_losses_are_said_plainly(arms: list[Path]) -> None:
    table = compare_arms(arms, "no_teacher")
    lines = plain_words(table)
    assert "Better than no_teacher: better." in lines
    assert "Worse than no_teacher: worse." in lines
    assert "Not shown to differ from no_teacher: same." in lines
    assert any("another seed" in line for line in lines)
    # Nineteen cases are few, and that is said too.
    assert any(line.startswith("Fewer than 50 independent cases (19)") for line in lines)


def test_the_page_holds_every_table(arms: list[Path]) -> None:
    table = compare_arms(arms, "no_teacher")
    page = arms_markdown(table, "Arms")
    assert page.startswith("# Arms\n\n19 test images of 19 independent cases.")
    for metric in table.comparison.metrics:
        for row in metric_rows(metric, "no_teacher"):
            assert "| " + " | ".join(row) + " |" in page
    for row in size_rows(table):
        assert "| " + " | ".join(row) + " |" in page
    lines = [line for line in page.splitlines() if line.startswith("| better |")]
    assert len(lines) == 3
    assert page.endswith(".\n")


def test_one_size_has_no_thirds(tmp_path: Path) -> None:
    for name in ("no_teacher", "other"):
        rows = rows_of("a", box(5, 5), box(5, 5), ("a", ""))
        rows += rows_of("b", box(5, 5), box(5, 5), ("b", ""))
        write_evaluation(tmp_path / name, rows)
    table = compare_arms([tmp_path / "no_teacher", tmp_path / "other"], "no_teacher")
    assert table.sizes == {}
    assert "by size" not in arms_markdown(table, "Arms")


def test_an_arm_without_scores_is_named(arms: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder with cases"):
        compare_arms([*arms, tmp_path / "none"], "no_teacher")

"""The summary against figures made by hand, and made again from its table."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featherseg.case_table import Row, write_cases_csv
from featherseg.errors import DataError
from featherseg.metrics import EMPTY_MASK_RULE
from featherseg.stats import mean_interval, wilson
from featherseg.storage import sha256_file, write_json
from featherseg.summary import AVERAGES, Stamp, summarize, summarize_cases
from featherseg.summary.averages import CORE_AVERAGES
from featherseg.summary.table import CORE_METRICS
from tests.scoring import DIAGONAL, blank, box, rows_of

STAMP = Stamp("test", False, "safe", "ab" * 32, "cd" * 32, "validation", {"id": "m1"})


def example() -> list[Row]:
    """Two benign lesions (Dice 1 and 0.5), a missed malignant one, a false alarm, one normal."""
    return [
        *rows_of("perfect", box(5, 5), box(5, 5), ("p1", "benign")),
        *rows_of("half", box(5, 5), box(5, 10), ("p1", "benign")),
        *rows_of("missed", box(5, 5), blank(), ("p2", "malignant")),
        *rows_of("alarm", blank(), box(5, 5), ("p3", "normal")),
        *rows_of("clean", blank(), blank(), ("p4", "normal")),
    ]


def test_headline_figures_follow_the_rule() -> None:
    summary = summarize(example(), STAMP)
    assert (summary["n"], summary["n_groups"]) == (5, 4)
    assert (summary["n_lesion"], summary["n_normal"]) == (3, 2)
    assert summary["dice_lesion"]["mean"] == pytest.approx((1 + 0.5 + 0) / 3, abs=1e-6)
    assert summary["dice_lesion"]["n"] == 3
    assert summary["dice_all"]["mean"] == pytest.approx((1 + 0.5 + 0 + 0 + 1) / 5)
    assert summary["dice_all"]["n"] == 5
    assert summary["iou_lesion"]["mean"] == pytest.approx((1 + 1 / 3) / 3, abs=1e-6)
    assert summary["precision"]["mean"] == pytest.approx((1 + 0.5 + 0 + 0) / 4, abs=1e-6)
    assert summary["precision"]["n"] == 4
    assert summary["recall"]["n"] == 3
    assert summary["accuracy"]["n"] == 5
    assert summary["hd95"]["mean"] == pytest.approx((0 + 5 + DIAGONAL) / 3, abs=1e-6)
    assert (summary["hd95"]["unit"], summary["hd95"]["median"]) == ("px", 5)
    assert summary["hd95"]["over"] == "images with a lesion"


def test_presence_has_wilson_intervals() -> None:
    presence = summarize(example(), STAMP)["presence"]
    low, high = wilson(2, 3)
    expected = {"value": 2 / 3, "low": low, "high": high, "n": 3}
    assert presence["sensitivity"] == pytest.approx(expected, abs=1e-6)
    assert presence["specificity"]["value"] == 0.5
    assert (presence["missed"], presence["false_alarms"]) == (1, 1)


def test_without_normal_images_specificity_is_unknown() -> None:
    presence = summarize(rows_of("a", box(5, 5), box(5, 5)), STAMP)["presence"]
    assert presence["specificity"] == {"value": None, "low": None, "high": None, "n": 0}


def test_intervals_draw_groups() -> None:
    summary = summarize(example(), STAMP)
    interval = mean_interval([1.0, 0.5, 0.0], 0, groups=["p1", "p1", "p2"])
    assert interval is not None
    entry = summary["dice_lesion"]
    assert (entry["ci_low"], entry["ci_high"]) == pytest.approx(
        (interval.low, interval.high), abs=1e-6
    )
    assert entry["interval"] == interval.method
    assert entry["small_sample"]


def test_each_class_stands_alone() -> None:
    parts = summarize(example(), STAMP)["per_class"]
    assert list(parts) == ["benign", "malignant", "normal"]
    assert parts["benign"]["dice_lesion"]["mean"] == 0.75
    assert parts["malignant"]["presence"]["missed"] == 1
    assert parts["malignant"]["dice_lesion"]["ci_low"] is None
    assert parts["normal"]["dice_lesion"]["mean"] is None
    assert parts["normal"]["dice_all"]["mean"] == 0.5


def test_the_worst_cases_come_first() -> None:
    worst = summarize(example(), STAMP)["worst_cases"]
    assert [entry["case"] for entry in worst] == ["missed", "alarm", "half", "perfect"]
    assert [entry["kind"] for entry in worst] == ["missed", "false alarm", "found", "found"]
    assert worst[0]["hd95"] == DIAGONAL
    assert worst[1]["hd95"] is None


def test_ten_worst_cases_at_most() -> None:
    rows = [row for n in range(14) for row in rows_of(f"c{n:02}", box(5, 5), box(5, 5 + n))]
    worst = summarize(rows, STAMP)["worst_cases"]
    assert [entry["case"] for entry in worst] == [f"c{n:02}" for n in range(13, 3, -1)]


def test_several_labels_are_averaged_within_an_image() -> None:
    labels = ("head", "body")
    head, body = box(2, 2), box(2, 20, label=2)
    rows = [
        *rows_of("both", head + body, head + box(2, 25, label=2), labels=labels),
        *rows_of("head only", head, head + body, labels=labels),
        *rows_of("none", blank(), blank(), labels=labels),
    ]
    summary = summarize(rows, STAMP)
    # Images with a lesion: (1 + 0.5) / 2, and 1 for the only label that is there.
    assert summary["dice_lesion"]["mean"] == pytest.approx((0.75 + 1) / 2)
    # All images: a false label is 0, a label rightly left out 1.
    assert summary["dice_all"]["mean"] == pytest.approx((0.75 + 0.5 + 1) / 3)
    assert (summary["n_lesion"], summary["presence"]["false_alarms"]) == (2, 0)
    body_alone = summary["per_label"]["body"]
    assert body_alone["dice_lesion"]["mean"] == 0.5
    assert (body_alone["n_lesion"], body_alone["presence"]["false_alarms"]) == (1, 1)
    assert summary["worst_cases"][0]["case"] == "head only"


def test_distances_in_two_units_are_never_mixed() -> None:
    rows = [
        *rows_of("a", box(5, 5), box(5, 6)),
        *rows_of("b", box(5, 5), box(5, 6), spacing_mm=(0.1, 0.1)),
    ]
    summary = summarize(rows, STAMP)
    assert "hd95" not in summary
    assert (summary["hd95_px"]["mean"], summary["hd95_px"]["n"]) == (1.0, 1)
    assert (summary["hd95_mm"]["mean"], summary["hd95_mm"]["unit"]) == (0.1, "mm")


def test_every_average_follows_its_images() -> None:
    summary = summarize(example(), STAMP)
    assert summary["boundary_iou"]["n"] == summary["nsd"]["n"] == summary["hd"]["n"] == 3
    assert (summary["nsd"]["tolerance"], summary["nsd"]["tolerance_unit"]) == (2.0, "px")
    assert "unit" not in summary["nsd"]
    # Sizes: right, right, nothing found.
    assert summary["area_error"]["mean"] == summary["area_error_abs"]["mean"] * -1
    assert summary["area_difference"]["mean"] == pytest.approx(-100 / 3, abs=1e-6)
    assert summary["false_positive_area"]["n"] == 2
    assert (summary["false_positive_area"]["mean"], summary["false_positive_area"]["unit"]) == (
        50.0,
        "px",
    )
    assert summary["kaggle_dice"]["mean"] == summary["dice_all"]["mean"]
    assert summary["isic_jaccard"]["mean"] == pytest.approx(1 / 4)
    assert summary["specificity"]["n"] == summary["brier"]["n"] == summary["confidence"]["n"] == 5
    assert summary["auc"]["n"] == summary["average_precision"]["n"] == 3


def test_a_signed_error_and_its_size_are_two_figures() -> None:
    rows = [
        *rows_of("large", box(5, 5), box(5, 5, 10, 15)),
        *rows_of("small", box(5, 5), box(5, 5, 10, 5)),
    ]
    summary = summarize(rows, STAMP)
    assert (summary["area_error"]["mean"], summary["area_error_abs"]["mean"]) == (0.0, 0.5)


def test_the_tails_stand_beside_the_median() -> None:
    rows = [row for n in range(21) for row in rows_of(f"c{n:02}", box(5, 0), box(5, n % 21))]
    entry = summarize(rows, STAMP)["hd95"]
    assert (entry["p5"], entry["median"], entry["p95"]) == (1.0, 10.0, 19.0)
    nothing = summarize(rows_of("clean", blank(), blank()), STAMP)["dice_lesion"]
    assert (nothing["p5"], nothing["p95"]) == (None, None)


def test_a_table_of_an_earlier_version_is_still_summarized() -> None:
    rows = [row for row in example() if row.metric in CORE_METRICS]
    old, new = summarize(rows, STAMP), summarize(example(), STAMP)
    for name in CORE_AVERAGES:
        assert old[name] == new[name]
    assert "nsd" not in old
    assert not {"calibration", "aurc", "failures"} & set(old)
    assert old["per_class"].keys() == new["per_class"].keys()


def test_the_committed_table_is_of_such_a_version() -> None:
    path = Path(__file__).parents[2] / "results" / "busi_simplified_unet" / "cases.csv"
    summary = summarize_cases(path)
    assert summary["n"] == 124
    empty = summary["baselines"]["all_empty"]["dice_all"]
    assert empty["mean"] == pytest.approx(21 / 124, abs=1e-6)


def test_facts_of_an_image_are_no_label() -> None:
    labels = ("head", "body")
    rows = rows_of("a", box(2, 2), box(2, 2), labels=labels)
    summary = summarize(rows, STAMP)
    assert list(summary["per_label"]) == ["head", "body"]
    assert summary["confidence"]["mean"] == 1.0
    assert "auc" not in summary


def test_nsd_at_two_tolerances_is_never_mixed() -> None:
    one = rows_of("a", box(5, 5), box(5, 6))
    two = [
        replace(row, case="b", value=0.5, unit="mm") if row.metric == "nsd_tolerance" else
        replace(row, case="b") for row in one
    ]  # fmt: skip
    summary = summarize([*one, *two], STAMP)
    assert "nsd" not in summary
    assert (summary["nsd_px"]["tolerance"], summary["nsd_px"]["n"]) == (2.0, 1)
    assert (summary["nsd_mm"]["tolerance"], summary["nsd_mm"]["tolerance_unit"]) == (0.5, "mm")
    wrong = [replace(row, unit="px") if row.metric == "nsd_tolerance" else row for row in two]
    with pytest.raises(DataError, match=r"case 'b': expected nsd at 2 px .* got 0.5 px"):
        summarize([*one, *wrong], STAMP)


def test_areas_in_square_millimeters_have_a_key_of_their_own() -> None:
    rows = [
        *rows_of("a", box(5, 5), box(5, 5, 10, 12)),
        *rows_of("b", box(5, 5), box(5, 5, 10, 12), spacing_mm=(0.1, 0.1)),
    ]
    summary = summarize(rows, STAMP)
    assert (summary["area_difference_px"]["mean"], summary["area_difference_px"]["n"]) == (20.0, 1)
    assert summary["area_difference_mm2"]["mean"] == pytest.approx(0.2)
    assert summary["area_difference_mm2"]["unit"] == "mm2"


def test_the_stamp_and_the_rule_are_in_it() -> None:
    summary = summarize(example(), STAMP)
    assert summary["schema"] == "featherseg.summary/1"
    assert summary["rule"] == list(EMPTY_MASK_RULE)
    assert (summary["subset"], summary["external"], summary["protocol"]) == ("test", False, "safe")
    assert (summary["split_sha256"], summary["chosen_on"]) == ("ab" * 32, "validation")
    assert summary["model"] == {"id": "m1"}
    assert set(AVERAGES) <= set(summary)


def test_the_summary_is_json_and_comes_again_from_the_table(tmp_path: Path) -> None:
    write_cases_csv(example(), tmp_path / "cases.csv")
    summary = summarize(example(), STAMP)
    write_json(tmp_path / "summary.json", summary)
    assert summarize_cases(tmp_path / "cases.csv") == json.loads(json.dumps(summary))
    assert summary["cases_sha256"] == sha256_file(tmp_path / "cases.csv")


def test_figures_come_from_the_table_not_from_the_old_summary(tmp_path: Path) -> None:
    summary = summarize(example(), STAMP)
    write_json(tmp_path / "summary.json", summary)
    worse = [replace(row, value=0.0) if row.metric == "dice" else row for row in example()]
    write_cases_csv(worse, tmp_path / "cases.csv")
    assert summarize_cases(tmp_path / "cases.csv")["dice_lesion"]["mean"] == 0.0


def test_without_a_summary_beside_it_the_stamp_is_empty(tmp_path: Path) -> None:
    write_cases_csv(example(), tmp_path / "cases.csv")
    found = summarize_cases(tmp_path / "cases.csv")
    assert (found["subset"], found["external"], found["model"]) == (None, None, {})


@pytest.mark.parametrize("content", ["{", "[]", '{"subset": "test"}'])
def test_another_json_beside_the_table_is_refused(tmp_path: Path, content: str) -> None:
    write_cases_csv(example(), tmp_path / "cases.csv")
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(DataError, match="expected a summary of FeatherSeg"):
        summarize_cases(tmp_path / "cases.csv")


def without(rows: list[Row], case: str, metric: str) -> list[Row]:
    return [row for row in rows if (row.case, row.metric) != (case, metric)]


@pytest.mark.parametrize("metric", ["dice", "area_true", "hd95"])
def test_missing_rows_are_noticed(metric: str) -> None:
    with pytest.raises(DataError, match="case 'half': expected all metrics"):
        summarize(without(example(), "half", metric), STAMP)


def test_a_case_without_one_label_is_noticed() -> None:
    rows = rows_of("a", box(2, 2), box(2, 2), labels=("x", "y"))
    other = rows_of("b", box(2, 2), box(2, 2), labels=("x", "y"))
    with pytest.raises(DataError, match="case 'b'"):
        summarize([*rows, *(row for row in other if not row.metric.endswith(":y"))], STAMP)


def test_doubled_rows_and_an_empty_table_are_refused() -> None:
    with pytest.raises(DataError, match="'perfect': the metric area_true stands there twice"):
        summarize(example() + example(), STAMP)
    with pytest.raises(DataError, match="at least one case"):
        summarize([], STAMP)


def test_no_mean_is_ever_nan() -> None:
    def numbers(value: Any) -> list[float]:
        if isinstance(value, Mapping):
            return [each for item in value.values() for each in numbers(item)]
        if isinstance(value, list):
            return [each for item in value for each in numbers(item)]
        return [value] if isinstance(value, float) else []

    tables = [example(), rows_of("clean", blank(), blank()), rows_of("m", box(1, 1), blank())]
    for table in tables:
        assert all(np.isfinite(numbers(summarize(table, STAMP))))


def test_a_subset_that_chose_the_model_is_no_test() -> None:
    with pytest.raises(DataError, match="the test subset chose this model's epoch"):
        Stamp(subset="test", chosen_on="test")
    assert Stamp(subset="test", chosen_on="test of other data").subset == "test"

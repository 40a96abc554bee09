"""Finding nothing, from the table alone, equals scoring empty masks."""

import pytest

from featherseg.case_table import Row
from featherseg.summary import Stamp, summarize
from tests.scoring import blank, box, rows_of

# Nothing was found, so these rest on a model that was not asked.
_OF_THE_MODEL = {"auc", "average_precision", "brier", "brier_band", "ece_band", "confidence"}
# The area of a pixel is not in the table.
_NOT_IN_IT = {"area_difference"}


def table(*, empty: bool, spacing_mm: tuple[float, float] | None = None) -> list[Row]:
    pairs = {
        "hit": (box(5, 5), box(6, 7)),
        "large": (box(0, 0, 20, 30), box(0, 0, 20, 20)),
        "missed": (box(9, 9), blank()),
        "alarm": (blank(), box(0, 0)),
        "clean": (blank(), blank()),
    }
    return [
        row
        for name, (truth, found) in pairs.items()
        for row in rows_of(
            name, truth, blank() if empty else found, (name, "a"), spacing_mm=spacing_mm
        )
    ]


@pytest.mark.parametrize("spacing_mm", [None, (0.1, 0.2)])
def test_the_baseline_equals_scoring_empty_masks(
    spacing_mm: tuple[float, float] | None,
) -> None:
    real = summarize(table(empty=False, spacing_mm=spacing_mm), Stamp())
    empty = summarize(table(empty=True, spacing_mm=spacing_mm), Stamp())
    baseline = real["baselines"]["all_empty"]
    assert baseline["presence"] == empty["presence"]
    averages = {
        name for name, entry in empty.items() if isinstance(entry, dict) and "over" in entry
    }
    assert set(baseline) - {"presence"} >= averages - _OF_THE_MODEL - _NOT_IN_IT - {"calibration"}
    for name, entry in baseline.items():
        if name != "presence":
            assert entry["mean"] == pytest.approx(empty[name]["mean"], abs=1e-6), name
            assert (entry["n"], entry["over"]) == (empty[name]["n"], empty[name]["over"]), name


def test_without_the_size_of_the_image_distances_and_accuracy_are_left_out() -> None:
    rows = [row for row in table(empty=False) if not row.metric.endswith("_image")]
    baseline = summarize(rows, Stamp())["baselines"]["all_empty"]
    assert not {"hd95", "assd", "accuracy", "iou_mean"} & set(baseline)
    assert baseline["dice_lesion"]["mean"] == 0.0
    assert baseline["dice_all"]["mean"] == pytest.approx(2 / 5)


def test_several_labels() -> None:
    labels = ("head", "body")
    rows = [
        *rows_of("both", box(2, 2) + box(2, 20, label=2), box(2, 2), labels=labels),
        *rows_of("head", box(2, 2), box(2, 2), labels=labels),
    ]
    baseline = summarize(rows, Stamp())["baselines"]["all_empty"]
    # In the second image the label that is not there is rightly not found.
    assert baseline["dice_all"]["mean"] == pytest.approx((0 + 0.5) / 2)
    assert baseline["dice_lesion"]["mean"] == 0.0

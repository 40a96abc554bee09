"""Calibration, risk against coverage, and flags, from the table."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featherseg.case_table import Row
from featherseg.evaluation import case_rows
from featherseg.metrics.boundary import band
from featherseg.metrics.calibration import ece, reliability
from featherseg.summary import Stamp, summarize
from featherseg.types import Case, Floats, Image, Mask, Segmentation
from tests.scoring import HEIGHT, WIDTH, blank, box, rows_of


def with_probability(name: str, truth: Mask, probability: Floats) -> list[Row]:
    image = Image(np.zeros(truth.shape, np.uint8), None, name)
    found = (probability > 0.5).astype(np.uint8)
    segmentation = Segmentation(found, probability, ("lesion",), image, "m")
    return list(case_rows(Case(name, name, Path(name), (), ""), truth, segmentation, ("lesion",)))


def chance(seed: int) -> Floats:
    return np.random.default_rng(seed).random((HEIGHT, WIDTH), np.float32)


def test_the_reliability_plot_of_one_image_is_that_of_its_band() -> None:
    summary = summarize(with_probability("a", box(5, 5), chance(0)), Stamp())
    near = band(box(5, 5) > 0)
    bins = reliability(box(5, 5)[near] > 0, chance(0)[near])
    found = summary["calibration"]
    assert found["n"] == 1
    assert found["ece"] == pytest.approx(ece(bins), abs=1e-5)
    assert found["ece"] == pytest.approx(summary["ece_band"]["mean"], abs=1e-5)
    assert [entry["true"] for entry in found["bins"]] == pytest.approx(
        [each.true for each in bins], abs=1e-5
    )
    assert (found["bins"][0]["low"], found["bins"][-1]["high"]) == (0.0, 1.0)


def test_every_image_counts_the_same_however_long_its_outline() -> None:
    small, large = box(5, 5, 3, 3), box(2, 2, 25, 30)
    always = np.full((HEIGHT, WIDTH), 0.95, np.float32)
    rows = [
        *with_probability("small", small, always),
        *with_probability("large", large, always),
        *with_probability("clean", blank(), always),
    ]
    found = summarize(rows, Stamp())["calibration"]
    shares = [float(part[band(part > 0)].mean()) for part in (small, large)]
    assert found["n"] == 2
    assert len(found["bins"]) == 1
    assert found["bins"][0]["true"] == pytest.approx(np.mean(shares), abs=1e-5)
    assert found["bins"][0]["share"] == 1.0


def rows_with_confidence(values: dict[str, tuple[float, float]]) -> list[Row]:
    """Cases of a given (Dice, confidence)."""
    rows = []
    for name, (dice, confidence) in values.items():
        for row in rows_of(name, box(5, 5), box(5, 5)):
            value: Any = {"dice": dice, "confidence": confidence}.get(row.metric, row.value)
            rows.append(Row(row.case, row.group, row.class_name, row.metric, value, row.unit))
    return rows


def test_risk_and_coverage_follow_dice_and_confidence() -> None:
    rows = rows_with_confidence({"a": (1.0, 0.9), "b": (0.8, 0.8), "c": (0.1, 0.2)})
    summary = summarize(rows, Stamp())
    assert summary["aurc"] == pytest.approx(
        {"value": (0.0 + 0.1 + 1.1 / 3) / 3, "best": (0.0 + 0.1 + 1.1 / 3) / 3,
         "random": 1.1 / 3, "n": 3},
        abs=1e-6,
    )  # fmt: skip
    assert summary["failures"] == {
        "dice_below": 0.5,
        "n": 3,
        "n_failed": 1,
        "auroc_confidence": 1.0,
        "auroc_flagged": None,
    }


def test_the_risk_follows_the_rule_for_empty_masks() -> None:
    rows = [
        *rows_of("clean", blank(), blank()),
        *rows_of("alarm", blank(), box(1, 1)),
        *rows_of("missed", box(1, 1), blank()),
    ]
    assert summarize(rows, Stamp())["aurc"]["random"] == pytest.approx(2 / 3, abs=1e-6)
    assert summarize(rows, Stamp())["failures"]["n_failed"] == 2


def test_flags_are_judged_by_the_failures_they_tell() -> None:
    dice = {"a": 1.0, "b": 0.2, "c": 0.1, "d": 0.9}
    rows = rows_with_confidence({name: (value, 0.9) for name, value in dice.items()})
    flags = {"a": 0, "b": 1, "c": 0, "d": 0}
    rows += [Row(name, name, "", "flagged", value, "") for name, value in flags.items()]
    failures = summarize(rows, Stamp())["failures"]
    assert failures["auroc_flagged"] == 0.75
    assert failures["auroc_confidence"] == 0.5


def test_without_failures_nothing_can_be_told() -> None:
    summary = summarize(rows_with_confidence({"a": (1.0, 0.9), "b": (0.8, 0.1)}), Stamp())
    assert summary["failures"]["auroc_confidence"] is None


def test_half_a_dice_is_no_failure() -> None:
    rows = rows_with_confidence({"a": (0.5, 0.9), "b": (0.499, 0.1)})
    assert summarize(rows, Stamp())["failures"]["n_failed"] == 1

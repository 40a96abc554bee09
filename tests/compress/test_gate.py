"""The gate's arithmetic against values made by hand, and its Dice against an evaluation's."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from featherseg.bundle import load_bundle
from featherseg.compress.gate import (
    CaseScore,
    GateCase,
    Quantized,
    described,
    judge,
    score_case,
    score_cases,
)
from featherseg.datasets import load_dataset, read_case
from featherseg.errors import DataError
from featherseg.evaluation import evaluate
from featherseg.segment import Segmenter
from featherseg.stats import mean_interval
from featherseg.summary.averages import figures
from featherseg.summary.table import gather
from featherseg.types import Mask
from tests.tiny import blob_images, write_tiny_bundle

HOW = Quantized("by hand", calibration_images=12, layers=3, kept_layers=("last",))


def lesion(dice: float, group: str = "", found: bool = True) -> CaseScore:
    return CaseScore(group or str(dice), dice, found)


def normal(found: bool = False) -> CaseScore:
    return CaseScore("n", None, found)


def mask(*values: int) -> Mask:
    return np.array([values], np.uint8)


@pytest.mark.parametrize(
    ("truth", "found", "labels", "dice", "is_found"),
    [
        (mask(1, 1, 0, 0), mask(1, 1, 0, 0), 1, 1.0, True),
        (mask(1, 1, 0, 0), mask(0, 1, 1, 0), 1, 0.5, True),
        (mask(1, 1, 0, 0), mask(0, 0, 0, 0), 1, 0.0, False),
        (mask(0, 0, 0, 0), mask(0, 0, 0, 0), 1, None, False),
        (mask(0, 0, 0, 0), mask(0, 1, 0, 0), 1, None, True),
        # Label 2 is there and missed, label 3 is neither there nor found.
        (mask(1, 1, 2, 0), mask(1, 1, 0, 0), 3, 0.5, True),
    ],
)
def test_a_case(truth: Mask, found: Mask, labels: int, dice: float | None, is_found: bool) -> None:
    assert score_case(truth, found, labels, "g") == CaseScore("g", dice, is_found)


def test_the_figures_are_those_made_by_hand() -> None:
    before = [lesion(0.9, "a"), lesion(0.8, "b"), lesion(0.0, "c", False), normal(), normal(True)]
    after = [lesion(0.89, "a"), lesion(0.81, "b"), lesion(0.0, "c", False), normal(True), normal()]
    gate = judge(before, after, HOW, "validation")
    assert (gate.images, gate.lesions) == (5, 3)
    assert gate.dice_float == pytest.approx(1.7 / 3)
    assert gate.dice_int8 == pytest.approx(1.7 / 3)
    assert gate.difference.mean == 0.0
    assert (gate.missed_float, gate.missed_int8, gate.newly_missed) == (1, 1, 0)
    assert (gate.false_alarms_float, gate.false_alarms_int8) == (1, 1)
    assert (gate.method, gate.layers, gate.kept_layers) == ("by hand", 3, ("last",))
    assert gate.passed
    interval = mean_interval([-0.01, 0.01, 0.0], 0, groups=["a", "b", "c"])
    assert interval is not None
    assert gate.difference.low == pytest.approx(interval.low)
    assert gate.difference.high == pytest.approx(interval.high)


@pytest.mark.parametrize(
    ("falls", "passed"),
    [((0.005, 0.005), True), ((0.0051, 0.005), False), ((0.01, 0.0), True), ((-0.2, 0.1), True)],
)
def test_the_mean_may_fall_by_a_two_hundredth(falls: Sequence[float], passed: bool) -> None:
    before = [lesion(0.7, "a"), lesion(0.6, "b")]
    after = [lesion(0.7 - falls[0], "a"), lesion(0.6 - falls[1], "b")]
    assert judge(before, after, HOW, "validation").passed is passed


def test_a_lesion_newly_missed_fails_even_where_another_is_newly_found() -> None:
    before = [lesion(0.01, "a"), lesion(0.0, "b", False), lesion(0.9, "c")]
    after = [lesion(0.0, "a", False), lesion(0.5, "b"), lesion(0.95, "c")]
    gate = judge(before, after, HOW, "validation")
    assert gate.difference.mean > 0
    assert (gate.missed_float, gate.missed_int8, gate.newly_missed) == (1, 1, 1)
    assert not gate.passed


def test_groups_widen_the_interval() -> None:
    generator = np.random.default_rng(0)
    shifts = np.repeat(generator.normal(0, 0.02, 12), 10)
    before = [lesion(0.8, f"{place // 10}") for place in range(120)]
    after = [
        lesion(0.8 + float(shift), each.group) for each, shift in zip(before, shifts, strict=True)
    ]
    together = judge(before, after, HOW, "v").difference
    alone = [CaseScore(str(place), each.dice, True) for place, each in enumerate(after)]
    apart = judge([CaseScore(each.group, 0.8, True) for each in alone], alone, HOW, "v").difference
    assert together.mean == pytest.approx(apart.mean)
    assert None not in (together.low, together.high, apart.low, apart.high)
    assert (together.high or 0) - (together.low or 0) > 2 * ((apart.high or 0) - (apart.low or 0))


def test_one_group_has_no_interval() -> None:
    difference = judge([lesion(0.5, "a")], [lesion(0.5, "a")], HOW, "v").difference
    assert (difference.mean, difference.low, difference.high) == (0.0, None, None)


def test_without_a_lesion_there_is_nothing_to_compare() -> None:
    with pytest.raises(DataError, match=r"none of the 2 validation images has anything to find"):
        judge([normal(), normal()], [normal(), normal()], HOW, "validation")


def test_the_line_has_every_figure() -> None:
    before, after = [lesion(0.9, "a"), lesion(0.8, "b"), normal()], [lesion(0.5, "a")]
    after += [lesion(0.0, "b", False), normal(True)]
    line = described(judge(before, after, HOW, "validation"))
    assert "\n" not in line
    for part in (
        "0.8500 in f32, 0.2500 in int8 on 2 validation",
        "-0.6000 (95 % interval",
        "1 new",
    ):
        assert part in line


def test_dice_and_missed_are_those_of_an_evaluation(tmp_path: Path) -> None:
    images, masks = blob_images(5, seed=3)
    masks[1] = 0
    images[2] = 30
    for name, arrays in (("images", images), ("masks", masks * np.uint8(255))):
        (tmp_path / name).mkdir()
        for number, pixels in enumerate(arrays):
            PIL.Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    write_tiny_bundle(tmp_path / "bundle")
    segmenter = Segmenter.from_bundle(load_bundle(tmp_path / "bundle"))
    dataset = load_dataset(tmp_path, "folder")
    evaluation = evaluate(segmenter, dataset)
    cases = gather(evaluation.rows)
    known = figures(cases, [""], ["dice_lesion"])
    read = (read_case(dataset, case) for case in dataset.cases)
    scores = score_cases(segmenter, [GateCase(*pair, str(at)) for at, pair in enumerate(read)])
    gate = judge(scores, scores, HOW, "validation")
    assert gate.dice_float == pytest.approx(known["dice_lesion"]["mean"], abs=1e-6)
    assert gate.missed_float == known["presence"]["missed"] == 1
    assert gate.false_alarms_float == known["presence"]["false_alarms"] == 1
    assert (gate.images, gate.lesions) == (known["n"], known["n_lesion"])

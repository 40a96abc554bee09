"""Training curves: valid, the same every time, and forgiving of what is missing."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

import matplotlib
import pytest

from featherseg.report.curves import Epoch, curves_svg


def history(epochs: int = 12) -> list[Epoch]:
    return [
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "validation_loss": 1.2 / epoch,
            "validation_dice": 0.9 - (epoch - 8) ** 2 / 100,
            "lr": 1e-3 if epoch < 6 else 5e-4,
        }
        for epoch in range(1, epochs + 1)
    ]


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_curves_name_their_lines_and_the_best_epoch() -> None:
    shown = texts(curves_svg(history()))
    assert "Validation Dice, best 0.900 at epoch 8" in shown
    assert {"Loss", "training", "validation", "learning rate cut", "epoch"} <= set(shown)


def test_equal_histories_give_equal_bytes_and_leave_no_state() -> None:
    before = dict(matplotlib.rcParams)
    assert curves_svg(history()) == curves_svg(history())
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    "partial",
    [
        [],
        [{"epoch": 1, "train_loss": 0.5}],
        [{"epoch": 1, "validation_dice": None}, {"epoch": 2, "validation_dice": 0.5}],
        [{"epoch": 1}, {"epoch": 2}],
    ],
)
def test_missing_values_are_gaps(partial: Sequence[Epoch]) -> None:
    ElementTree.fromstring(curves_svg(partial))


def test_the_svg_stands_alone() -> None:
    svg = curves_svg(history(40))
    assert svg.startswith("<svg ")
    assert "<script" not in svg
    assert "<style" not in svg
    assert "<metadata" not in svg
    assert len(svg) < 60_000

"""The display of a training."""

import pytest

from featherseg.cli.training_progress import sparkline, training_progress
from featherseg.train.training import Tick


def test_the_display_takes_every_tick(capsys: pytest.CaptureFixture[str]) -> None:
    with training_progress() as tell:
        for epoch, dice in ((1, 0.25), (2, 0.875), (3, 0.5)):
            before = None if epoch == 1 else 0.25
            for step in range(1, 5):
                tell(Tick(epoch, 3, step, 4, 0.5, before))
            tell(Tick(epoch, 3, 4, 4, 0.25, dice))
    shown = capsys.readouterr().err
    assert "epoch 3/3" in shown
    assert "12/12" in shown
    assert "loss 0.2500" in shown
    assert "Dice 0.500 ▁█▄" in shown.replace("\n", " ")


def test_a_training_without_validation_shows_none(capsys: pytest.CaptureFixture[str]) -> None:
    with training_progress() as tell:
        tell(Tick(1, 1, 1, 1, 0.5, None))
        tell(Tick(1, 1, 1, 1, 0.5, None))
    assert "Dice -" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([0.7], "▁"),
        ([0.7, 0.7], "▁▁"),
        ([0.0, 0.5, 1.0], "▁▅█"),
        ([0.70, 0.71, 0.77], "▁▂█"),
    ],
)
def test_sparkline(values: list[float], line: str) -> None:
    assert sparkline(values) == line

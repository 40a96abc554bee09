"""A training on the terminal: bar, loss, validation Dice and its course, time left."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featherseg.train.training import Tick

_BLOCKS = "▁▂▃▄▅▆▇█"
_LONGEST = 24


@contextmanager
def training_progress() -> "Iterator[Callable[[Tick], None]]":
    """A display of a training on stderr, as a function to tell."""
    from rich.progress import TextColumn

    from featherseg.cli.console import progress_bar

    columns = (
        TextColumn("loss {task.fields[loss]}"),
        TextColumn("Dice {task.fields[dice]} {task.fields[course]}"),
    )
    with progress_bar(*columns) as bar:
        task = bar.add_task("training", total=None, loss="-", dice="-", course="")
        dices: list[float] = []
        last = (0, 0)

        def tell(tick: "Tick") -> None:
            nonlocal last
            done = (tick.epoch - 1) * tick.steps + tick.step
            if bar.tasks[0].total is None:
                # A resumed run begins here: what it skips must not count as speed.
                bar.reset(task, total=tick.epochs * tick.steps, completed=done)
            # The last step of an epoch is told, and once more when the epoch is validated.
            if last == (tick.epoch, tick.step) and tick.validation_dice is not None:
                dices.append(tick.validation_dice)
            last = (tick.epoch, tick.step)
            bar.update(
                task,
                description=f"epoch {tick.epoch}/{tick.epochs}",
                completed=done,
                loss=f"{tick.loss:.4f}",
                dice="-" if tick.validation_dice is None else f"{tick.validation_dice:.3f}",
                course=sparkline(dices[-_LONGEST:]),
            )

        yield tell


def sparkline(values: Sequence[float]) -> str:
    """Values as a row of blocks, the lowest the smallest and the highest the full one."""
    if not values:
        return ""
    least, most = min(values), max(values)
    if least == most:
        return _BLOCKS[0] * len(values)
    highest = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round(highest * (value - least) / (most - least))] for value in values)

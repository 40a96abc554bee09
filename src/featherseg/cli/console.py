"""What the verbs share when they talk: a progress bar and JSON on standard output."""

import json
import sys
from collections.abc import Iterable, Iterator
from operator import length_hint
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")

# Progress and remarks go to stderr, so that --json on stdout can be piped.
remarks = Console(stderr=True, highlight=False)
output = Console(highlight=False)
_running: list[Progress] = []


def progress_bar(*extra: TextColumn) -> Progress:
    """A progress display on stderr: description, bar, count, elapsed and remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        *extra,
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=remarks,
    )


def tracked(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items` while a progress bar named `description` moves on stderr."""
    with progress_bar() as progress:
        _running.append(progress)
        task = progress.add_task(description, total=total or length_hint(items) or None)
        try:
            for item in items:
                yield item
                progress.advance(task)
        finally:
            _running.remove(progress)


def stop_bars() -> None:
    """Stop all bars that an error has left behind, before anything else is printed.

    An error in the loop around `tracked` leaves its generator suspended: the bar's thread
    would go on drawing, and deadlock when the garbage collector closes it.
    """
    for progress in _running:
        progress.stop()


def print_json(value: Any) -> None:
    """Print `value` as indented JSON on stdout; NaN and infinity are refused."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")

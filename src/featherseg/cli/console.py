"""What the verbs share when they talk: consoles, progress bars and JSON on standard output.

Rich takes a tenth of a second to import, as long as a small image takes to be segmented: it is
loaded when the first bar or table is drawn, not before.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from functools import cache
from operator import length_hint
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TextColumn

Item = TypeVar("Item")

# What is done sooner shows no bar.
_SILENT_SECONDS = 1.0
_running: list["Progress"] = []


@cache
def output() -> "Console":
    """Standard output: results, and with --json nothing but JSON."""
    from rich.console import Console

    return Console(highlight=False)


@cache
def remarks() -> "Console":
    """Standard error: progress and remarks, so that --json on stdout can be piped."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def progress_bar(*extra: "TextColumn") -> "Progress":
    """A progress display on stderr: description, bar, count, elapsed and remaining time."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        *extra,
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=remarks(),
    )


def tracked(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items`; a bar named `description` moves on stderr where that takes a while."""
    count = total or length_hint(items) or None
    started = time.monotonic()
    bar = None
    done = 0
    try:
        for item in items:
            yield item
            done += 1
            if bar is None and time.monotonic() - started > _SILENT_SECONDS:
                bar = progress_bar()
                bar.add_task(description, total=count)
                bar.start()
                _running.append(bar)
            if bar is not None:
                bar.update(bar.task_ids[0], completed=done)
    finally:
        if bar is not None and bar in _running:
            bar.stop()
            _running.remove(bar)


def stop_bars() -> None:
    """Stop all bars that an error has left behind, before anything else is printed.

    An error in the loop around `tracked` leaves its generator suspended: the bar's thread
    would go on drawing, and deadlock when the garbage collector closes it.
    """
    while _running:
        _running.pop().stop()


def print_json(value: Any) -> None:
    """Print `value` as indented JSON on stdout; NaN and infinity are refused."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")

"""How work that takes a while talks to whoever waits for it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from featherseg.train.training import Tick


@contextmanager
def _silent() -> Iterator[Callable[[Tick], None]]:
    yield lambda _: None


def _untracked(items: Sequence[Any], _: str) -> Iterable[Any]:
    return items


@dataclass(frozen=True)
class Show:
    """A line, a spinner, a bar around items, and one around a training; by default silence."""

    say: Callable[[str], None] = lambda _: None
    busy: Callable[[str], AbstractContextManager[object]] = nullcontext
    track: Callable[[Sequence[Any], str], Iterable[Any]] = _untracked
    training: Callable[[], AbstractContextManager[Callable[[Tick], None]]] = _silent


SILENT = Show()

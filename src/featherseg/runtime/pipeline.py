"""Many images through one network: the next ones are prepared while earlier ones are worked on.

A queue of begun requests does it, first in, first out. OpenVINO's own `AsyncInferQueue` hands
results to callbacks, in the order in which they happen to end and on other threads; here they
come back in order, and an error is raised where the caller stands.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

from featherseg.runtime import MaskSession
from featherseg.runtime.masks import Started
from featherseg.types import Mask, Pixels

Item = TypeVar("Item")

# Images worked on at a time, and in the queue: one more, so that no stream waits for the next.
STREAMS = 2
DEPTH = STREAMS + 1


def masks_in_order(
    session: MaskSession,
    items: Iterable[Item],
    pixels: Callable[[Item], Pixels],
    depth: int = DEPTH,
) -> Generator[tuple[Item, Mask]]:
    """Each item with its label mask uint8 (h, w) at the network's size, in order.

    `pixels` makes uint8 (1, h, w, C) of an item. At most `depth` items are begun and not yet
    given back, so that memory is bounded and `items` is read no faster than it is worked on; with
    1 each item is finished before the next is asked for, as a live source wants it. Open `session`
    with several streams to gain from more.

    What `items`, `pixels` or the network raises is raised here, after the results of all items
    before it.
    """
    begun: deque[tuple[Item, Started]] = deque()
    source = iter(items)
    failure: Exception | None = None
    exhausted = False
    try:
        while begun or not exhausted:
            if exhausted or len(begun) == depth:
                item, finished = begun.popleft()
                yield item, finished()[0]
                continue
            try:
                item = next(source)
                begun.append((item, session.start(pixels(item))))
            except StopIteration:
                exhausted = True
            except Exception as error:
                exhausted, failure = True, error
    finally:
        # Requests read the memory of their pixels until they end.
        for _, finished in begun:
            with contextlib.suppress(Exception):
                finished()
    if failure is not None:
        raise failure

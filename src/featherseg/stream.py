"""Frames of a recording or a camera to masks, one after the other, in constant memory.

The masks are the fast ones: thresholded at the network's size and enlarged. They may be smoothed
over time, by a majority of the last masks.
"""

import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import cv2
import numpy as np

from featherseg.images.video import Frame
from featherseg.measure import Spacing, axes
from featherseg.postprocess import OperatingPoint, select_components
from featherseg.preprocess import Preprocessing, fit_mask, fit_pixels
from featherseg.runtime import MaskSession
from featherseg.runtime.pipeline import DEPTH, masks_in_order
from featherseg.shape import largest_part, without_holes
from featherseg.types import Mask, Pixels

_MS = 1000.0
# A thread that waits for a camera cannot be woken; it is left to end by itself.
_LONGEST_WAIT_S = 2.0


@dataclass(frozen=True)
class FrameMask:
    """A frame and its mask uint8 (H, W) on the frame's grid, smoothed where that was asked for.

    ``dropped`` frames of the source were skipped just before it; ``latency_ms`` runs from its
    pixels to this mask. ``dice`` is that of its mask, as found, with the one before, both at the
    network's size; ``smoothed_dice`` the same after smoothing. They are None for the first frame,
    and 1 where both masks are empty.
    """

    frame: Frame
    mask: Mask
    dropped: int
    latency_ms: float
    dice: float | None
    smoothed_dice: float | None


def segment_frames(
    session: MaskSession,
    expected: Preprocessing,
    point: OperatingPoint,
    frames: Iterable[Frame],
    *,
    depth: int = DEPTH,
    smooth: int = 1,
) -> Generator[FrameMask, None, None]:
    """Masks of all frames, in order; `depth` as in `masks_in_order`, 1 for a live source.

    `smooth` is how many masks vote, the frame's own and those before it; 1 leaves them as found.
    """

    def fitted(frame: Frame) -> Pixels:
        return fit_pixels(frame.pixels, expected.input_size, expected.channels)[np.newaxis]

    voters: deque[Mask] = deque(maxlen=smooth)
    last: tuple[Frame, Mask, Mask] | None = None
    with closing(masks_in_order(session, frames, fitted, depth)) as results:
        for frame, found in results:
            voters.append(select_components(found, point))
            smoothed = majority(tuple(voters)) if smooth > 1 else voters[-1]
            mask = fit_mask(smoothed, (frame.pixels.shape[0], frame.pixels.shape[1]))
            yield FrameMask(
                frame=frame,
                mask=mask,
                dropped=frame.number - (last[0].number if last else -1) - 1,
                latency_ms=_MS * (time.perf_counter() - frame.read_s),
                dice=overlap(last[1], voters[-1]) if last else None,
                smoothed_dice=overlap(last[2], smoothed) if last else None,
            )
            last = (frame, voters[-1], smoothed)


def majority(masks: Sequence[Mask]) -> Mask:
    """The mask that most of several label masks (h, w) vote for.

    A pixel is foreground where more than half of the masks say so, and has the label that most of
    these give it, of equals the lowest.
    """
    highest = max(int(mask.max(initial=0)) for mask in masks)
    voted = np.zeros(masks[0].shape, np.uint8)
    most, all_votes = np.zeros(voted.shape, np.uint16), np.zeros(voted.shape, np.uint16)
    for label in range(1, highest + 1):
        votes = np.zeros_like(most)
        for mask in masks:
            votes += mask == label
        np.copyto(voted, np.uint8(label), where=votes > most)
        np.maximum(most, votes, out=most)
        all_votes += votes
    voted *= all_votes > len(masks) // 2
    return voted


def lag(smooth: int) -> int:
    """By how many frames a majority of `smooth` masks follows what appears or goes."""
    return smooth // 2


def overlap(first: Mask, second: Mask) -> float:
    """Dice of any foreground of two label masks; 1 where both are empty."""
    one, other = first > 0, second > 0
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * np.count_nonzero(one & other) / total if total else 1.0


def extent(part: Mask, spacing: Spacing = (1.0, 1.0)) -> tuple[int, float | None, float | None]:
    """Area in pixels, and long and short axis of the largest part, as `measure.measure` has them.

    `part` is 0 or 1, uint8 (H, W); the axes are in units of `spacing`, None where it is empty.
    """
    x, y, width, height = cv2.boundingRect(part)
    if not width:
        return 0, None, None
    box = part[y : y + height, x : x + width]
    _, outline = without_holes(largest_part(box.view(np.bool_)))
    placed = np.add(outline, (y, x), dtype=np.int32)
    hull = cv2.convexHull(placed).reshape(-1, 2).astype(np.float64)
    return cv2.countNonZero(box), *axes(hull, spacing)


def latest(frames: Generator[Frame, None, None]) -> Generator[Frame, None, None]:
    """The newest frame whenever one is asked for: a thread reads on, what came before is dropped.

    The last frame is never dropped. What `frames` raises is raised after it.
    """
    changed = threading.Condition()
    newest: deque[Frame] = deque(maxlen=1)
    ended: list[Exception | None] = []
    stopped = threading.Event()

    def read() -> None:
        failure = None
        try:
            with closing(frames):
                for frame in frames:
                    with changed:
                        newest.append(frame)
                        changed.notify()
                    if stopped.is_set():
                        break
        except Exception as error:
            failure = error
        with changed:
            ended.append(failure)
            changed.notify()

    reader = threading.Thread(target=read, name="frames", daemon=True)
    reader.start()
    try:
        while True:
            with changed:
                changed.wait_for(lambda: newest or ended)
                if not newest:
                    break
                frame = newest.popleft()
            yield frame
    finally:
        stopped.set()
        reader.join(_LONGEST_WAIT_S)
    if ended[0] is not None:
        raise ended[0]


def paced(frames: Generator[Frame, None, None]) -> Generator[Frame, None, None]:
    """Each frame at its time in the recording, as if it came from a camera.

    Frames without a time come at once.
    """
    started_s = time.perf_counter()
    with closing(frames):
        for frame in frames:
            wait_s = (frame.time_s or 0.0) - (time.perf_counter() - started_s)
            if wait_s > 0:
                time.sleep(wait_s)
            yield replace(frame, read_s=time.perf_counter())

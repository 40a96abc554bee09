"""Streams: smoothing, measuring, dropping, and that the masks are those of single frames."""

import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from featherseg.errors import ImageError
from featherseg.images.video import Frame
from featherseg.measure import measure
from featherseg.postprocess import OperatingPoint, select_components
from featherseg.preprocess import Preprocessing, fit_mask, fit_pixels
from featherseg.runtime import MaskSession, open_session
from featherseg.stream import (
    FrameMask,
    extent,
    lag,
    latest,
    majority,
    overlap,
    paced,
    segment_frames,
)
from featherseg.types import Mask
from tests.tiny import SIZE, blob_images, write_tiny_bundle

small_masks = arrays(
    np.uint8,
    st.tuples(st.integers(1, 8), st.integers(1, 9)),
    elements=st.sampled_from([0, 0, 1]),
)


@settings(deadline=None)
@given(st.integers(1, 7), st.data())
def test_a_majority_is_that_of_a_count_by_hand(count: int, data: st.DataObject) -> None:
    shape = (3, 4)
    masks = [
        data.draw(arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2])))
        for _ in range(count)
    ]
    voted = majority(masks)
    assert voted.dtype == np.uint8
    for place in np.ndindex(shape):
        labels = [int(mask[place]) for mask in masks]
        winner = max((1, 2), key=lambda label: (labels.count(label), -label))
        wanted = winner if 2 * (count - labels.count(0)) > count else 0
        assert voted[place] == wanted


@pytest.mark.parametrize("smooth", [1, 3, 5, 9])
def test_the_lag_is_that_of_what_appears_and_goes(smooth: int) -> None:
    states = [0] * 12 + [1] * 12 + [0] * 12
    masks = [np.full((1, 1), state, np.uint8) for state in states]
    voted = [
        int(majority(masks[max(0, end - smooth) : end])[0, 0]) for end in range(1, len(masks) + 1)
    ]
    assert voted.index(1) - states.index(1) == lag(smooth)
    assert len(voted) - voted[::-1].index(1) - 24 == lag(smooth)


@settings(deadline=None)
@given(small_masks, small_masks)
def test_overlap_is_symmetric_and_bounded(first: Mask, second: Mask) -> None:
    assert overlap(first, first) == 1.0
    if first.shape == second.shape:
        assert 0.0 <= overlap(first, second) == overlap(second, first) <= 1.0
    assert overlap(np.zeros_like(first), np.zeros_like(first)) == 1.0


def test_overlap_by_hand() -> None:
    first, second = np.array([[1, 1, 0, 2]]), np.array([[1, 0, 0, 1]])
    assert overlap(first.astype(np.uint8), second.astype(np.uint8)) == pytest.approx(4 / 5)


@settings(deadline=None)
@given(small_masks, st.sampled_from([(1.0, 1.0), (0.2, 0.1), (0.1, 0.35)]))
def test_the_extent_is_what_measure_says(mask: Mask, spacing: tuple[float, float]) -> None:
    (expected,) = measure(mask, spacing)
    area_px, long_px, short_px = extent(mask)
    assert area_px == expected.area_px
    for found, wanted in zip(
        (long_px, short_px, *extent(mask, spacing)[1:]),
        (
            expected.long_axis_px,
            expected.short_axis_px,
            expected.long_axis_mm,
            expected.short_axis_mm,
        ),
        strict=True,
    ):
        assert found == (None if wanted is None else pytest.approx(wanted))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> MaskSession:
    bundle = write_tiny_bundle(tmp_path_factory.mktemp("stream") / "bundle", channels=1)
    return open_session(bundle, threads=1, streams=2)


def frames(count: int, size: tuple[int, int] = (60, 90)) -> Iterator[Frame]:
    for number, pixels in enumerate(blob_images(count, seed=5, size=size)[0]):
        yield Frame(number, number / 10, pixels, time.perf_counter())


def streamed(session: MaskSession, source: Iterator[Frame], smooth: int = 1) -> list[FrameMask]:
    point = OperatingPoint(0.5, 0.01, "largest")
    expected = Preprocessing(SIZE, 1)
    return list(segment_frames(session, expected, point, source, smooth=smooth))


@pytest.mark.parametrize("smooth", [1, 3])
def test_masks_are_those_of_single_frames(session: MaskSession, smooth: int) -> None:
    point = OperatingPoint(0.5, 0.01, "largest")
    small = [
        select_components(session.masks(fit_pixels(each.pixels, SIZE, 1)[np.newaxis])[0], point)
        for each in frames(6)
    ]
    found = streamed(session, frames(6), smooth)
    assert [each.frame.number for each in found] == list(range(6))
    before = None
    for number, each in enumerate(found):
        voted = majority(small[max(0, number + 1 - smooth) : number + 1])
        assert each.mask.shape == each.frame.pixels.shape
        np.testing.assert_array_equal(each.mask, fit_mask(voted, (60, 90)))
        assert each.mask.any()
        assert each.latency_ms > 0
        assert each.dropped == 0
        if before is None:
            assert each.dice is each.smoothed_dice is None
        else:
            assert each.dice == overlap(small[number - 1], small[number])
            assert each.smoothed_dice == overlap(before, voted)
        before = voted


def test_gaps_in_the_numbers_are_drops(session: MaskSession) -> None:
    some = (frame for frame in frames(10) if frame.number in (2, 3, 7))
    assert [each.dropped for each in streamed(session, some)] == [2, 0, 3]


def test_what_a_source_raises_comes_after_its_frames(session: MaskSession) -> None:
    def broken() -> Iterator[Frame]:
        yield from frames(4)
        raise ImageError("cut off")

    results = segment_frames(session, Preprocessing(SIZE, 1), OperatingPoint(), broken())
    assert [next(results).frame.number for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ImageError, match="cut off"):
        next(results)


def sent(count: int, go_on: threading.Event | None = None) -> Generator[Frame, None, None]:
    for number in range(count):
        yield Frame(number, number * 0.01, np.zeros((1, 1), np.uint8), time.perf_counter())
    if go_on is not None:
        go_on.set()


def test_the_latest_frame_wins_and_the_last_is_never_lost() -> None:
    all_sent = threading.Event()
    newest = latest(sent(50, all_sent))
    first = next(newest).number
    assert all_sent.wait(10)
    rest = [frame.number for frame in newest]
    assert rest == ([49] if first < 49 else [])


def test_a_patient_reader_gets_every_frame() -> None:
    proceed = threading.Semaphore(1)

    def slow() -> Generator[Frame, None, None]:
        for frame in sent(8):
            assert proceed.acquire(timeout=10)
            yield frame

    numbers = []
    for frame in latest(slow()):
        numbers.append(frame.number)
        proceed.release()
    assert numbers == list(range(8))


def test_the_reader_ends_with_whoever_reads() -> None:
    closed = threading.Event()

    def endless() -> Generator[Frame, None, None]:
        try:
            while True:
                yield from sent(3)
        finally:
            closed.set()

    newest = latest(endless())
    next(newest)
    newest.close()
    assert closed.is_set()
    assert not [each for each in threading.enumerate() if each.name == "frames"]


def test_an_error_of_a_live_source_comes_after_its_last_frame() -> None:
    def unplugged() -> Generator[Frame, None, None]:
        yield from sent(3)
        raise ImageError("the camera stopped")

    numbers = []

    def read() -> None:
        for frame in latest(unplugged()):
            numbers.append(frame.number)

    with pytest.raises(ImageError, match="the camera stopped"):
        read()
    assert numbers[-1] == 2


def test_a_paced_file_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda wait_s: now.__setitem__(0, now[0] + wait_s))
    came = []
    for frame in paced(sent(5)):
        came.append(now[0])
        assert frame.read_s == now[0]
        if frame.number == 1:
            now[0] += 0.025  # too slow for the next two
    assert came == pytest.approx([100.0, 100.01, 100.035, 100.035, 100.04])


def test_frames_without_times_come_at_once() -> None:
    def untimed() -> Generator[Frame, None, None]:
        for number in range(3):
            yield Frame(number, None, np.zeros((1, 1), np.uint8), 0.0)

    assert [frame.number for frame in paced(untimed())] == [0, 1, 2]


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_frames(session: MaskSession) -> None:
    clip = [frame.pixels for frame in frames(20)]

    def looped() -> Iterator[Frame]:
        for number in range(6000):
            yield Frame(number, None, clip[number % 20].copy(), time.perf_counter())

    results = segment_frames(session, Preprocessing(SIZE, 1), OperatingPoint(), looped(), smooth=3)
    sizes = [resident_mb() for each in results if each.frame.number % 1000 == 999]
    # The first thousand fill the allocators; 1 MB in 10,000 frames is what is promised.
    assert sizes[-1] - sizes[1] < 0.5, sizes

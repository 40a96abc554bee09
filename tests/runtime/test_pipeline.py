"""The pipeline gives what one image after the other gives, in order, whatever goes wrong."""

import gc
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featherseg.bundle import Bundle
from featherseg.runtime import RUNTIMES, MaskSession, open_session
from featherseg.runtime.masks import Answer, Started
from featherseg.runtime.pipeline import DEPTH, STREAMS, masks_in_order
from featherseg.types import Floats, Mask, Pixels
from tests.tiny import blob_images, write_tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("pipeline") / "bundle", channels=1)


@pytest.fixture(scope="module", params=RUNTIMES)
def session(request: pytest.FixtureRequest, bundle: Bundle) -> MaskSession:
    return open_session(bundle, request.param, threads=2, streams=STREAMS)


def frames(count: int) -> list[Pixels]:
    return [each[np.newaxis, ..., np.newaxis] for each in blob_images(count, seed=count)[0]]


@settings(max_examples=30, deadline=None)
@given(count=st.integers(0, 12), depth=st.integers(1, 9))
def test_results_are_the_sequential_ones_in_order(
    session: MaskSession, count: int, depth: int
) -> None:
    images = frames(count) if count else []
    given_back = list(masks_in_order(session, enumerate(images), lambda item: item[1], depth))
    assert [item[0] for item, _ in given_back] == list(range(count))
    for (_, image), mask in given_back:
        np.testing.assert_array_equal(mask, session.masks(image)[0])


def test_results_stay_when_the_pipeline_goes_on(session: MaskSession) -> None:
    images = frames(8)
    masks = [mask for _, mask in masks_in_order(session, images, lambda image: image)]
    copies = [mask.copy() for mask in masks]
    list(masks_in_order(session, images[::-1], lambda image: image))
    for mask, copy in zip(masks, copies, strict=True):
        np.testing.assert_array_equal(mask, copy)


class Counting:
    """A session that counts what is begun and not finished; it may fail at one image."""

    runtime = precision = "fake"

    def __init__(self, fails_at: int | None = None, fails_on: str = "start") -> None:
        self.begun = self.ended = self.most = 0
        self.fails_at, self.fails_on = fails_at, fails_on

    def answer(self, batch: Floats) -> Answer:
        raise NotImplementedError

    def logits(self, batch: Floats) -> Floats:
        raise NotImplementedError

    def masks(self, batch: Pixels) -> Mask:
        return batch[..., 0]

    def start(self, batch: Pixels) -> Started:
        number = self.begun
        if number == self.fails_at and self.fails_on == "start":
            raise RuntimeError("the network failed")
        self.begun += 1
        self.most = max(self.most, self.begun - self.ended)

        def finished() -> Mask:
            self.ended += 1
            if number == self.fails_at:
                raise RuntimeError("the network failed")
            return self.masks(batch)

        return finished


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 12), depth=st.integers(1, 6), data=st.data())
def test_errors_come_after_everything_before_them(
    count: int, depth: int, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, count - 1))
    where = data.draw(st.sampled_from(["source", "pixels", "start", "finish"]))

    def source() -> Iterator[int]:
        for number in range(count):
            if number == place and where == "source":
                raise RuntimeError("the source failed")
            yield number

    def pixels(number: int) -> Pixels:
        if number == place and where == "pixels":
            raise RuntimeError("the pixels failed")
        return np.full((1, 2, 2, 1), number, np.uint8)

    session = Counting(place if where in ("start", "finish") else None, where)
    came = []

    def consume() -> None:
        for number, mask in masks_in_order(session, source(), pixels, depth):
            assert (mask == number).all()
            came.append(number)

    with pytest.raises(RuntimeError, match="failed"):
        consume()
    assert came == list(range(place))
    assert session.begun == session.ended


@pytest.mark.parametrize("depth", [1, 2, DEPTH, 7])
def test_the_queue_is_bounded(depth: int) -> None:
    session = Counting()
    read = 0

    def source() -> Iterator[Pixels]:
        nonlocal read
        for image in [np.zeros((1, 2, 2, 1), np.uint8)] * 20:
            read += 1
            yield image

    for done, _ in enumerate(masks_in_order(session, source(), lambda image: image, depth)):
        assert read <= done + depth
    assert session.most == depth


def stopped_early(session: MaskSession, images: list[Pixels]) -> None:
    results = masks_in_order(session, images, lambda image: image)
    next(results)
    results.close()


def test_stopping_early_waits_for_what_was_begun(session: MaskSession) -> None:
    counting = Counting()
    stopped_early(counting, frames(6))
    assert counting.begun == counting.ended == DEPTH
    stopped_early(session, frames(6))
    np.testing.assert_array_equal(session.masks(frames(6)[0]), session.masks(frames(6)[0]))


def test_an_interrupt_of_the_source_is_not_held_back() -> None:
    def source() -> Iterator[Pixels]:
        yield np.zeros((1, 2, 2, 1), np.uint8)
        raise KeyboardInterrupt

    session = Counting()
    with pytest.raises(KeyboardInterrupt):
        list(masks_in_order(session, source(), lambda image: image))
    assert session.begun == session.ended


def test_a_wrong_size_reaches_the_caller(session: MaskSession) -> None:
    wrong = np.zeros((1, 3, 5, 1), np.uint8)
    results = masks_in_order(session, [frames(1)[0], wrong], lambda image: image)
    assert next(results)[1].shape == frames(1)[0].shape[1:3]
    if session.runtime == "openvino":
        with pytest.raises(RuntimeError, match="shape"):
            next(results)


def test_nothing_is_kept_of_finished_images(session: MaskSession) -> None:
    class Held:
        def __init__(self, image: Pixels) -> None:
            self.image = image

    seen: list[weakref.ref[Held]] = []

    def source() -> Iterator[Held]:
        for image in frames(10):
            held = Held(image)
            seen.append(weakref.ref(held))
            yield held
            del held

    pixels: Callable[[Held], Pixels] = lambda held: held.image  # noqa: E731
    for number, _ in enumerate(masks_in_order(session, source(), pixels)):
        gc.collect()
        alive = sum(each() is not None for each in seen)
        assert alive <= DEPTH + 1, number

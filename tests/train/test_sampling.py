"""What an epoch shows and in which order: made of (seed, epoch), whatever ran before."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from featherseg.train.recipe import Recipe, load_recipe
from featherseg.train.sampling import epoch_batches, epoch_images, seed_network
from featherseg.train.sections import Augment

DEMO = load_recipe("demo")
PUS = replace(DEMO, sampling="periodic_under_sampling")


def flags(positives: int, negatives: int) -> NDArray[np.bool_]:
    """Positives and negatives, mixed."""
    mixed = np.random.default_rng(1).permutation(positives + negatives)
    return np.asarray(mixed < positives)


def batches(count: int, seed: int = 0, epoch: int = 1, **changes: object) -> list[list[int]]:
    recipe: Recipe = replace(DEMO, seed=seed, **changes)  # type: ignore[arg-type]
    return [batch.tolist() for batch in epoch_batches(flags(count, 0), recipe, epoch)]


@given(
    count=st.integers(2, 70),
    batch_size=st.integers(2, 16),
    seed=st.integers(0, 5),
    epoch=st.integers(1, 5),
    symmetries=st.sampled_from([1, 8]),
)
def test_an_epoch_holds_each_image_once_in_each_turn(
    count: int, batch_size: int, seed: int, epoch: int, symmetries: int
) -> None:
    augment = Augment(symmetries=symmetries)  # type: ignore[arg-type]
    made = batches(count, seed, epoch, batch_size=batch_size, augment=augment)
    entries = sorted(entry for batch in made for entry in batch)
    assert entries == list(range(count * symmetries))
    sizes = {len(batch) for batch in made}
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2 or batch_size == 2 or count < 4
    assert len(made) == -(-count * symmetries // batch_size)


def test_order_depends_on_seed_and_epoch_alone() -> None:
    assert batches(40, 0, 1) == batches(40, 0, 1)
    keys = ((0, 1), (0, 2), (1, 1), (1, 2))
    assert len({str(batches(40, *key)) for key in keys}) == 4


@given(
    positives=st.integers(1, 30),
    negatives=st.integers(0, 30),
    seed=st.integers(0, 3),
    epoch=st.integers(1, 4),
)
def test_under_sampling_shows_all_positives_and_half_of_the_negatives(
    positives: int, negatives: int, seed: int, epoch: int
) -> None:
    is_positive = flags(positives, negatives)
    shown = epoch_images(is_positive, replace(PUS, seed=seed), epoch)
    assert len(set(shown.tolist())) == len(shown) == positives + (negatives + 1) // 2
    assert set(np.flatnonzero(is_positive).tolist()) <= set(shown.tolist())


def test_the_half_is_fresh_every_epoch_and_even_in_the_long_run() -> None:
    is_positive = flags(5, 20)
    halves = [tuple(epoch_images(is_positive, PUS, epoch)) for epoch in range(1, 401)]
    assert len(set(halves)) > 390
    assert halves[6] == tuple(epoch_images(is_positive, PUS, 7))
    counts = np.bincount(np.concatenate(halves), minlength=25)[~is_positive]
    # Binomial(400, 1/2): five standard deviations are 50.
    assert np.all(np.abs(counts - 200) < 50)


def test_under_sampling_and_turns_together() -> None:
    is_positive = flags(3, 4)
    recipe = replace(PUS, batch_size=5, augment=Augment(symmetries=8))
    entries = np.concatenate(epoch_batches(is_positive, recipe, 2))
    turns, places = np.divmod(entries, 7)
    shown = set(epoch_images(is_positive, recipe, 2).tolist())
    assert len(shown) == 5
    expected = {(turn, place) for turn in range(8) for place in shown}
    assert set(zip(turns.tolist(), places.tolist(), strict=True)) == expected
    assert len(entries) == len(expected)


def test_network_seeds_differ_by_step_and_process() -> None:
    drawn = []
    for seed, step, process in ((0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1), (0, 0, 0)):
        seed_network(seed, step, process)
        drawn.append(float(torch.rand(1)))
    assert drawn[0] == drawn[4]
    assert len(set(drawn)) == 4

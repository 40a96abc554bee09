"""Batches: every image once an epoch, in an order made of (seed, epoch)."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from featherseg.preprocess import Preprocessing, normalize
from featherseg.train.loader import (
    batch_count,
    epoch_order,
    in_order,
    seed_network,
    to_samples,
)
from tests.train.blobs import blob_pack


@given(
    count=st.integers(2, 70),
    batch_size=st.integers(2, 16),
    seed=st.integers(0, 5),
    epoch=st.integers(1, 5),
)
def test_an_epoch_holds_each_image_once(count: int, batch_size: int, seed: int, epoch: int) -> None:
    batches = epoch_order(count, batch_size, seed, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    sizes = {len(batch) for batch in batches}
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2 or batch_size == 2 or count < 4
    assert len(batches) == batch_count(count, batch_size)


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> tuple[int, ...]:
        return tuple(int(i) for batch in epoch_order(40, 8, seed, epoch) for i in batch)

    assert order(0, 1) == order(0, 1)
    assert len({order(*key) for key in ((0, 1), (0, 2), (1, 1), (1, 2))}) == 4


@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_is_what_deployment_makes_of_the_same_pixels(channels: int) -> None:
    pack = blob_pack(6, (16, 24), channels=channels)
    samples = to_samples(pack, torch.device("cpu"))
    images, masks = samples.batch(np.array([4, 1]))
    expected = normalize(pack.images[[4, 1]], Preprocessing((16, 24), channels))
    assert np.array_equal(images.numpy(), expected)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert masks.dtype == torch.int64
    assert np.array_equal(masks.numpy(), pack.masks[[4, 1]])


def test_in_order_gives_everything() -> None:
    pack = blob_pack(35, (16, 16))
    batches = list(in_order(to_samples(pack, torch.device("cpu"))))
    assert torch.equal(torch.cat([masks for _, masks in batches]), torch.from_numpy(pack.masks))


def test_network_seeds_differ_by_step() -> None:
    drawn = []
    for seed, step in ((0, 0), (0, 1), (1, 0), (0, 0)):
        seed_network(seed, step)
        drawn.append(float(torch.rand(1)))
    assert drawn[0] == drawn[3]
    assert len(set(drawn)) == 3

"""Batches: what deployment makes of the same pixels, and all of them."""

import numpy as np
import pytest
import torch

from featherseg.preprocess import Preprocessing, normalize
from featherseg.train.loader import in_order, to_samples
from tests.train.blobs import blob_pack


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


def test_processes_share_the_batches() -> None:
    samples = to_samples(blob_pack(35, (16, 16)), torch.device("cpu"))
    parts = [[len(masks) for _, masks in in_order(samples, each, 2)] for each in range(2)]
    assert parts == [[16, 3], [16]]

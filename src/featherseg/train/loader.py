"""Batches from packed arrays: no worker processes, no Python for each image.

The order of an epoch follows from (seed, epoch) and every other random number from
(seed, step), so that a run needs no stored generator to be resumed exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featherseg.datasets.pack import Packed

_UINT8_MAX = 255.0
# What a random generator is for; part of its seed, so that no two draw the same numbers.
_ORDER, _AUGMENT, _NETWORK = 0, 1, 2
# Validation keeps no gradients and can take more at once.
_VALIDATION_BATCH = 16


@dataclass(frozen=True, eq=False)
class Samples:
    """A subset in the device's memory: uint8 images (N, H, W, C) and masks (N, H, W)."""

    images: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, places: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Float32 images (n, C, H, W) in [0, 1], channels last, and int64 masks (n, H, W)."""
        index = torch.from_numpy(places).to(self.images.device)
        images = self.images[index].permute(0, 3, 1, 2).float() * (1.0 / _UINT8_MAX)
        return images, self.masks[index].long()


def to_samples(data: Packed, device: torch.device) -> Samples:
    """Copy a pack to `device`."""
    images = torch.from_numpy(np.array(data.images)).to(device)
    return Samples(images, torch.from_numpy(np.array(data.masks)).to(device))


def epoch_order(count: int, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The batches of an epoch as places 0..count-1, each once, shuffled anew every epoch.

    Batches are as even as they can be (9 images in batches of 8 are 5 and 4), so that no
    epoch ends with a single image, for which batch norm has no statistics.
    """
    order = np.random.default_rng((seed, _ORDER, epoch)).permutation(count)
    return np.array_split(order, batch_count(count, batch_size))


def batch_count(count: int, batch_size: int) -> int:
    """How many batches an epoch of `count` images has."""
    return -(-count // batch_size)


def augment_random(seed: int, step: int) -> np.random.Generator:
    """The generator that augments the batch of `step`."""
    return np.random.default_rng((seed, _AUGMENT, step))


def seed_network(seed: int, step: int) -> None:
    """Seed torch for what the network draws in `step` (dropout); step 0 draws its weights."""
    state = np.random.SeedSequence((seed, _NETWORK, step)).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0] >> 1))


def in_order(samples: Samples) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of all samples in their own order."""
    for start in range(0, len(samples), _VALIDATION_BATCH):
        stop = min(start + _VALIDATION_BATCH, len(samples))
        yield samples.batch(np.arange(start, stop))

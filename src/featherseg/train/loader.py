"""Batches from packed arrays: no worker processes, no Python for each image."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featherseg.datasets.pack import Packed

_UINT8_MAX = 255.0
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


def in_order(
    samples: Samples, process: int = 0, processes: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of all samples in their own order; each of several processes gets its share."""
    step = processes * _VALIDATION_BATCH
    for start in range(process * _VALIDATION_BATCH, len(samples), step):
        stop = min(start + _VALIDATION_BATCH, len(samples))
        yield samples.batch(np.arange(start, stop))

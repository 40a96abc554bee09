"""Plain functional pieces that the tests of the U-Nets build their references from."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherseg.networks import build_network

State = dict[str, Tensor]


def moved(name: str, **options: object) -> nn.Module:
    """A network in eval mode whose running statistics are no longer 0 and 1."""
    torch.manual_seed(0)
    network = build_network(name, **options)
    for _ in range(2):
        network(torch.rand(2, 3, 32, 32))
    return network.eval()


def conv(state: State, prefix: str, features: Tensor) -> Tensor:
    """A convolution that keeps the size, with bias."""
    weight = state[f"{prefix}.weight"]
    return F.conv2d(features, weight, state[f"{prefix}.bias"], padding=weight.shape[2] // 2)


def normalized(state: State, prefix: str, features: Tensor) -> Tensor:
    """Batch norm by its running statistics."""
    mean, variance, gain, shift = (
        state[f"{prefix}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
    )
    return F.batch_norm(features, mean, variance, gain, shift)


def linear_block(state: State, prefix: str, features: Tensor) -> Tensor:
    """Convolution, batch norm."""
    return normalized(state, f"{prefix}.norm", conv(state, f"{prefix}.convolutions.0", features))


def block(state: State, prefix: str, features: Tensor) -> Tensor:
    """Convolution, batch norm, ReLU."""
    return linear_block(state, prefix, features).clamp(min=0)


def pair(state: State, prefix: str, features: Tensor) -> Tensor:
    """Two such blocks."""
    return block(state, f"{prefix}.1", block(state, f"{prefix}.0", features))


def repeated(features: Tensor) -> Tensor:
    """Every pixel as 2x2 pixels."""
    return features.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def encoded(state: State, image: Tensor) -> list[Tensor]:
    """Five levels of two blocks, finest first."""
    levels = [pair(state, "encoder.0", image)]
    for level in range(1, 5):
        levels.append(pair(state, f"encoder.{level}", F.max_pool2d(levels[-1], 2)))
    return levels

"""A moving average of a network's weights."""

import copy

import torch
from torch import nn

# A young average forgets faster, so that it does not stay at the random weights it began with.
_YOUNG = 10


def averaged(network: nn.Module) -> nn.Module:
    """A copy of a network, in evaluation mode, that `update_average` moves."""
    return copy.deepcopy(network).eval().requires_grad_(False)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move weights and running statistics towards the network's after `step` steps.

    average = d average + (1 - d) network with d = min(decay, (1 + step) / (10 + step)), as in
    TensorFlow's ExponentialMovingAverage.
    """
    share = 1 - min(decay, (1 + step) / (_YOUNG + step))
    theirs = network.state_dict()
    for name, mine in average.state_dict().items():
        if mine.is_floating_point():
            mine.lerp_(theirs[name], share)
        else:
            mine.copy_(theirs[name])

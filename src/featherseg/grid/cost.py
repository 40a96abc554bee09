"""How much work a job is, for the estimate of the time that is left."""

import json
from functools import cache

import torch

from featherseg.compress.cost import count_macs
from featherseg.grid.job import Job
from featherseg.networks import build_network
from featherseg.splits import load_split, subset

# A step backward costs about two steps forward.
_FORWARD_AND_BACKWARD = 3


def work(job: Job) -> float:
    """Multiply-accumulates of the training, roughly: images x epochs x 3 forward passes."""
    recipe = job.recipe
    images = len(subset(load_split(job.split), "train", job.fold)) * recipe.augment.symmetries
    options = {key: value for key, value in recipe.network_options.items() if key != "pretrained"}
    macs = _macs(recipe.network, recipe.input_size, recipe.in_channels, json.dumps(options))
    return float(_FORWARD_AND_BACKWARD * images * recipe.epochs * macs)


@cache
def _macs(network: str, size: tuple[int, int], in_channels: int, options: str) -> int:
    with torch.device("meta"):
        built = build_network(network, in_channels=in_channels, **json.loads(options))
    return count_macs(built, size, in_channels)

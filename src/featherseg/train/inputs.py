"""What a training needs of its data, checked before anything is written."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from featherseg.datasets.pack import Packed
from featherseg.errors import DataError, RecipeError
from featherseg.networks import build_network, network_options
from featherseg.storage import sha256_json
from featherseg.train.recipe import Recipe

SUBSETS = ("train", "validation")
_LEAST = {"train": 2, "validation": 1}


def check_inputs(recipe: Recipe, data: Packed, subsets: Mapping[str, Sequence[str]]) -> None:
    """Raise DataError or RecipeError where data and recipe do not fit each other."""
    for name in SUBSETS:
        if len(subsets.get(name, ())) < _LEAST[name]:
            raise DataError(
                f"training needs at least {_LEAST[name]} image(s) in the subset '{name}', "
                f"got {len(subsets.get(name, ()))}; make a split with larger parts"
            )
    shared = set(subsets["train"]) & set(subsets["validation"])
    if shared:
        raise DataError(f"training and validation share {len(shared)} case(s): {min(shared)}, ...")
    _check_shape(recipe, data)
    _check_network(recipe, data)


def _check_shape(recipe: Recipe, data: Packed) -> None:
    height, width, channels = data.images.shape[1:]
    if (height, width) != recipe.input_size or channels != recipe.in_channels:
        wanted = "x".join(str(side) for side in recipe.input_size)
        raise DataError(
            f"the recipe expects images of {wanted} with {recipe.in_channels} channel(s), the "
            f"pack holds {height}x{width} with {channels}; pack the data again, or train with "
            f"--set input_size={height if height == width else [height, width]} "
            f"--set in_channels={channels}"
        )


def _check_network(recipe: Recipe, data: Packed) -> None:
    """Build the network without memory and run it once: options and size are then known good."""
    options = resolved_options(recipe, data)
    outputs = options["out_channels"]
    if outputs != len(data.labels) + 1 and not outputs == len(data.labels) == 1:
        raise RecipeError(
            f"{len(data.labels)} label(s) need out_channels={len(data.labels) + 1}"
            f"{' or 1' if len(data.labels) == 1 else ''}, got {outputs}"
        )
    with torch.device("meta"), torch.no_grad():
        network = build_network(recipe.network, **options).eval()
        network(torch.empty(1, recipe.in_channels, *recipe.input_size))


def resolved_options(recipe: Recipe, data: Packed) -> dict[str, Any]:
    """The network's options: the recipe's, with channels that fit the data where it says none.

    One label is one sigmoid channel; K > 1 labels are K + 1 softmax channels.
    """
    count = len(data.labels)
    fitting = {
        "in_channels": recipe.in_channels,
        "out_channels": 1 if count == 1 else count + 1,
    }
    known = network_options(recipe.network)
    return {key: value for key, value in fitting.items() if key in known} | recipe.network_options


def data_sha256(data: Packed, subsets: Mapping[str, Sequence[str]]) -> str:
    """What names a training's data: images, masks, size, and who is in which subset."""
    parts = {name: list(subsets[name]) for name in SUBSETS}
    return sha256_json(
        {
            "images": data.images_sha256,
            "shape": list(data.images.shape[1:]),
            "labels": list(data.labels),
            **parts,
        }
    )

"""The run that a training begins from: its best weights in place of random ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from featherseg.datasets.pack import Packed
from featherseg.errors import RecipeError
from featherseg.networks.pretrained import describe_weights
from featherseg.storage import sha256_file
from featherseg.train.checkpoint import load_weights
from featherseg.train.files import BEST
from featherseg.train.inputs import resolved_options
from featherseg.train.recipe import Recipe
from featherseg.train.run import read_run
from featherseg.train.teachers import check_unseen

_PRETRAINED = "pretrained"
_ID_DIGITS = 12


def check_initial(recipe: Recipe, data: Packed, provenance: Mapping[str, Any]) -> None:
    """Refuse a run that a training of this recipe and data cannot begin from, or must not.

    It must be finished and have the network with the same options; the input size may be
    another. `provenance` is that of `fit`. Raises RunError or RecipeError, the former also where
    the run knows images that the new one will be tested on.
    """
    if recipe.initial_weights is None:
        return
    folder = Path(recipe.initial_weights)
    where = f"initial_weights ({folder})"
    if recipe.network_options.get(_PRETRAINED):
        raise RecipeError(
            f"{where}: network_options.pretrained names other weights to begin with; leave one out"
        )
    content = read_run(folder)
    there, here = content["network"], _network(recipe, data)
    if there != here:
        raise RecipeError(
            f"{where}: expected a run of {_described(here)}, got one of {_described(there)}; begin "
            "from another run, or from random weights with --set initial_weights=null"
        )
    if content.get("images_sha256") == data.images_sha256:
        check_unseen(folder, content, provenance, where)


def load_initial(recipe: Recipe, network: nn.Module) -> None:
    """Put the weights of the recipe's run, if it names one, into the network."""
    if recipe.initial_weights is not None:
        load_weights(Path(recipe.initial_weights) / BEST, network)


def describe_initial(recipe: Recipe) -> str:
    """What run.json and tables say of the weights that a training begins with."""
    if recipe.initial_weights is None:
        return describe_weights(recipe.network_options.get(_PRETRAINED, False))
    folder = Path(recipe.initial_weights)
    return f"run {folder.name}, weights {sha256_file(folder / BEST)[:_ID_DIGITS]}"


def _network(recipe: Recipe, data: Packed) -> dict[str, Any]:
    """The network as run.json names it."""
    options = resolved_options(recipe, data)
    options.pop(_PRETRAINED, None)
    return {"name": recipe.network, "options": options}


def _described(network: Mapping[str, Any]) -> str:
    options = ", ".join(f"{key}={value}" for key, value in sorted(network["options"].items()))
    return f"{network['name']}({options})"

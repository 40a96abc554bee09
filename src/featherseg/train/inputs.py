"""What a training needs of its data, checked before anything is written."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from featherseg.datasets.pack import Packed
from featherseg.errors import DataError, RecipeError
from featherseg.networks import build_network, network_options
from featherseg.storage import sha256_json
from featherseg.train.recipe import Recipe
from featherseg.train.sections import Plateau

SUBSETS = ("train", "validation")
Subsets = Mapping[str, Sequence[str]]


def of_classes(recipe: Recipe, data: Packed, subsets: Subsets) -> dict[str, tuple[str, ...]]:
    """The cases of each subset that are of the recipe's classes; all where it names none.

    Raises DataError where a subset that has cases has none of a class.
    """
    classes = dict(zip(data.ids, data.classes, strict=True))
    chosen = {name: tuple(subsets.get(name, ())) for name in SUBSETS}
    if not recipe.classes:
        return chosen
    for name, ids in chosen.items():
        present = Counter(classes[case] for case in ids if case in classes)
        for wanted in recipe.classes:
            if ids and not present[wanted]:
                known = ", ".join(f"'{each}' ({n})" for each, n in sorted(present.items()))
                raise DataError(
                    f"the subset '{name}' has no image of the class '{wanted}'; its classes are "
                    f"{known}; change the recipe's classes or the split"
                )
    return {
        name: tuple(case for case in ids if classes.get(case) in recipe.classes)
        for name, ids in chosen.items()
    }


def check_inputs(recipe: Recipe, data: Packed, subsets: Subsets) -> None:
    """Raise DataError or RecipeError where data and recipe do not fit each other."""
    # A network that is kept as its last epoch leaves it may be trained on every image.
    least = {"train": 2, "validation": 0 if recipe.select == "last_epoch" else 1}
    for name in SUBSETS:
        if len(subsets.get(name, ())) < least[name]:
            raise DataError(
                f"training needs at least {least[name]} image(s) in the subset '{name}', "
                f"got {len(subsets.get(name, ()))}; make a split with larger parts"
            )
    shared = set(subsets["train"]) & set(subsets["validation"])
    if shared:
        raise DataError(f"training and validation share {len(shared)} case(s): {min(shared)}, ...")
    _check_rules(recipe, bool(subsets["validation"]))
    _check_shape(recipe, data)
    _check_network(recipe, data)
    if recipe.sampling == "periodic_under_sampling":
        _check_positives(data.select(subsets["train"]))


def _check_positives(train: Packed) -> None:
    if not train.masks.any():
        raise DataError(
            "periodic under-sampling shows all images with a label and half of the others, and "
            f"none of the {len(train.ids)} training images has a label; train with "
            "--set sampling=all"
        )


def _check_rules(recipe: Recipe, is_validated: bool) -> None:
    """Rules that read the validation loss need one."""
    rules = {
        "schedule={patience, factor}": isinstance(recipe.schedule, Plateau),
        "early_stop": recipe.early_stop is not None,
    }
    for name, is_set in rules.items():
        if is_set and not is_validated:
            raise RecipeError(
                f"{name} follows the validation loss, and the subset 'validation' is empty; add "
                f"--set {name.partition('=')[0]}=null, or give a validation subset"
            )


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
            f"{' or 1' if len(data.labels) == 1 else ''}, got {outputs}; the masks hold "
            f"{', '.join(data.labels)}: leave network_options.out_channels out"
        )
    with torch.device("meta"), torch.no_grad():
        network = build_network(recipe.network, **options).eval()
        network(torch.empty(1, recipe.in_channels, *recipe.input_size))
    if recipe.presence_weight and not hasattr(network, "forward_with_presence"):
        raise RecipeError(
            f"presence_weight={recipe.presence_weight:g} needs a network with a presence head, and "
            f"{recipe.network} has none; train feathernet_s, or add --set presence_weight=0"
        )


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


def data_sha256(data: Packed, subsets: Subsets, runs: Sequence[Mapping[str, Any]] = ()) -> str:
    """What names a training's data: images, masks, size, who is in which subset, and runs.

    `runs` are those that it learns from, as `fit` describes them.
    """
    content: dict[str, Any] = {
        "images": data.images_sha256,
        "shape": list(data.images.shape[1:]),
        "labels": list(data.labels),
        **{name: list(subsets[name]) for name in SUBSETS},
    }
    return sha256_json(content | ({"teachers": list(runs)} if runs else {}))

"""What a training draws: the order of an epoch's images, augmentation, dropout.

An epoch's order follows from (seed, epoch) and every other random number from (seed, step), so
that a run needs no stored generator to be resumed exactly, and every process draws the same.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from featherseg.train.recipe import Recipe

Places = NDArray[np.int64]
# What a random generator is for; part of its seed, so that no two draw the same numbers.
_ORDER, _AUGMENT, _NETWORK, _NEGATIVES = 0, 1, 2, 3


def epoch_batches(is_positive: NDArray[np.bool_], recipe: Recipe, epoch: int) -> list[Places]:
    """The batches of an epoch, shuffled anew every epoch.

    `is_positive` says of each of the M training images whether it has a label. An entry e of a
    batch stands for image e % M in flip or turn e // M of `augment.SYMMETRIES`. Batches are as
    even as they can be (9 images in batches of 8 are 5 and 4), so that no epoch ends with a
    single image, for which batch norm has no statistics.
    """
    chosen = epoch_images(is_positive, recipe, epoch)
    turns = np.arange(recipe.augment.symmetries) * len(is_positive)
    entries = (turns[:, np.newaxis] + chosen).ravel()
    order = np.random.default_rng((recipe.seed, _ORDER, epoch)).permutation(len(entries))
    return np.array_split(entries[order], -(-len(entries) // recipe.batch_size))


def epoch_images(is_positive: NDArray[np.bool_], recipe: Recipe, epoch: int) -> Places:
    """The images that an epoch shows: all of them, or by periodic under-sampling a part.

    That is every image with a label, and a fresh random half (rounded up) of the others each
    epoch (LAEDNet, section 4.3).
    """
    if recipe.sampling == "all":
        return np.arange(len(is_positive))
    negatives = np.flatnonzero(~is_positive)
    random = np.random.default_rng((recipe.seed, _NEGATIVES, epoch))
    half = random.choice(negatives, -(-len(negatives) // 2), replace=False)
    return np.sort(np.concatenate((np.flatnonzero(is_positive), half)))


def augment_random(seed: int, step: int) -> np.random.Generator:
    """The generator that augments the batch of `step`."""
    return np.random.default_rng((seed, _AUGMENT, step))


def seed_network(seed: int, step: int, process: int = 0) -> None:
    """Seed torch for what the network draws in `step` (dropout); step 0 draws its weights.

    Each of several processes drops out other places in its part of the batch.
    """
    state = np.random.SeedSequence((seed, _NETWORK, step, process)).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0] >> 1))

"""A program that trains the same runs alone or as one of several processes of torchrun.

``python -m tests.train.several FOLDER`` or ``torchrun ... -m tests.train.several FOLDER``. It
computes in float64, and a few steps only: in float32 the rounding of a sum in another order soon
turns a unit on or off, and one of 2e5 units moves the gradient of this network by a hundredth.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from featherseg.errors import RecipeError
from featherseg.train.loader import Samples
from featherseg.train.loop import fit
from featherseg.train.recipe import load_recipe
from featherseg.train.training import Tick
from tests.train.blobs import SETTINGS, blob_pack, halves

COMMON = (*SETTINGS, "epochs=3", "optimizer=sgd", "lr=0.01", "loss=dice_bce")
# Eleven images make batches of six and five: three for one process, two for the other.
RUNS = {
    "plain": (
        "batch_size=6",
        "augment={horizontal_flip: 0.5, affine: 0.5, rotate_deg: 20, gamma: 0.2}",
    ),
    "pus": ("sampling=periodic_under_sampling", "batch_size=3", "clip_norm=0.5", "ema=0.9"),
    "resumed": ("augment.symmetries=8", "epochs=2", "batch_size=30"),
    "last": ("select=last_epoch", "schedule=null", "epochs=1", "optimizer=adam", "lr=1e-3"),
}


class StoppedError(Exception):
    """What stands for a kill."""


def stop(tick: Tick) -> None:
    if (tick.epoch, tick.step) == (2, 2):
        raise StoppedError


def doubled(batch: Callable[..., Any]) -> Callable[..., Any]:
    """`Samples.batch` with images in float64."""

    def give(*arguments: Any) -> Any:
        images, masks = batch(*arguments)
        return images.double(), masks

    return give


@mock.patch("featherseg.train.training.pick_precision", mock.Mock(return_value="64-true"))
@mock.patch("featherseg.train.loop.write_outcome", mock.Mock())
@mock.patch.object(Samples, "batch", doubled(Samples.batch))
def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    pack = blob_pack(22)
    subsets = halves(pack)
    for name, settings in RUNS.items():
        recipe = load_recipe("simplified_unet", [*COMMON, *settings])
        if name == "resumed":
            try:
                fit(recipe, pack, subsets, folder / name, progress=stop)
            except StoppedError:
                fit(recipe, pack, subsets, folder / name, resume=True)
        elif name == "last":
            fit(recipe, pack, {"train": pack.ids, "validation": ()}, folder / name)
        else:
            fit(recipe, pack, subsets, folder / name)
    if torch.distributed.is_initialized():
        try:
            few = load_recipe("simplified_unet", [*COMMON, "batch_size=1"])
            fit(few, pack, subsets, folder / "few")
        except RecipeError as error:
            if torch.distributed.get_rank() == 0:
                print(error)


if __name__ == "__main__":
    main()

"""A recipe chosen from the training images and the machine, with a reason for every line.

The rules are few, and each rests on a paper whose network is here, on nnU-Net (Isensee et al.
2021, doi 10.1038/s41592-020-01008-z), which also reads its settings off the data, or on a
measurement that a test repeats.
"""

import math
from dataclasses import dataclass
from typing import Literal

from featherseg.train.fingerprint import Fingerprint
from featherseg.train.machine import Machine
from featherseg.train.recipe import Recipe
from featherseg.train.sections import Augment, Cosine

# The recipe's name on the command line.
AUTO = "auto"

# Four poolings make one cell of the network's deepest stage out of 16 pixels, and a label two
# cells wide covers at least one of them whole, wherever it lies.
SMALLEST_LABEL_PX = 32
_MULTIPLE_PX = 32
# Float32 bytes for each pixel of a batch: the network keeps 1.83 kB for its backward pass
# (measured; tests/train/test_auto.py), gradients and work space take about as much again.
BYTES_A_PIXEL = 4096
# Of what is free: the images themselves need some, too.
_MEMORY_SHARE = 0.75
_BATCH_SIZES = (8, 4, 2)
_TINY_AREA = 0.01
_FEWEST_EPOCHS, _MOST_EPOCHS = 5, 200


@dataclass(frozen=True)
class _Habits:
    """What suits a kind of device: the input's side in pixels, and optimizer steps."""

    side: int
    largest_side: int
    why_side: str
    steps: int
    why_steps: str


_HABITS = {
    "cpu": _Habits(
        side=256,
        largest_side=384,
        why_side="256 is the Lighter U-net's and suits a processor",
        steps=2000,
        why_steps="2,000 steps on a processor (LightBTSeg's 20 epochs of BUSI are fewer)",
    ),
    "cuda": _Habits(
        side=512,
        largest_side=1024,
        why_side="512 is LightBTSeg's and suits a GPU",
        steps=10_000,
        why_steps="10,000 steps on a GPU (the Lighter U-net's 200 epochs are 10,400)",
    ),
}

# What does not depend on the data.
_AUGMENT = Augment(
    horizontal_flip=0.5,
    affine=0.5,
    scale=0.2,
    translate=0.1,
    rotate_deg=15,
    shear_deg=8,
    brightness=0.1,
    contrast=0.2,
    gamma=0.2,
)
_REASONS = {
    "network": "2.2 million parameters; 17 million gain little over 2 (Lighter U-net, Table 2)",
    "lr": "LightBTSeg's, for this network with Adam",
    "weight_decay": "LightBTSeg's; try others with --sweep weight_decay=1e-3,1e-4,0",
    "seed": "another seed is another draw of weights, order and augmentation",
    "optimizer": "gained 0.020 Dice over SGD (Lighter U-net, tuning path)",
    "schedule": "half a cosine (Loshchilov and Hutter 2017), down to 0 as nnU-Net does",
    "schedule.warmup_epochs": "the first epoch at half the rate, while Adam has few gradients",
    "early_stop": "never: the schedule needs its end",
    "select": "the epoch that scores best by what is reported",
    "network_options": "none: as wide as in its paper, from random weights",
    "augment": "gained 0.022 Dice (Lighter U-net, tuning path); the ranges are ours",
    "augment.horizontal_flip": "a mirrored scan is a scan",
    "augment.vertical_flip": "a scan has its probe on top; 0.5 where up and down are alike",
    "augment.affine": "every other image",
    "augment.scale": "0.8 to 1.2 times, rows and columns apart (Lighter U-net)",
    "augment.translate": "share of the side",
    "augment.rotate_deg": "a tilted probe",
    "augment.shear_deg": "tissue under pressure",
    "augment.brightness": "added, share of the full range: another gain",
    "augment.contrast": "0.8 to 1.2 times the distance from the mean: another dynamic range",
    "augment.gamma": "powers of exp(-0.2) to exp(0.2): another gray map",
    "augment.symmetries": "8 for images without up and down (AL-Net)",
    "classes": "images of every class",
    "label_smoothing": "none: the masks are taken at their word",
    "presence_weight": "the network has no presence head",
    "clip_norm": "none; 1.0 where the loss jumps",
    "ema": "none; 0.99 averages the last hundred steps' weights",
    "distill": "no teachers",
    "precision": "bf16 on a GPU and on processors where it is faster, else float32",
    "initial_weights": "from scratch; or a run of the same network to go on from",
    "compile": "slow to begin, and slower on a processor; worth a try on a GPU",
}


def auto_recipe(found: Fingerprint, machine: Machine) -> tuple[Recipe, dict[str, str]]:
    """A recipe for such images on such a machine, and the reason for each of its lines.

    Reasons are named as `--set` names the keys ("augment.scale").
    """
    input_size, why_input_size = _input_size(found, machine)
    batch_size, why_batch_size = _batch_size(input_size, machine)
    sampling, why_sampling = _sampling(found)
    epochs, why_epochs = _epochs(_images_an_epoch(found, sampling), batch_size, machine)
    loss, why_loss = _loss(found)
    recipe = Recipe(
        network="simplified_unet",
        input_size=input_size,
        epochs=epochs,
        batch_size=batch_size,
        lr=1e-3,
        weight_decay=5e-4,
        loss=loss,
        schedule=Cosine(warmup_epochs=1),
        select="validation_dice",
        in_channels=1 if found.channels == 1 else 3,
        augment=_AUGMENT,
        sampling=sampling,
    )
    reasons = {
        "input_size": why_input_size,
        "epochs": why_epochs,
        "batch_size": why_batch_size,
        "loss": why_loss,
        "in_channels": _why_channels(found),
        "sampling": why_sampling,
    }
    return recipe, _REASONS | reasons


def _input_size(found: Fingerprint, machine: Machine) -> tuple[tuple[int, int], str]:
    """Height and width in pixels, in the images' own aspect."""
    height, width = found.median_size
    if found.is_packed:
        return (height, width), "the pack's size"
    habits = _HABITS[machine.device]
    side, why = float(habits.side), habits.why_side
    # Where a disc of the small labels' area is just wide enough.
    needed = SMALLEST_LABEL_PX / math.sqrt(4 / math.pi * found.small_label_area)
    if needed > side:
        side, why = needed, f"keeps small labels {SMALLEST_LABEL_PX} pixels wide"
    if side > habits.largest_side:
        side = habits.largest_side
        why = f"small labels ask for {needed:.0f}, but more is too slow here"
    if side > math.sqrt(height * width):
        side, why = math.sqrt(height * width), "the images are no larger"
    aspect = math.sqrt(height / width)
    shape = f"in the shape of the images, {height}x{width} (medians)"
    return (_rounded(side * aspect), _rounded(side / aspect)), f"{why}; {shape}"


def _rounded(side: float) -> int:
    """The nearest multiple of 32 but 0: every network takes it."""
    return max(1, round(side / _MULTIPLE_PX)) * _MULTIPLE_PX


def _batch_size(size: tuple[int, int], machine: Machine) -> tuple[int, str]:
    """The largest batch size that fits, or the smallest there is."""
    image_bytes = size[0] * size[1] * BYTES_A_PIXEL
    largest = int(_MEMORY_SHARE * machine.memory_bytes / image_bytes)
    usual, *_, least = _BATCH_SIZES
    count = next((count for count in _BATCH_SIZES if count <= largest), least)
    needs = f"needs about {count * image_bytes / 1e9:.1f} GB"
    if count == usual:
        return count, f"gained 0.011 Dice over 2 (Lighter U-net, tuning path); {needs}"
    return count, f"{needs}; 8 is too much for {machine.memory_bytes / 1e9:.1f} GB of free memory"


def _sampling(found: Fingerprint) -> tuple[Literal["all", "periodic_under_sampling"], str]:
    share = f"{100 * found.empty_share:.0f} % of the images have no label"
    if found.empty_share > 0.5:
        return "periodic_under_sampling", f"{share}; half of them in turn are enough (LAEDNet)"
    return "all", share


def _images_an_epoch(found: Fingerprint, sampling: str) -> int:
    empty = round(found.empty_share * found.images)
    return found.images - empty // 2 if sampling == "periodic_under_sampling" else found.images


def _epochs(images: int, batch_size: int, machine: Machine) -> tuple[int, str]:
    """As many as make the device's number of steps, in which nnU-Net counts, too."""
    habits = _HABITS[machine.device]
    steps = -(-images // batch_size)
    wanted = -(-habits.steps // steps)
    if wanted > _MOST_EPOCHS:
        return _MOST_EPOCHS, f"{steps} steps each; as many as LAEDNet and the Lighter U-net take"
    if wanted < _FEWEST_EPOCHS:
        return _FEWEST_EPOCHS, f"{steps} steps each; fewer leave too little to select from"
    return wanted, f"{steps} steps each: {habits.why_steps}"


def _loss(found: Fingerprint) -> tuple[str, str]:
    area = f"half of the labels cover less than {100 * found.label_area:.2g} % of their image"
    if found.label_area < _TINY_AREA:
        return "dice_focal", f"{area}; focal loss keeps easy background quiet (LAEDNet)"
    return "dice_bce", f"Dice + cross-entropy (AL-Net, nnU-Net); {area}"


def _why_channels(found: Fingerprint) -> str:
    if found.is_packed:
        return "the pack's channels"
    if found.channels == 1:
        return "every training image is gray"
    return "some training images have color, if only in their marks"

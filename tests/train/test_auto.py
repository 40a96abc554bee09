"""The rules of `train auto` one by one."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from featherseg.losses import LOSSES
from featherseg.networks import build_network
from featherseg.train.auto import BYTES_A_PIXEL, SMALLEST_LABEL_PX, auto_recipe
from featherseg.train.fingerprint import Fingerprint
from featherseg.train.machine import Machine
from featherseg.train.recipe import Recipe

GB = 10**9
CPU = Machine("cpu", 16 * GB)
GPU = Machine("cuda", 16 * GB)
LESIONS = Fingerprint(
    images=400,
    median_size=(600, 600),
    channels=3,
    labels=1,
    empty_share=0.1,
    label_area=0.06,
    small_label_area=0.05,
)


def chosen(machine: Machine = CPU, found: Fingerprint = LESIONS, **changes: object) -> Recipe:
    return auto_recipe(replace(found, **changes), machine)[0]  # type: ignore[arg-type]


def test_the_usual_recipe() -> None:
    recipe = chosen()
    assert (recipe.network, recipe.input_size, recipe.in_channels) == (
        "simplified_unet",
        (256, 256),
        3,
    )
    assert (recipe.batch_size, recipe.loss, recipe.sampling) == (8, "dice_bce", "all")
    # 400 images are 50 steps of 8.
    assert recipe.epochs * 50 == 2000
    assert chosen(GPU).epochs * 50 == 10_000
    assert chosen(GPU).input_size == (512, 512)
    assert (recipe.augment.horizontal_flip, recipe.augment.vertical_flip) == (0.5, 0)


@pytest.mark.parametrize(
    ("median_size", "input_size"),
    [
        ((540, 800), (224, 320)),  # 256 * sqrt(540 / 800) = 210, 256 * sqrt(800 / 540) = 312
        ((800, 540), (320, 224)),
        ((64, 64), (64, 64)),
        ((20, 20), (32, 32)),
        ((2000, 2000), (256, 256)),
    ],
)
def test_the_input_has_the_images_shape_and_is_no_larger(
    median_size: tuple[int, int], input_size: tuple[int, int]
) -> None:
    assert chosen(median_size=median_size).input_size == input_size


def test_small_labels_ask_for_a_larger_input_up_to_what_the_device_can_do() -> None:
    # A disc 32 pixels across on a square of 320 covers pi * 16^2 / 320^2 of it.
    share = math.pi * 16**2 / 320**2
    assert chosen(small_label_area=share * 0.999).input_size == (320, 320)
    assert chosen(small_label_area=share / 100).input_size == (384, 384)
    assert chosen(GPU, small_label_area=share / 100).input_size == (608, 608)  # the images' own
    large = replace(LESIONS, median_size=(3000, 3000))
    assert chosen(GPU, large, small_label_area=share / 100).input_size == (1024, 1024)


@given(
    area=st.floats(1e-6, 1),
    height=st.integers(8, 3000),
    width=st.integers(8, 3000),
    machine=st.sampled_from([CPU, GPU]),
)
def test_labels_are_wide_enough_wherever_image_and_device_allow(
    area: float, height: int, width: int, machine: Machine
) -> None:
    size = chosen(machine, median_size=(height, width), small_label_area=area).input_size
    assert all(side % 32 == 0 and side > 0 for side in size)
    largest = {"cpu": 384, "cuda": 1024}[machine.device]
    diameter_px = math.sqrt(4 / math.pi * area)  # on a square of one pixel
    if min(size) >= 128 and diameter_px * min(largest, math.sqrt(height * width)) >= 32:
        diameter = diameter_px * math.sqrt(size[0] * size[1])
        # Rounding to multiples of 32 takes at most 16 of 112 from each side.
        assert diameter >= SMALLEST_LABEL_PX * (1 - 16 / 112)


def test_the_batch_halves_until_half_the_memory_is_enough() -> None:
    image_bytes = 256 * 256 * BYTES_A_PIXEL
    # Three quarters of what is free may be taken.
    for batch_size, images in ((8, 8), (4, 7.9), (4, 4), (2, 3.9), (2, 0.1)):
        machine = Machine("cpu", math.ceil(images * image_bytes / 0.75))
        assert chosen(machine).batch_size == batch_size


def test_the_bytes_a_pixel_are_those_of_the_network() -> None:
    """What autograd keeps for one image, by storages; as much again is left for the rest."""
    network = build_network("simplified_unet").train().to(memory_format=torch.channels_last)
    weights = {weight.data_ptr() for weight in network.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    image = torch.rand(2, 3, 96, 128).contiguous(memory_format=torch.channels_last)
    mask = torch.zeros(2, 96, 128, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        # The graph, and so what it keeps, lives as long as its end.
        loss = LOSSES["dice_bce"](network(image), mask)
    a_pixel = sum(kept.values()) / (2 * 96 * 128)
    assert loss.requires_grad
    assert a_pixel == pytest.approx(BYTES_A_PIXEL / 2, rel=0.15)


def test_mostly_empty_images_are_under_sampled_and_counted_so() -> None:
    assert chosen(empty_share=0.5).sampling == "all"
    recipe = chosen(empty_share=0.6)
    assert recipe.sampling == "periodic_under_sampling"
    # 160 images with a label and half of 240: 35 steps of 8.
    assert recipe.epochs == math.ceil(2000 / 35)


def test_epochs_have_bounds() -> None:
    assert chosen(images=8).epochs == 200
    assert chosen(images=100_000).epochs == 5


def test_tiny_labels_take_the_focal_loss() -> None:
    assert chosen(label_area=0.0099).loss == "dice_focal"
    assert chosen(label_area=0.0101).loss == "dice_bce"


def test_gray_images_take_one_channel_and_packs_keep_theirs() -> None:
    assert chosen(channels=1).in_channels == 1
    recipe, reasons = auto_recipe(
        replace(LESIONS, median_size=(96, 160), channels=3, is_packed=True), CPU
    )
    assert (recipe.input_size, recipe.in_channels) == ((96, 160), 3)
    assert (reasons["input_size"], reasons["in_channels"]) == (
        "the pack's size",
        "the pack's channels",
    )

"""Losses against MONAI, closed forms, and masks that are empty or full."""

import math
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from featherseg.losses import LOSSES, bce, dice, dice_bce, negative_log_iou, squared_dice

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import monai.losses

reference_losses: Any = monai.losses
every_loss = pytest.mark.parametrize("name", LOSSES)


def example(channels: int, seed: int = 0, count: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, channels, 12, 10, generator=generator)
    mask = torch.randint(0, max(2, channels), (count, 12, 10), generator=generator)
    return logits, mask


def test_dice_equals_monai_for_one_channel() -> None:
    logits, mask = example(1)
    reference = reference_losses.DiceLoss(sigmoid=True, smooth_nr=1e-6, smooth_dr=1e-6)
    assert torch.allclose(dice(logits, mask), reference(logits, mask.unsqueeze(1)))


def test_dice_equals_monai_for_several_channels() -> None:
    logits, mask = example(4)
    reference = reference_losses.DiceLoss(
        softmax=True, to_onehot_y=True, include_background=False, smooth_nr=1e-6, smooth_dr=1e-6
    )
    assert torch.allclose(dice(logits, mask), reference(logits, mask.unsqueeze(1)))


def test_squared_dice_equals_monai() -> None:
    logits, mask = example(3)
    reference = reference_losses.DiceLoss(
        softmax=True, to_onehot_y=True, squared_pred=True, smooth_nr=1e-6, smooth_dr=1e-6
    )
    assert torch.allclose(squared_dice(logits, mask), reference(logits, mask.unsqueeze(1)))


@pytest.mark.parametrize("channels", [1, 3])
def test_dice_bce_equals_monai(channels: int) -> None:
    logits, mask = example(channels)
    options: dict[str, Any] = (
        {"sigmoid": True}
        if channels == 1
        else {"softmax": True, "to_onehot_y": True, "include_background": False}
    )
    part = reference_losses.DiceLoss(smooth_nr=1e-6, smooth_dr=1e-6, **options)
    target = mask.unsqueeze(1)
    if channels == 1:
        entropy = torch.nn.BCEWithLogitsLoss()(logits, target.float())
    else:
        entropy = torch.nn.CrossEntropyLoss()(logits, mask)
    assert torch.allclose(dice_bce(logits, mask), part(logits, target) + entropy)


def test_closed_forms_at_one_half() -> None:
    """Logits of 0 are probabilities of 1/2; 3 of 12 pixels are foreground."""
    logits = torch.zeros(1, 1, 3, 4)
    mask = torch.zeros(1, 3, 4, dtype=torch.long)
    mask[0, 0, :3] = 1
    assert bce(logits, mask).item() == pytest.approx(math.log(2))
    assert dice(logits, mask).item() == pytest.approx(1 - 2 * 1.5 / (6 + 3), abs=1e-6)
    # Foreground 2 * 1.5 / (3 + 3), background 2 * 4.5 / (3 + 9).
    squared = 1 - (3 / 6 + 9 / 12) / 2
    assert squared_dice(logits, mask).item() == pytest.approx(squared, abs=1e-6)
    log_iou = -math.log((1.5 + 1) / (6 + 3 - 1.5 + 1))
    assert negative_log_iou(logits, mask).item() == pytest.approx(log_iou)
    total = 2 * math.log(2) + squared + log_iou
    assert LOSSES["weight_balance"](logits, mask).item() == pytest.approx(total, abs=1e-5)


@every_loss
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_a_perfect_answer_costs_nothing(name: str, channels: int) -> None:
    _, mask = example(channels)
    truth = torch.nn.functional.one_hot(mask, max(2, channels)).permute(0, 3, 1, 2).float()
    logits = 60 * truth - 30
    value = LOSSES[name](logits[:, 1:] if channels == 1 else logits, mask)
    assert abs(float(value)) < 1e-4
    opposite = LOSSES[name](-(logits[:, 1:] if channels == 1 else logits), mask)
    assert opposite > 0.5


@every_loss
def test_one_sigmoid_channel_is_a_softmax_over_two(name: str) -> None:
    logits, mask = example(1)
    two = torch.cat((torch.zeros_like(logits), logits), dim=1)
    assert torch.allclose(LOSSES[name](logits, mask), LOSSES[name](two, mask), atol=1e-6)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("label", ["empty", "full"])
@pytest.mark.parametrize("level", [-80.0, 0.0, 80.0])
def test_finite_on_empty_and_full_masks(
    name: str, dtype: torch.dtype, channels: int, label: str, level: float
) -> None:
    logits = torch.full((2, channels, 64, 64), level, dtype=dtype)
    logits[:, -1] *= -1
    logits.requires_grad_()
    mask = torch.full((2, 64, 64), int(label == "full") * max(1, channels - 1))
    value = LOSSES[name](logits, mask)
    torch.autograd.backward(value)
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_an_image_without_lesion_pushes_probability_down() -> None:
    for name, loss in LOSSES.items():
        logits = torch.zeros(1, 1, 16, 16, requires_grad=True)
        torch.autograd.backward(loss(logits, torch.zeros(1, 16, 16, dtype=torch.long)))
        assert logits.grad is not None
        # Plain Dice has next to no slope there: that is the paper's loss.
        assert name == "dice" or (logits.grad > 0).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), channels=st.sampled_from([1, 2, 3]))
def test_a_batch_is_the_mean_of_its_images(seed: int, channels: int) -> None:
    logits, mask = example(channels, seed)
    for loss in LOSSES.values():
        alone = [loss(logits[i : i + 1], mask[i : i + 1]) for i in range(len(mask))]
        assert torch.allclose(loss(logits, mask), torch.stack(alone).mean(), atol=1e-5)

"""Losses against MONAI, closed forms, slow loops, and masks that are empty or full."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from featherseg.losses import (
    LOSSES,
    bce,
    ce_dice,
    dice,
    dice_bce,
    dice_focal,
    focal,
    squared_dice,
    tversky,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import monai.losses

reference_losses: Any = monai.losses
every_loss = pytest.mark.parametrize("name", LOSSES)
SMOOTH: dict[str, Any] = {"smooth_nr": 1e-6, "smooth_dr": 1e-6}
SIGMOID: dict[str, Any] = {"sigmoid": True}
SOFTMAX: dict[str, Any] = {"softmax": True, "to_onehot_y": True}
FOREGROUND: dict[str, Any] = {**SOFTMAX, "include_background": False}


def example(channels: int, seed: int = 0, count: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, channels, 12, 10, generator=generator)
    mask = torch.randint(0, max(2, channels), (count, 12, 10), generator=generator)
    return logits, mask


def test_every_loss_has_its_name() -> None:
    assert {name: loss.__name__ for name, loss in LOSSES.items()} == {n: n for n in LOSSES}


# --- MONAI


@pytest.mark.parametrize(("channels", "options"), [(1, SIGMOID), (4, FOREGROUND)])
def test_dice_equals_monai(channels: int, options: dict[str, Any]) -> None:
    logits, mask = example(channels)
    reference = reference_losses.DiceLoss(**SMOOTH, **options)
    assert torch.allclose(dice(logits, mask), reference(logits, mask.unsqueeze(1)))


def test_squared_dice_equals_monai() -> None:
    logits, mask = example(3)
    reference = reference_losses.DiceLoss(squared_pred=True, **SMOOTH, **SOFTMAX)
    assert torch.allclose(squared_dice(logits, mask), reference(logits, mask.unsqueeze(1)))


def test_focal_equals_monai_for_one_channel() -> None:
    logits, mask = example(1)
    target = mask.unsqueeze(1)
    assert torch.allclose(
        focal(logits, mask), reference_losses.FocalLoss(gamma=2, alpha=0.25)(logits, target)
    )
    assert torch.allclose(
        focal(logits, mask, gamma=3, alpha=0.6),
        reference_losses.FocalLoss(gamma=3, alpha=0.6)(logits, target),
    )


def test_focal_equals_monai_for_several_channels() -> None:
    logits, mask = example(4)
    reference = reference_losses.FocalLoss(gamma=2, alpha=0.25, use_softmax=True, to_onehot_y=True)
    # MONAI's mean runs over the channels as well, of which all but the true one are 0.
    assert torch.allclose(focal(logits, mask), 4 * reference(logits, mask.unsqueeze(1)))


@pytest.mark.parametrize(("channels", "options"), [(1, SIGMOID), (3, FOREGROUND)])
def test_tversky_equals_monai(channels: int, options: dict[str, Any]) -> None:
    logits, mask = example(channels)
    reference = reference_losses.TverskyLoss(alpha=0.3, beta=0.7, **SMOOTH, **options)
    assert torch.allclose(tversky(logits, mask), reference(logits, mask.unsqueeze(1)))


@pytest.mark.parametrize(("channels", "options"), [(1, SIGMOID), (3, FOREGROUND)])
def test_dice_bce_equals_monai(channels: int, options: dict[str, Any]) -> None:
    logits, mask = example(channels)
    target = mask.unsqueeze(1)
    part = reference_losses.DiceLoss(**SMOOTH, **options)(logits, target)
    if channels == 1:
        entropy = torch.nn.BCEWithLogitsLoss()(logits, target.float())
    else:
        entropy = torch.nn.CrossEntropyLoss()(logits, mask)
    assert torch.allclose(dice_bce(logits, mask), part + entropy)


def test_ce_dice_equals_monai() -> None:
    logits, mask = example(3)
    reference = reference_losses.DiceCELoss(squared_pred=True, **SMOOTH, **SOFTMAX)
    assert torch.allclose(ce_dice(logits, mask), reference(logits, mask.unsqueeze(1)))


def test_dice_focal_equals_monai() -> None:
    logits, mask = example(1)
    reference = reference_losses.DiceFocalLoss(
        squared_pred=True, gamma=2, alpha=0.25, **SMOOTH, **SIGMOID
    )
    assert torch.allclose(dice_focal(logits, mask), reference(logits, mask.unsqueeze(1).float()))


# --- Closed forms


def test_closed_forms_at_one_half() -> None:
    """Logits of 0 are probabilities of 1/2; 3 of 12 pixels are foreground."""
    logits = torch.zeros(1, 1, 3, 4)
    mask = torch.zeros(1, 3, 4, dtype=torch.long)
    mask[0, 0, :3] = 1
    # Foreground 2 * 1.5 / (3 + 3), background 2 * 4.5 / (3 + 9).
    squared = 1 - (3 / 6 + 9 / 12) / 2
    log_iou = -math.log((1.5 + 1) / (6 + 3 - 1.5 + 1))
    # 3 foreground pixels weigh 1/4, 9 of the background 3/4; (1 - 1/2)^2 of each ln 2.
    focused = (3 * 0.25 + 9 * 0.75) / 12 * 0.25 * math.log(2)
    expected = {
        "bce": math.log(2),
        "dice": 1 - 2 * 1.5 / (6 + 3),
        "squared_dice": squared,
        "focal": focused,
        "tversky": 1 - 1.5 / (1.5 + 0.3 * 4.5 + 0.7 * 1.5),
        "negative_log_iou": log_iou,
        "dice_bce": 1 - 2 * 1.5 / (6 + 3) + math.log(2),
        "ce_dice": math.log(2) + squared,
        "dice_focal": 0.5 + focused,
        "weight_balance": 2 * math.log(2) + squared + log_iou,
    }
    assert list(expected) == list(LOSSES)
    for name, value in expected.items():
        assert LOSSES[name](logits, mask).item() == pytest.approx(value, abs=1e-5), name


def test_three_labels_by_hand() -> None:
    """Two pixels: one of label 2 with probabilities 1/6 1/3 1/2, one of the background, even."""
    logits = torch.tensor([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]]).log().reshape(1, 3, 1, 2)
    mask = torch.tensor([[[2, 0]]])
    entropy = (math.log(2) + math.log(3)) / 2
    assert bce(logits, mask).item() == pytest.approx(entropy)
    # Label 1 is nowhere: all of it is false alarm. Label 2 has 1/2 of its only pixel.
    assert dice(logits, mask).item() == pytest.approx((1 + 1 - 1 / (5 / 6 + 1)) / 2, abs=1e-5)
    missed = 1 - 0.5 / (0.5 + 0.3 / 3 + 0.7 / 2)
    assert tversky(logits, mask).item() == pytest.approx((1 + missed) / 2, abs=1e-5)
    focused = (0.25 * 0.25 * math.log(2) + 0.75 * (2 / 3) ** 2 * math.log(3)) / 2
    assert focal(logits, mask).item() == pytest.approx(focused)


def test_focal_without_focus_is_cross_entropy() -> None:
    for channels in (1, 3):
        logits, mask = example(channels)
        assert torch.allclose(focal(logits, mask, gamma=0, alpha=0.5), bce(logits, mask) / 2)


def test_focal_keeps_its_digits_where_the_network_is_sure() -> None:
    """At a logit of 20, 1 - p is 2e-9 and would be 0 if p were rounded first."""
    logits = torch.full((1, 1, 1, 1), 20.0)
    wrong = 1 / (1 + math.exp(20))
    expected = 0.25 * wrong**2 * -math.log1p(-wrong)
    value = focal(logits, torch.ones(1, 1, 1, dtype=torch.long))
    assert value.item() == pytest.approx(expected, rel=1e-4, abs=0)


def test_tversky_is_dice_at_one_half_and_prefers_false_alarms() -> None:
    logits, mask = example(3)
    assert torch.allclose(tversky(logits, mask, alpha=0.5, beta=0.5), dice(logits, mask))
    mask = torch.zeros(1, 4, 4, dtype=torch.long)
    mask[0, 1:3, 1:3] = 1
    found = torch.full((2, 1, 4, 4), -30.0)
    found[0, 0, 1:3, 1] = 30
    found[1, 0, 1:3, :] = 30
    too_little, too_much = (tversky(found[i : i + 1], mask).item() for i in range(2))
    assert too_little == pytest.approx(1 - 2 / (2 + 0.7 * 2), abs=1e-5)
    assert too_much == pytest.approx(1 - 4 / (4 + 0.3 * 4), abs=1e-5)


# --- Slow loops in float64, and their slopes by finite differences

Planes = Sequence[tuple[list[float], list[float]]]
_E = 1e-6


def slow(name: str, logits: np.ndarray, mask: np.ndarray) -> float:
    """A loss of one image (C, H, W), pixel by pixel."""
    pixels = []
    for row, col in np.ndindex(*mask.shape):
        scores = [0.0, float(logits[0, row, col])] if len(logits) == 1 else logits[:, row, col]
        weights = [math.exp(float(score)) for score in scores]
        pixels.append(([weight / sum(weights) for weight in weights], int(mask[row, col])))
    planes = [
        ([p[label] for p, _ in pixels], [float(true == label) for _, true in pixels])
        for label in range(len(pixels[0][0]))
    ]
    entropy = -sum(math.log(p[true]) for p, true in pixels) / len(pixels)
    focused = -sum(
        (0.25 if true else 0.75) * (1 - p[true]) ** 2 * math.log(p[true]) for p, true in pixels
    ) / len(pixels)
    by_name: dict[str, Callable[[], float]] = {
        "bce": lambda: entropy,
        "dice": lambda: slow_dice(planes[1:], 1),
        "squared_dice": lambda: slow_dice(planes, 2),
        "focal": lambda: focused,
        "tversky": lambda: slow_tversky(planes[1:]),
        "negative_log_iou": lambda: slow_log_iou(planes[1:]),
        "dice_bce": lambda: slow_dice(planes[1:], 1) + entropy,
        "ce_dice": lambda: slow_dice(planes, 2) + entropy,
        "dice_focal": lambda: slow_dice(planes[1:], 2) + focused,
        "weight_balance": lambda: slow_dice(planes, 2) + slow_log_iou(planes[1:]) + 2 * entropy,
    }
    return by_name[name]()


def slow_dice(planes: Planes, power: int) -> float:
    total = 0.0
    for p, g in planes:
        overlap = 2 * sum(a * b for a, b in zip(p, g, strict=True)) + _E
        total += 1 - overlap / (sum(a**power for a in p) + sum(b**power for b in g) + _E)
    return total / len(planes)


def slow_tversky(planes: Planes) -> float:
    total = 0.0
    for p, g in planes:
        hit = sum(a for a, b in zip(p, g, strict=True) if b)
        false_alarm = sum(a for a, b in zip(p, g, strict=True) if not b)
        missed = sum(1 - a for a, b in zip(p, g, strict=True) if b)
        total += 1 - (hit + _E) / (hit + 0.3 * false_alarm + 0.7 * missed + _E)
    return total / len(planes)


def slow_log_iou(planes: Planes) -> float:
    total = 0.0
    for p, g in planes:
        both = sum(a * b for a, b in zip(p, g, strict=True))
        total -= math.log((both + 1) / (sum(p) + sum(g) - both + 1))
    return total / len(planes)


@every_loss
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_equals_a_slow_loop(name: str, channels: int) -> None:
    logits, mask = example(channels)
    alone = [slow(name, *pair) for pair in zip(logits.numpy(), mask.numpy(), strict=True)]
    assert LOSSES[name](logits, mask).item() == pytest.approx(np.mean(alone), abs=1e-5)


@every_loss
@pytest.mark.parametrize("channels", [1, 3])
def test_the_slope_is_that_of_the_slow_loop(name: str, channels: int) -> None:
    logits, mask = example(channels, count=1)
    logits, mask = logits[:, :, :2, :3].clone().requires_grad_(), mask[:, :2, :3]
    torch.autograd.backward(LOSSES[name](logits, mask))
    assert logits.grad is not None
    point = logits.detach()[0].double().numpy()
    for where in np.ndindex(*point.shape):
        step = np.zeros_like(point)
        step[where] = 1e-5
        above, below = (slow(name, point + sign * step, mask[0].numpy()) for sign in (1, -1))
        expected = (above - below) / 2e-5
        assert logits.grad[0][where].item() == pytest.approx(expected, abs=1e-5)


# --- Properties of all of them


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
def test_one_sigmoid_channel_takes_any_label_as_foreground(name: str) -> None:
    logits, mask = example(1)
    assert torch.equal(LOSSES[name](logits, 3 * mask), LOSSES[name](logits, mask))


@every_loss
@pytest.mark.parametrize("channels", [1, 4])
def test_places_and_foreground_labels_are_all_alike(name: str, channels: int) -> None:
    logits, mask = example(channels)
    value = LOSSES[name](logits, mask)
    places = torch.randperm(120, generator=torch.Generator().manual_seed(1))
    moved = logits.flatten(2)[:, :, places].reshape(logits.shape)
    assert torch.allclose(
        LOSSES[name](moved, mask.flatten(1)[:, places].reshape(mask.shape)), value, atol=1e-6
    )
    if channels > 1:
        renamed = torch.tensor([0, 3, 1, 2])
        assert torch.allclose(
            LOSSES[name](logits[:, renamed], renamed.argsort()[mask]), value, atol=1e-6
        )


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


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    channels=st.sampled_from([1, 2, 4]),
    scale=st.sampled_from([0.0, 1.0, 20.0, 80.0]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_finite_and_not_negative(
    seed: int, channels: int, scale: float, dtype: torch.dtype
) -> None:
    logits, mask = example(channels, seed)
    logits = (scale * logits).to(dtype).requires_grad_()
    for loss in LOSSES.values():
        value = loss(logits, mask)
        (slope,) = torch.autograd.grad(value, logits)
        assert -1e-6 <= value < math.inf
        assert torch.isfinite(slope).all()


@every_loss
@pytest.mark.parametrize("channels", [1, 3])
def test_bfloat16_logits_are_scored_in_float32(name: str, channels: int) -> None:
    logits, mask = example(channels)
    coarse = logits.bfloat16()
    assert torch.equal(LOSSES[name](coarse, mask), LOSSES[name](coarse.float(), mask))


def test_an_image_without_lesion_pushes_probability_down() -> None:
    for name, loss in LOSSES.items():
        logits = torch.zeros(1, 1, 16, 16, requires_grad=True)
        torch.autograd.backward(loss(logits, torch.zeros(1, 16, 16, dtype=torch.long)))
        assert logits.grad is not None
        # Dice and Tversky have next to no slope there: that is the papers' loss.
        assert name in ("dice", "tversky") or (logits.grad > 1e-5).all(), name


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), channels=st.sampled_from([1, 2, 3]))
def test_a_batch_is_the_mean_of_its_images(seed: int, channels: int) -> None:
    logits, mask = example(channels, seed)
    for loss in LOSSES.values():
        alone = [loss(logits[i : i + 1], mask[i : i + 1]) for i in range(len(mask))]
        assert torch.allclose(loss(logits, mask), torch.stack(alone).mean(), atol=1e-5)

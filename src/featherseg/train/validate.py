"""Scores of the validation images at the network's input size."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from featherseg.losses import Loss


@dataclass(frozen=True)
class Scores:
    """Mean loss and mean Dice over images; Dice of a label that is nowhere and not found is 1."""

    loss: float
    dice: float


def rank(entry: Mapping[str, Any], select: str) -> tuple[float, ...]:
    """What an entry of the log is chosen by, higher is better: the recipe's `select`.

    "validation_loss" takes the lowest loss; "validation_dice", and "last_epoch" among several
    runs, the highest Dice, equal ones by the loss.
    """
    loss = -float(entry["validation_loss"])
    return (loss,) if select == "validation_loss" else (float(entry["validation_dice"]), loss)


@torch.no_grad()
def validate(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Loss,
    total: Callable[[Tensor], Tensor] = lambda own: own,
) -> Scores:
    """Score a network in evaluation mode, threshold 0.5 and nothing removed; it stays so.

    `total` adds what several processes found on their parts of the images.
    """
    network.eval()
    losses, scores, count = 0.0, 0.0, 0
    for images, masks in batches:
        logits = network(images).float()
        losses += float(loss(logits, masks)) * len(images)
        scores += float(image_dice(logits, masks).sum())
        count += len(images)
    losses, scores, count = total(
        torch.tensor((losses, scores, count), dtype=torch.float64)
    ).tolist()
    return Scores(losses / count, scores / count)


def image_dice(logits: Tensor, masks: Tensor) -> Tensor:
    """Dice of each image (N,), the mean over its foreground labels."""
    found = predicted_labels(logits)
    labels = torch.arange(1, max(2, logits.shape[1]), device=masks.device).view(1, -1, 1, 1)
    is_found = found.unsqueeze(1) == labels
    is_true = masks.unsqueeze(1) == labels
    overlap = (is_found & is_true).sum(dim=(2, 3))
    total = is_found.sum(dim=(2, 3)) + is_true.sum(dim=(2, 3))
    dice = torch.where(total > 0, 2 * overlap / total.clamp(min=1), 1.0)
    return dice.mean(dim=1)


def predicted_labels(logits: Tensor) -> Tensor:
    """Labels (N, H, W) as post-processing gives them at a threshold of 0.5."""
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).long()
    probability = torch.softmax(logits, dim=1)
    is_foreground = 1 - probability[:, 0] > 0.5
    return torch.where(is_foreground, 1 + probability[:, 1:].argmax(dim=1), 0)

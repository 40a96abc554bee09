"""Losses against masks: pure functions of logits (N, C, H, W) and integer masks (N, H, W).

One channel is a sigmoid (labels 0 and 1: whatever is above 0 is foreground), several are a
softmax with channel 0 as background (labels 0..C-1). Every loss is a scalar, the mean of one
value an image, computed in float32 whatever the dtype of the logits, and finite for masks that
are empty or full.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from featherseg.losses.labels import log_probabilities

Loss = Callable[[Tensor, Tensor], Tensor]

# The Lighter U-net paper's Dice loss has no smoothing; an empty mask would divide by zero.
_EPSILON = 1e-6
# One pixel: enough for an image without a lesion, too little to matter for one with a lesion.
_ONE_PIXEL = 1.0


def bce(logits: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy, mean over pixels: binary for one channel, over labels for several."""
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits[:, 0].float(), (mask > 0).float())
    return F.cross_entropy(logits.float(), mask)


def dice(logits: Tensor, mask: Tensor) -> Tensor:
    """Soft Dice, 1 - 2 sum(p g) / (sum p + sum g), of each image and foreground label.

    Lighter U-net paper, section 4.2; 1e-6 is added above and below, so that an image without
    the label costs 0 where nothing is found.
    """
    probability, truth = _foreground(logits, mask)
    return _dice(probability, truth, probability + truth)


def squared_dice(logits: Tensor, mask: Tensor) -> Tensor:
    """1 - sum_k (2 / K) sum(p g) / (sum p^2 + sum g^2) of each image (LightBTSeg, equation 5).

    The K labels include the background; one sigmoid channel is read as two labels. The squares
    are those of V-Net (Milletari et al. 2016, arXiv:1606.04797).
    """
    probability, truth = _all_labels(logits, mask)
    return _dice(probability, truth, probability.square() + truth.square())


def focal(logits: Tensor, mask: Tensor, *, gamma: float = 2.0, alpha: float = 0.25) -> Tensor:
    """-a (1 - p)^gamma ln p, p the probability of the true label, mean over pixels.

    Lin et al. 2017, arXiv:1708.02002, equation 5: a is `alpha` where the true label is in the
    foreground and 1 - alpha where it is the background, for several labels too. `gamma` is 0
    or at least 1 (between them the slope at p = 1 is infinite).
    """
    labels = _labels(logits, mask)
    log_probability = log_probabilities(logits).gather(1, labels.unsqueeze(1)).squeeze(1)
    weight = torch.where(labels > 0, alpha, 1 - alpha)
    # expm1 keeps the digits of 1 - p where p is close to 1.
    modulated = (-torch.expm1(log_probability)).pow(gamma) * log_probability
    return -(weight * modulated).mean()


def tversky(logits: Tensor, mask: Tensor, *, alpha: float = 0.3, beta: float = 0.7) -> Tensor:
    """1 - TP / (TP + alpha FP + beta FN), soft, of each image and foreground label.

    Salehi et al. 2017, arXiv:1706.05721, with the weights of its best result: `alpha` is the
    price of false positives, `beta` of false negatives, so that by default a missed pixel costs
    more than a false alarm. Both at 0.5 are `dice`. 1e-6 is added above and below, as there.
    """
    probability, truth = _foreground(logits, mask)
    hit = (probability * truth).sum(dim=(2, 3))
    false_alarm = (probability * (1 - truth)).sum(dim=(2, 3))
    missed = ((1 - probability) * truth).sum(dim=(2, 3))
    total = hit + alpha * false_alarm + beta * missed
    return 1 - ((hit + _EPSILON) / (total + _EPSILON)).mean()


def negative_log_iou(logits: Tensor, mask: Tensor) -> Tensor:
    """-ln(intersection / union), soft, of each image and foreground label (equation 6).

    One pixel is added to both, which bounds the loss where a lesion is missed or absent.
    """
    probability, truth = _foreground(logits, mask)
    intersection = (probability * truth).sum(dim=(2, 3))
    union = probability.sum(dim=(2, 3)) + truth.sum(dim=(2, 3)) - intersection
    return -torch.log((intersection + _ONE_PIXEL) / (union + _ONE_PIXEL)).mean()


def dice_bce(logits: Tensor, mask: Tensor) -> Tensor:
    """Dice and cross-entropy, equally weighted (AL-Net, section 3.4)."""
    return dice(logits, mask) + bce(logits, mask)


def ce_dice(logits: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy and squared Dice, equally weighted: `weight_balance` without its IoU."""
    return bce(logits, mask) + squared_dice(logits, mask)


def dice_focal(logits: Tensor, mask: Tensor) -> Tensor:
    """V-Net's Dice of the foreground and focal loss, equally weighted (LAEDNet, equation 6)."""
    probability, truth = _foreground(logits, mask)
    squares = probability.square() + truth.square()
    return _dice(probability, truth, squares) + focal(logits, mask)


def weight_balance(logits: Tensor, mask: Tensor) -> Tensor:
    """2 cross-entropy + squared Dice + negative log IoU (LightBTSeg, equation 7)."""
    return 2 * bce(logits, mask) + squared_dice(logits, mask) + negative_log_iou(logits, mask)


def _dice(probability: Tensor, truth: Tensor, total: Tensor) -> Tensor:
    """1 - 2 sum(p g) / sum(total), mean over images and labels; all are (N, K, H, W)."""
    overlap = 2 * (probability * truth).sum(dim=(2, 3)) + _EPSILON
    return 1 - (overlap / (total.sum(dim=(2, 3)) + _EPSILON)).mean()


def _foreground(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Probability and truth of the foreground labels, both float32 (N, K, H, W)."""
    probability, truth = _all_labels(logits, mask)
    return probability[:, 1:], truth[:, 1:]


def _all_labels(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Probability and truth of every label, background first, both float32 (N, K + 1, H, W)."""
    probability = log_probabilities(logits).exp()
    labels = torch.arange(probability.shape[1], device=mask.device).view(1, -1, 1, 1)
    return probability, (_labels(logits, mask).unsqueeze(1) == labels).float()


def _labels(logits: Tensor, mask: Tensor) -> Tensor:
    """The mask's labels as the logits know them: 0 and 1 for one channel, else all."""
    return (mask > 0).long() if logits.shape[1] == 1 else mask

"""What training minimizes: pure functions of logits (N, C, H, W) and integer masks (N, H, W).

One channel is a sigmoid (labels 0 and 1: whatever is above 0 is foreground), several are a
softmax with channel 0 as background (labels 0..C-1). Every loss is a scalar, the mean of one
value an image, computed in float32 whatever the dtype of the logits, and finite for masks that
are empty or full.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

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
    overlap = 2 * (probability * truth).sum(dim=(2, 3)) + _EPSILON
    total = probability.sum(dim=(2, 3)) + truth.sum(dim=(2, 3)) + _EPSILON
    return 1 - (overlap / total).mean()


def dice_bce(logits: Tensor, mask: Tensor) -> Tensor:
    """Dice and cross-entropy, equally weighted (AL-Net, section 3.4)."""
    return dice(logits, mask) + bce(logits, mask)


def weight_balance(logits: Tensor, mask: Tensor) -> Tensor:
    """2 cross-entropy + squared Dice + negative log IoU (LightBTSeg, equation 7)."""
    return 2 * bce(logits, mask) + squared_dice(logits, mask) + negative_log_iou(logits, mask)


def squared_dice(logits: Tensor, mask: Tensor) -> Tensor:
    """1 - sum_k (2 / K) sum(p g) / (sum p^2 + sum g^2) of each image (LightBTSeg, equation 5).

    The K labels include the background; one sigmoid channel is read as two labels.
    """
    probability, truth = _all_labels(logits, mask)
    overlap = 2 * (probability * truth).sum(dim=(2, 3)) + _EPSILON
    total = probability.square().sum(dim=(2, 3)) + truth.square().sum(dim=(2, 3)) + _EPSILON
    return 1 - (overlap / total).mean()


def negative_log_iou(logits: Tensor, mask: Tensor) -> Tensor:
    """-ln(intersection / union), soft, of each image and foreground label (equation 6).

    One pixel is added to both, which bounds the loss where a lesion is missed or absent.
    """
    probability, truth = _foreground(logits, mask)
    intersection = (probability * truth).sum(dim=(2, 3))
    union = probability.sum(dim=(2, 3)) + truth.sum(dim=(2, 3)) - intersection
    return -torch.log((intersection + _ONE_PIXEL) / (union + _ONE_PIXEL)).mean()


def _foreground(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Probability and truth of the foreground labels, both float32 (N, K, H, W)."""
    if logits.shape[1] == 1:
        return torch.sigmoid(logits.float()), (mask > 0).float().unsqueeze(1)
    probability, truth = _all_labels(logits, mask)
    return probability[:, 1:], truth[:, 1:]


def _all_labels(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Probability and truth of every label, background first, both float32 (N, K + 1, H, W)."""
    logits = logits.float()
    if logits.shape[1] == 1:
        probability = torch.cat((torch.sigmoid(-logits), torch.sigmoid(logits)), dim=1)
        mask = (mask > 0).long()
    else:
        probability = torch.softmax(logits, dim=1)
    labels = torch.arange(probability.shape[1], device=mask.device).view(1, -1, 1, 1)
    return probability, (mask.unsqueeze(1) == labels).float()

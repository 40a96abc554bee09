"""What training minimizes: pure functions of logits (N, C, H, W), each a float32 scalar.

One channel is a sigmoid (labels 0 and 1), several are a softmax over the labels 0..C-1 with
channel 0 as background. `LOSSES` compares logits with integer masks (N, H, W) and is what a
recipe chooses from by name.
"""

from featherseg.losses.segmentation import (
    Loss,
    bce,
    dice,
    dice_bce,
    negative_log_iou,
    squared_dice,
    weight_balance,
)

LOSSES: dict[str, Loss] = {
    "dice": dice,
    "bce": bce,
    "dice_bce": dice_bce,
    "weight_balance": weight_balance,
}

__all__ = [
    "LOSSES",
    "Loss",
    "bce",
    "dice",
    "dice_bce",
    "negative_log_iou",
    "squared_dice",
    "weight_balance",
]

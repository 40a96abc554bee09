"""What training minimizes: pure functions of logits (N, C, H, W), each a float32 scalar.

One channel is a sigmoid (labels 0 and 1), several are a softmax over the labels 0..C-1 with
channel 0 as background. `LOSSES` compares logits with integer masks (N, H, W) and is what a
recipe chooses from by name; `kl_divergence`, `channel_wise` and `attention_transfer` compare a
student with a teacher; `presence_bce` is of the logits (N, 1) of a presence head.
"""

from featherseg.losses.distillation import (
    attention_map,
    attention_transfer,
    channel_wise,
    kl_divergence,
    uniform_kl,
)
from featherseg.losses.presence import presence_bce
from featherseg.losses.segmentation import (
    Loss,
    bce,
    ce_dice,
    dice,
    dice_bce,
    dice_focal,
    focal,
    negative_log_iou,
    squared_dice,
    tversky,
    weight_balance,
)

LOSSES: dict[str, Loss] = {
    "bce": bce,
    "dice": dice,
    "squared_dice": squared_dice,
    "focal": focal,
    "tversky": tversky,
    "negative_log_iou": negative_log_iou,
    "dice_bce": dice_bce,
    "ce_dice": ce_dice,
    "dice_focal": dice_focal,
    "weight_balance": weight_balance,
}

__all__ = [
    "LOSSES",
    "Loss",
    "attention_map",
    "attention_transfer",
    "bce",
    "ce_dice",
    "channel_wise",
    "dice",
    "dice_bce",
    "dice_focal",
    "focal",
    "kl_divergence",
    "negative_log_iou",
    "presence_bce",
    "squared_dice",
    "tversky",
    "uniform_kl",
    "weight_balance",
]

"""Whether there is any foreground in an image, as a loss."""

from torch import Tensor
from torch.nn import functional as F


def presence_bce(presence: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy of presence logits (N, 1) against whether a mask (N, H, W) has a label.

    The mean over the images; float32.
    """
    is_there = (mask > 0).flatten(1).any(dim=1, keepdim=True)
    return F.binary_cross_entropy_with_logits(presence.float(), is_there.float())

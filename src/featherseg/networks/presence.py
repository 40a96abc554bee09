"""Asking any network: some say beside their logits whether anything is there."""

from typing import Any

from torch import Tensor


def with_presence(network: Any, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logits (N, C, H, W), and presence logits (N, 1) of a network that has such a head."""
    if not hasattr(network, "forward_with_presence"):
        return network(images), None
    logits, presence = network.forward_with_presence(images)
    return logits, presence

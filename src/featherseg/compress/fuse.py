"""Merging parallel branches, and folding batch norms into the convolutions before them."""

import copy
from typing import Any

import torch
from torch import nn


def reparameterize(network: nn.Module) -> nn.Module:
    """A new network, in eval mode, that computes the same with the branches of blocks merged.

    RepVGG (Ding et al. 2021, doi 10.1109/CVPR46437.2021.01352): the 3x3, 1x1 and identity
    branches of a block become one 3x3 convolution. Blocks of timm offer ``reparameterize()``,
    our own ``merged()``, which gives the block to take their place. The original is not changed;
    networks without such blocks are copied.
    """
    merged = _replaced(copy.deepcopy(network).eval(), "merged")
    blocks: list[Any] = [each for each in merged.modules() if hasattr(each, "reparameterize")]
    for block in blocks:
        # timm makes the new convolution on the default device and in the default type.
        weight = next(block.parameters())
        with torch.device(weight.device):
            block.reparameterize()
        block.to(weight.dtype).requires_grad_()
    return merged


def fuse(network: nn.Module) -> nn.Module:
    """A new network, in eval mode, that computes the same with every block fused.

    Branches are merged first; then every submodule that offers ``fused()`` is replaced by what
    that returns. The original is not changed; fusing again gives an equal copy.
    """
    return _replaced(reparameterize(network), "fused")


def _replaced(module: nn.Module, form: str) -> nn.Module:
    offer = getattr(module, form, None)
    if callable(offer):
        other: nn.Module = offer()
        return other
    for name, child in module.named_children():
        setattr(module, name, _replaced(child, form))
    return module

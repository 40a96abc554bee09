"""What the networks of several papers are made of."""

import copy
from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import fuse_conv_bn_eval

from featherseg.errors import ImageError, RecipeError


class ConvBlock(nn.Module):
    """Convolutions, batch norm, ReLU or another activation.

    `convolutions`, of which the last may be transposed, run one after another with nothing
    between them; the norm follows the last. ``nn.Identity()`` is no activation.
    """

    def __init__(
        self, *convolutions: nn.Conv2d | nn.ConvTranspose2d, activation: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*convolutions)
        self.norm = nn.BatchNorm2d(convolutions[-1].out_channels)
        self.activation = activation or nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H', W')."""
        output: Tensor = self.activation(self.norm(self.convolutions(features)))
        return output

    def fused(self) -> nn.Sequential:
        """The same function in eval mode, the norm folded into the last convolution."""
        block = copy.deepcopy(self).eval()
        *first, last = block.convolutions
        is_transposed = isinstance(last, nn.ConvTranspose2d)
        folded = fuse_conv_bn_eval(cast(nn.Conv2d, last), block.norm, transpose=is_transposed)
        # A convolution without bias has a new one, which torch makes a constant.
        return nn.Sequential(*first, folded.requires_grad_(), block.activation)


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 3x3 convolution with bias that keeps the size."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)


def conv1x1(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 1x1 convolution with bias."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=1)


def pair3x3(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with norm and ReLU: a level of a U-Net."""
    return nn.Sequential(
        ConvBlock(conv3x3(in_channels, out_channels)),
        ConvBlock(conv3x3(out_channels, out_channels)),
    )


def channel_attention(channels: int, hidden: int) -> nn.Sequential:
    """Squeeze-and-excitation (Hu et al. 2018, doi 10.1109/CVPR.2018.00745): a weight a channel.

    Gives the weights alone, (N, channels, 1, 1) in (0, 1), from `hidden` units.
    """
    return nn.Sequential(
        OrderedDict(
            mean=nn.AdaptiveAvgPool2d(1),
            squeeze=conv1x1(channels, hidden),
            activation=nn.ReLU(inplace=True),
            excite=conv1x1(hidden, channels),
            sigmoid=nn.Sigmoid(),
        )
    )


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2018, doi 10.1007/978-3-030-01234-2_49).

    A 1x1 convolution, a dilated 3x3 convolution for each of `rates` and the mean over the
    image, concatenated and projected; none has a bias. In training a batch of one image is
    refused by the batch norm over that image's mean.
    """

    def __init__(self, in_channels: int, channels: int, rates: Sequence[int] = (6, 12, 18)) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            ConvBlock(convolution)
            for convolution in (
                nn.Conv2d(in_channels, channels, 1, bias=False),
                *(
                    nn.Conv2d(in_channels, channels, 3, padding=rate, dilation=rate, bias=False)
                    for rate in rates
                ),
            )
        )
        self.mean = ConvBlock(nn.Conv2d(in_channels, channels, 1, bias=False))
        joined = (len(rates) + 2) * channels
        self.project = ConvBlock(nn.Conv2d(joined, channels, 1, bias=False))

    def forward(self, features: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, channels, H, W)."""
        maps = [branch(features) for branch in self.branches]
        mean = self.mean(features.mean(dim=(2, 3), keepdim=True))  # (N, channels, 1, 1)
        projected: Tensor = self.project(torch.cat((*maps, mean.expand_as(maps[0])), dim=1))
        return projected


def resize_to(features: Tensor, like: Tensor) -> Tensor:
    """Features resampled bilinearly to the height and width of `like`."""
    return F.interpolate(features, size=like.shape[2:], mode="bilinear", align_corners=False)


def check_widths(network: str, **widths: int) -> None:
    """Raise RecipeError where a number of channels is not a positive integer."""
    for name, width in widths.items():
        if not isinstance(width, int) or isinstance(width, bool) or width < 1:
            raise RecipeError(f"{network}: {name} must be a positive integer, got {width!r}")


def check_share(network: str, **shares: float) -> None:
    """Raise RecipeError where a probability is not in [0, 1)."""
    for name, share in shares.items():
        is_number = isinstance(share, int | float) and not isinstance(share, bool)
        if not is_number or not 0 <= share < 1:
            raise RecipeError(f"{network}: {name} must be in [0, 1), got {share!r}")


def check_sides(size: Sequence[int], multiple: int) -> None:
    """Raise ImageError where a side is not a positive multiple; the text names the next size."""
    if torch.compiler.is_compiling():
        return
    height, width = size
    if height % multiple or width % multiple or not height or not width:
        padded = "x".join(str(max(1, -(-side // multiple)) * multiple) for side in size)
        raise ImageError(
            f"image sides must be multiples of {multiple}, got {height}x{width}; pad to {padded}"
        )

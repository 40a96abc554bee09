"""PyConvU-Net, an approximation: a U-Net of pyramidal convolutions.

Paper: Li, Fan, Cai, "PyConvU-Net: a lightweight and multiscale network for biomedical image
segmentation", BMC Bioinformatics 22, 2021, doi 10.1186/s12859-020-03943-2; a baseline in Table 5
of the AL-Net paper (Du et al., 2022, doi 10.3389/frsip.2022.842925). Pyramidal convolution: Duta,
Liu, Zhu, Shao, arXiv:2006.11538.

Departures from the paper:
* Speculative: AL-Net's paper says of this network only that pyramidal convolutions replace all
  3x3 ones of a U-Net, and its size. Ours takes the pyramid of two levels of the public PyConv
  code (kernels of 3 and 5 in 1 and 4 groups, half of the channels each, no bias) and the
  skeleton of `lighter_unet`'s U-net with half its width, for that gives the size. Do not take its
  results for those of the authors' network.
* ``width`` scales the whole network and is 32 in this reading.

Open in the paper, chosen here: where channels cannot be split into 4 groups, as in the first
layer, there are as many as divide both sides. Norm and ReLU follow each branch, which is the same
as after their concatenation.

Checked against the paper: 3.7 M parameters (3,660,225: 1.1 % less), AL-Net's Table 5
(tests/contract).
"""

import math

import torch
from torch import Tensor, nn

from featherseg.errors import RecipeError
from featherseg.networks.blocks import ConvBlock, check_widths
from featherseg.networks.lighter_unet import LighterUnet

_WIDTH = 32
_KERNELS = (3, 5)
_GROUPS = (1, 4)


class PyConv(nn.Module):
    """A pyramid of two convolutions, norm, ReLU; each gives half of the channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        larger = out_channels // 2
        outputs = (out_channels - larger, larger)
        self.levels = nn.ModuleList(
            _level(in_channels, channels, kernel_size, groups)
            for channels, kernel_size, groups in zip(outputs, _KERNELS, _GROUPS, strict=True)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        return torch.cat([level(features) for level in self.levels], dim=1)


def _level(in_channels: int, out_channels: int, kernel_size: int, groups: int) -> ConvBlock:
    return ConvBlock(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            padding=kernel_size // 2,
            groups=math.gcd(groups, in_channels, out_channels),
            bias=False,
        )
    )


def pyconv_unet(*, in_channels: int = 3, out_channels: int = 1, width: int = _WIDTH) -> LighterUnet:
    """An approximation of PyConvU-Net; 3,660,225 parameters."""
    check_widths("pyconv_unet", in_channels=in_channels, out_channels=out_channels, width=width)
    if width < len(_KERNELS):
        raise RecipeError(
            f"pyconv_unet: width must be at least {len(_KERNELS)}, a channel for each level of "
            f"the pyramid, got {width}"
        )
    return LighterUnet(
        entry=PyConv,
        first=PyConv,
        second=PyConv,
        in_channels=in_channels,
        out_channels=out_channels,
        width=width,
        dropout=0.0,
    )

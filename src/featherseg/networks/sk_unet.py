"""SK-U-Net: a small U-Net whose blocks choose between a dilated and a plain convolution.

Paper: Byra, Jarosik, Szubert, Galperin, Ojeda-Fournier, Olson, O'Boyle, Comstock, Andre, "Breast
mass segmentation in ultrasound with selective kernel U-Net convolutional neural network",
Biomedical Signal Processing and Control 61, 2020, doi 10.1016/j.bspc.2020.102027; the baseline
of LAEDNet (Zhou et al., 2022, Table 3).

Departures from the paper:
* Logits are returned; the sigmoid of the authors' public code is part of the losses and of
  post-processing here.
* The two dense layers that weigh the branches are 1x1 convolutions of the pooled features, so
  that their batch norm can be folded; parameters and function are the same.
* The skip comes first where it is concatenated, as in all U-Nets here, and last in the public
  code: another order of the same weights.
* ``width`` scales the whole network and is 16 in the public code.

Open in LAEDNet's text, chosen here: it gives no settings for this baseline. Those of the
authors' public code (16 to 256 channels, half as many hidden units as channels) give its size.
In training a batch of one image is refused by the batch norm of the pooled features.

Checked against the paper: LAEDNet's 3.94 M parameters with running statistics, as Keras counts
(3,942,913; 3,942,337 for gray images) (tests/contract and tests/networks/test_sk_unet.py).
"""

import torch
from torch import Tensor, nn

from featherseg.networks.blocks import ConvBlock, check_widths, conv1x1, conv3x3
from featherseg.networks.unet import Unet

_WIDTH = 16


class SelectiveKernel(nn.Module):
    """A dilated and a plain 3x3 convolution, of which each channel takes its share."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // 2)
        self.dilated = ConvBlock(nn.Conv2d(in_channels, channels, 3, padding=2, dilation=2))
        self.plain = ConvBlock(conv3x3(in_channels, channels))
        self.squeeze = ConvBlock(conv1x1(channels, hidden))
        self.excite = conv1x1(hidden, channels)

    def forward(self, features: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, channels, H, W)."""
        dilated, plain = self.dilated(features), self.plain(features)
        mean = (dilated + plain).mean(dim=(2, 3), keepdim=True)  # (N, channels, 1, 1)
        share = torch.sigmoid(self.excite(self.squeeze(mean)))
        chosen: Tensor = share * dilated + (1 - share) * plain
        return chosen


def selective_pair(in_channels: int, channels: int) -> nn.Sequential:
    """Two selective kernel blocks: a level of the network."""
    return nn.Sequential(
        SelectiveKernel(in_channels, channels), SelectiveKernel(channels, channels)
    )


def transposed2x2(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """A 2x2 transposed convolution of stride 2."""
    return nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)


def sk_unet(*, in_channels: int = 3, out_channels: int = 1, width: int = _WIDTH) -> Unet:
    """LAEDNet's SK-U-Net; 3,935,553 parameters."""
    check_widths("sk_unet", in_channels=in_channels, out_channels=out_channels, width=width)
    return Unet(
        up=transposed2x2,
        pair=selective_pair,
        in_channels=in_channels,
        out_channels=out_channels,
        width=width,
    )

"""Simplified U-Net: the 2.2 M student of LightBTSeg and T2KD.

Paper: Guo, Yang, Wang, Liu, et al., "LightBTSeg: A lightweight breast tumor segmentation model
using ultrasound images via dual-path joint knowledge distillation", 2023 (Figure 5, Table I);
T2KD Attention U-Net, J. Biomed. Eng. 42(1), 2025, doi 10.7507/1001-5515.202311054.

Departures from the paper:
* One sigmoid output by default; two softmax outputs (background and tumor, which the paper's
  K-class Dice suggests) with ``out_channels=2``.
* ``width`` scales the whole network and is 16 in the paper.

Open in the paper, chosen here: the text only says 256 channels at the lowest level. Widths of
16 to 256, nearest up-sampling followed by a 3x3 convolution, biases everywhere and no attention
gates are the reading whose parameters, file size and multiply-accumulates all agree with
Table I; with gates, with transposed convolutions or with four levels they do not.

Checked against the paper: 2.2 M parameters (2,162,129), 16.59 GFLOPs at 512x512 (16.425 G
multiply-accumulates of convolutions alone, 1 % below), 8.4 MB (tests/contract).
"""

import torch
from torch import Tensor, nn

from featherseg.networks.blocks import ConvBlock, check_sides, check_widths, conv3x3, pair3x3

_WIDTH = 16
_LEVELS = 5
_MULTIPLE = 2 ** (_LEVELS - 1)


class SimplifiedUnet(nn.Module):
    """A U-Net of up-sampling and 3x3 convolutions.

    Takes (N, in_channels, H, W) with sides that are multiples of 16, else raises ImageError
    naming the size to pad to, and gives logits (N, out_channels, H, W).
    """

    def __init__(self, *, in_channels: int = 3, out_channels: int = 1, width: int = _WIDTH) -> None:
        super().__init__()
        check_widths(
            "simplified_unet", in_channels=in_channels, out_channels=out_channels, width=width
        )
        widths = [width * 2**level for level in range(_LEVELS)]
        inputs = [in_channels, *widths]
        self.encoder = nn.ModuleList(
            pair3x3(fewer, more) for fewer, more in zip(inputs, widths, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2), ConvBlock(conv3x3(2 * channels, channels)))
            for channels in widths[-2::-1]
        )
        self.decoder = nn.ModuleList(pair3x3(2 * channels, channels) for channels in widths[-2::-1])
        self.head = nn.Conv2d(width, out_channels, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        check_sides(image.shape[2:], _MULTIPLE)
        features = image
        skips = []
        for level, stage in enumerate(self.encoder):
            features = stage(self.pool(features) if level else features)
            skips.append(features)
        features = skips.pop()  # (N, 256, H/16, W/16)
        for up, stage in zip(self.up, self.decoder, strict=True):
            features = stage(torch.cat((skips.pop(), up(features)), dim=1))
        logits: Tensor = self.head(features)
        return logits


def simplified_unet(
    *, in_channels: int = 3, out_channels: int = 1, width: int = _WIDTH
) -> SimplifiedUnet:
    """LightBTSeg's student; 2,162,129 parameters."""
    return SimplifiedUnet(in_channels=in_channels, out_channels=out_channels, width=width)

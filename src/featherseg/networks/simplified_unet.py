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

from featherseg.networks.blocks import check_widths
from featherseg.networks.unet import Unet, resize_conv3x3

_WIDTH = 16


def simplified_unet(*, in_channels: int = 3, out_channels: int = 1, width: int = _WIDTH) -> Unet:
    """LightBTSeg's student; 2,162,129 parameters."""
    check_widths("simplified_unet", in_channels=in_channels, out_channels=out_channels, width=width)
    return Unet(up=resize_conv3x3, in_channels=in_channels, out_channels=out_channels, width=width)

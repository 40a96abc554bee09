"""Attention U-Net: a U-Net whose skips are weighed by what the decoder has seen so far.

Paper: Oktay, Schlemper, Le Folgoc, et al., "Attention U-Net: Learning Where to Look for the
Pancreas", MIDL 2018, arXiv 1804.03999. A baseline of LightBTSeg (Guo et al., 2023, Table I),
whose Figure 4 and equations 1 and 2 draw the gate that stands here.

Departures from the paper:
* Images, not volumes, and no deep supervision: as LightBTSeg's counts have it.
* The gate's signal is the up-sampled map at the skip's own size (LightBTSeg, Figure 4). In the
  original it is the coarser map, and the skip is reduced to its size.
* Batch norms inside the gate, which equation 1 leaves out; the counts need them.
* ``width`` scales the whole network and is 64 in the paper.

Open in the papers, chosen here: a gate has half as many inner channels as its skip, and one
weight a pixel. LightBTSeg's equation 3 also covers several weight maps, a softmax then; with one
it is the sigmoid.

Checked against the paper: 34.9 M parameters (34,878,573), 266.47 GFLOPs at 512x512 (265.700 G
multiply-accumulates of convolutions alone, 0.3 % below), 134 MB (tests/contract).
"""

from torch import Tensor, nn
from torch.nn import functional as F

from featherseg.networks.blocks import ConvBlock, check_widths, conv1x1
from featherseg.networks.unet import Unet, resize_conv3x3

_WIDTH = 64


class AttentionGate(nn.Module):
    """Multiplies a skip by one weight a pixel (LightBTSeg, Figure 4, equations 1 and 2).

    `skip` and `signal` have `channels` channels and the same size.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 2)
        self.signal = ConvBlock(conv1x1(channels, inner), activation=nn.Identity())
        self.skip = ConvBlock(conv1x1(channels, inner), activation=nn.Identity())
        self.weight = ConvBlock(conv1x1(inner, 1), activation=nn.Sigmoid())

    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:
        """Two (N, channels, H, W) to one, the skip weighed."""
        weight = self.weight(F.relu(self.signal(signal) + self.skip(skip)))  # (N, 1, H, W)
        gated: Tensor = skip * weight
        return gated


def attention_unet(*, in_channels: int = 3, out_channels: int = 1, width: int = _WIDTH) -> Unet:
    """LightBTSeg's Attention U-Net; 34,878,573 parameters."""
    check_widths("attention_unet", in_channels=in_channels, out_channels=out_channels, width=width)
    return Unet(
        up=resize_conv3x3,
        gate=AttentionGate,
        in_channels=in_channels,
        out_channels=out_channels,
        width=width,
    )

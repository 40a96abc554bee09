"""AL-Net with ASPP or with a U-Net's decoder, and its baseline, a U-Net with RepVGG's encoder.

Paper: Du, Nie, Wang, Lei, Wang, Zhang, "AL-Net: Asymmetric Lightweight Network for Medical Image
Segmentation", Frontiers in Signal Processing 2, 2022, doi 10.3389/frsip.2022.842925: Table 3
(ASPP), Table 4 (U-Decoder), Table 5 (Baseline). ASPP: Chen et al., ECCV 2018,
doi 10.1007/978-3-030-01234-2_49.

Departures from the paper:
* The U-Decoder has one convolution for each level, not the two of a U-Net: with two, or with
  widths that grow, it does not fit into the 0.2 M that the encoder leaves.
* ``width`` scales the whole network and is 64 in the paper.

Open in the paper, chosen here: everything but the names of the parts. ASPP has 128 channels and
rates of 6, 12 and 18; the U-Decoder 28 channels at every level, the baseline's 24. The widths
are a FIT, and a soft one: that three decoders all have 3.45 M says that the authors may not have
counted each of them anew. ASPP refuses a training batch of one image.

Checked against the paper: re-parameterized parameters of 5.39 M with ASPP (5,373,825: 0.3 %
less), 3.45 M with the U-Decoder (3,448,749) and in the baseline (3,458,073: 0.2 % more)
(tests/contract).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from featherseg.networks.alnet import (
    AlNet,
    a_decoder,
    al_head,
    lr_aspp,
    reduced_repvgg,
    scaled,
    unbiased,
)
from featherseg.networks.blocks import Aspp, ConvBlock, check_widths, resize_to
from featherseg.networks.pretrained import Pretrained

_WIDTH = 64
# At a width of 64.
_ASPP = 128
_U_DECODER = 28
_BASELINE = 24


class UDecoder(nn.Module):
    """A U-Net's decoder of constant width: one 3x3 convolution after each skip."""

    def __init__(self, low: Sequence[int], high: int, channels: int) -> None:
        super().__init__()
        inputs = [high] + [channels] * (len(low) - 1)
        self.levels = nn.ModuleList(
            ConvBlock(unbiased(before + skip, channels, 3))
            for before, skip in zip(inputs, reversed(low), strict=True)
        )

    def forward(self, low: list[Tensor], high: Tensor) -> Tensor:
        """Stages 0 to 3, (N, C, H/2, W/2) to (N, D, H/16, W/16), and features at 1/32."""
        features = high
        for level, skip in zip(self.levels, reversed(low), strict=True):
            features = level(torch.cat((skip, resize_to(features, skip)), dim=1))
        return features  # (N, channels, H/2, W/2)


def alnet_aspp(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    width: int = _WIDTH,
    pretrained: Pretrained = False,
) -> AlNet:
    """AL-Net with ASPP for a context module (Table 3); 5,373,825 parameters."""
    check_widths("alnet_aspp", in_channels=in_channels, out_channels=out_channels, width=width)
    encoder = reduced_repvgg(width, in_channels, pretrained)
    *low, deep = encoder.channels
    channels = scaled(_ASPP, width)
    return AlNet(
        encoder=encoder,
        context=Aspp(deep, channels),
        decoder=a_decoder(low, channels, width=width),
        head=al_head(width, out_channels),
    )


def alnet_udecoder(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    width: int = _WIDTH,
    pooling: str = "global",
    pretrained: Pretrained = False,
) -> AlNet:
    """AL-Net with the U-Decoder (Table 4); 3,448,749 parameters."""
    check_widths("alnet_udecoder", in_channels=in_channels, out_channels=out_channels, width=width)
    encoder = reduced_repvgg(width, in_channels, pretrained)
    *low, deep = encoder.channels
    channels = scaled(_U_DECODER, width)
    return AlNet(
        encoder=encoder,
        context=lr_aspp(deep, width, pooling=pooling),
        decoder=UDecoder(low, width, channels),
        head=nn.Conv2d(channels, out_channels, kernel_size=1),
    )


def repvgg_unet(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    width: int = _WIDTH,
    pretrained: Pretrained = False,
) -> AlNet:
    """The baseline: a U-Net with RepVGG's encoder (Table 5); 3,458,073 parameters."""
    check_widths("repvgg_unet", in_channels=in_channels, out_channels=out_channels, width=width)
    encoder = reduced_repvgg(width, in_channels, pretrained)
    *low, deep = encoder.channels
    channels = scaled(_BASELINE, width)
    return AlNet(
        encoder=encoder,
        context=nn.Identity(),
        decoder=UDecoder(low, deep, channels),
        head=nn.Conv2d(channels, out_channels, kernel_size=1),
    )

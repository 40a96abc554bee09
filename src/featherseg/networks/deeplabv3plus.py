"""DeepLab v3+ with the encoders ResNet-101, Xception and MobileNetV2.

Paper: Chen, Zhu, Papandreou, Schroff, Adam, "Encoder-Decoder with Atrous Separable Convolution
for Semantic Image Segmentation", ECCV 2018, doi 10.1007/978-3-030-01234-2_49; a baseline in
Table 1 of the Lighter U-net paper (Li et al., IEEE ISBI 2021, hal-03140737) and in Table 5 of
the AL-Net paper (2022).

Departures from the paper:
* The convolutions of the pyramid and of the decoder are regular, not separable, and the decoder
  has dropout, as in the public PyTorch code whose sizes the two papers print.
* Maps are resampled with half-pixel centers, not aligned corners, so that their grids keep to
  the image's at every size.
* MobileNetV2 is timm's, whose last three blocks have dilation 2 and which expands channels before
  it pads; the public code dilates one block and pads first, for 1 % more multiply-accumulates.
* One option, ``dropout``, sets the three dropouts of that code: 0.5 for two of them, a fifth of
  it before the last layer.

Open in the papers, chosen here: an output stride of 16; the last stage of ResNet-101 has
dilations of 2, 4 and 8 in its three blocks (the multi-grid of DeepLab v3). Dilations have no
parameters. The batch norm over the image's mean refuses a training batch of one image.

Checked against the paper: 59.34 M parameters with ResNet-101 (59,339,169; AL-Net, Table 5). The
Lighter U-net paper prints 54.7 M for ResNet-101; that is the size with Xception (54,700,177).
MobileNetV2's size (5,810,913) is not published (tests/contract).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from featherseg.networks.blocks import (
    Aspp,
    ConvBlock,
    check_share,
    check_widths,
    conv1x1,
    resize_to,
)
from featherseg.networks.encoders import Encoder, Taps, stages, timm_encoder
from featherseg.networks.pretrained import Pretrained

_WIDTH = 256
_LOW_WIDTH = 48
_DROPOUT = 0.5
_LAST_SHARE = 0.2
_OUTPUT_STRIDE = 16
# Dilations of the last three blocks of a ResNet (DeepLab v3, arXiv:1706.05587, section 3.2.1).
_MULTI_GRID = (2, 4, 8)


def fine_and_coarse(model: Any, image: Tensor) -> list[Tensor]:
    """The features of stride 4 and the last ones of a network with five stages."""
    _, fine, _, _, coarse = stages(model, image)
    return [fine, coarse]


def entry_and_exit(model: Any, image: Tensor) -> list[Tensor]:
    """The first block's output, of stride 4, and the last one's of an Xception."""
    first, *others = model.blocks
    features = first(model.stem(image))
    fine = features.relu()
    for block in others:
        features = block(features)
    return [fine, features]


def dilate(stage: nn.Module, rates: Sequence[int]) -> None:
    """Give the 3x3 convolutions of a stage's blocks these dilations, block by block."""
    for block, rate in zip(stage.children(), rates, strict=True):
        for layer in block.modules():
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
                layer.dilation = layer.padding = (rate, rate)


class DeepLab(nn.Module):
    """The pyramid over the coarse map of an encoder, and a decoder over the fine one.

    The encoder gives two maps. Takes (N, in_channels, H, W) with sides of at least 32 and
    gives logits (N, out_channels, H, W).
    """

    def __init__(self, encoder: Encoder, *, out_channels: int, dropout: float) -> None:
        super().__init__()
        check_widths("deeplabv3plus", out_channels=out_channels)
        check_share("deeplabv3plus", dropout=dropout)
        fine, coarse = encoder.channels
        self.encoder = encoder
        self.pyramid = nn.Sequential(Aspp(coarse, _WIDTH), nn.Dropout(dropout))
        self.low = ConvBlock(nn.Conv2d(fine, _LOW_WIDTH, kernel_size=1, bias=False))
        self.decoder = nn.Sequential(
            _block(_LOW_WIDTH + _WIDTH, _WIDTH),
            nn.Dropout(dropout),
            _block(_WIDTH, _WIDTH),
            nn.Dropout(_LAST_SHARE * dropout),
        )
        self.head = conv1x1(_WIDTH, out_channels)

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        fine, coarse = self.encoder(image)  # (N, C, H/4, W/4), (N, D, H/16, W/16)
        raised = resize_to(self.pyramid(coarse), fine)
        features = self.decoder(torch.cat((raised, self.low(fine)), dim=1))
        return resize_to(self.head(features), image)


def _block(in_channels: int, out_channels: int) -> ConvBlock:
    return ConvBlock(nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False))


def _encoder(name: str, in_channels: int, pretrained: Pretrained, taps: Taps) -> Encoder:
    check_widths("deeplabv3plus", in_channels=in_channels)
    return timm_encoder(
        name,
        in_channels=in_channels,
        pretrained=pretrained,
        taps=taps,
        output_stride=_OUTPUT_STRIDE,
    )


def deeplabv3plus_resnet101(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    dropout: float = _DROPOUT,
    pretrained: Pretrained = False,
) -> DeepLab:
    """59,339,169 parameters."""
    encoder = _encoder("resnet101", in_channels, pretrained, fine_and_coarse)
    dilate(encoder.model.get_submodule("layer4"), _MULTI_GRID)
    return DeepLab(encoder, out_channels=out_channels, dropout=dropout)


def deeplabv3plus_xception(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    dropout: float = _DROPOUT,
    pretrained: Pretrained = False,
) -> DeepLab:
    """With the aligned Xception-65; 54,700,177 parameters."""
    encoder = _encoder("xception65", in_channels, pretrained, entry_and_exit)
    return DeepLab(encoder, out_channels=out_channels, dropout=dropout)


def deeplabv3plus_mobilenetv2(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    dropout: float = _DROPOUT,
    pretrained: Pretrained = False,
) -> DeepLab:
    """5,810,913 parameters."""
    encoder = _encoder("mobilenetv2_100", in_channels, pretrained, fine_and_coarse)
    return DeepLab(encoder, out_channels=out_channels, dropout=dropout)

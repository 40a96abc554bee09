"""CE-Net: a residual encoder, dense atrous convolutions, multi-kernel pooling, a light decoder.

Paper: Gu, Cheng, Fu, Hao, Zhao, Zhang, Gao, Liu, et al., "CE-Net: Context Encoder Network for
2D Medical Image Segmentation", IEEE Transactions on Medical Imaging 38, 2019,
doi 10.1109/TMI.2019.2903562; a baseline in Table 5 of the AL-Net paper (Du et al., 2022,
doi 10.3389/frsip.2022.842925).

Departures from the paper:
* Pooling windows that overhang the map are kept, not dropped, so that maps smaller than 6x6
  (images below 192x192) can be pooled and up-sampled maps stay aligned with their source.
* Maps of odd sides: what a transposed convolution gives is cut to the skip's size.
* ImageNet weights are off by default, as in all networks here; the paper starts from them.

Open in the paper, chosen here after the authors' public code: one 1x1 convolution for all
branches of a block, skips that are added, a norm after every convolution of the decoder's
blocks and biases everywhere but in the encoder. ``encoder`` may be any of timm's with five
stages.

Checked against the paper: 28.99 M parameters in AL-Net's Table 5 (29,003,093: 0.05 % more)
(tests/contract).
"""

import torch
from torch import Tensor, nn

from featherseg.networks.blocks import ConvBlock, check_widths, conv1x1, conv3x3, resize_to
from featherseg.networks.encoders import check_stages, timm_encoder
from featherseg.networks.pretrained import Pretrained

_STAGES = 5
_POOLS = (2, 3, 5, 6)
_LAST = 32
_NARROWER = 4


class DenseAtrous(nn.Module):
    """The DAC block (Figure 3): four cascades of dilated convolutions, added to their input.

    ``point`` is shared by the three cascades that end with a 1x1 convolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
            for dilation in (1, 3, 5)
        )
        self.point = conv1x1(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) to the same shape."""
        near, middle, far = self.dilated
        first = near(features)
        second = middle(first)
        cascades = (
            first,
            self.point(middle(features)),
            self.point(second),
            self.point(far(second)),
        )
        summed: Tensor = features + sum(cascade.relu() for cascade in cascades)
        return summed


class MultiKernelPooling(nn.Module):
    """The RMP block (Figure 4): context of four sizes, a channel each, before the features.

    ``point`` is shared by the four.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList(nn.MaxPool2d(side, ceil_mode=True) for side in _POOLS)
        self.point = conv1x1(channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) to (N, 4 + C, h, w)."""
        context = [resize_to(self.point(pool(features)), features) for pool in self.pools]
        return torch.cat((*context, features), dim=1)


def decoder_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """A 1x1, a transposed 3x3 of stride 2 and a 1x1 convolution (Figure 2)."""
    inner = max(1, in_channels // _NARROWER)
    raised = nn.ConvTranspose2d(inner, inner, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(
        ConvBlock(conv1x1(in_channels, inner)),
        ConvBlock(raised),
        ConvBlock(conv1x1(inner, out_channels)),
    )


class CeNet(nn.Module):
    """The whole network (Figure 2).

    Takes (N, in_channels, H, W) with sides of at least 32 and gives logits
    (N, out_channels, H, W).
    """

    def __init__(
        self, *, in_channels: int, out_channels: int, encoder: str, pretrained: Pretrained
    ) -> None:
        super().__init__()
        check_widths("cenet", in_channels=in_channels, out_channels=out_channels)
        self.encoder = timm_encoder(encoder, in_channels=in_channels, pretrained=pretrained)
        check_stages("cenet", self.encoder, _STAGES)
        _, *skips, deep = self.encoder.channels
        self.atrous = DenseAtrous(deep)
        self.pooling = MultiKernelPooling(deep)
        inputs = [deep + len(_POOLS), *skips[::-1]]
        self.decoder = nn.ModuleList(
            decoder_block(before, after)
            for before, after in zip(inputs, [*skips[::-1], skips[0]], strict=True)
        )
        self.head = nn.Sequential(
            nn.ConvTranspose2d(skips[0], _LAST, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            conv3x3(_LAST, _LAST),
            nn.ReLU(inplace=True),
            conv3x3(_LAST, out_channels),
        )

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        finest, *skips, deep = self.encoder(image)
        features = self.pooling(self.atrous(deep))  # (N, 516, H/32, W/32)
        *middle, last = self.decoder
        for block, skip in zip(middle, reversed(skips), strict=True):
            features = _cut(block(features), skip) + skip
        features = _cut(last(features), finest)  # (N, 64, H/2, W/2)
        return _cut(self.head(features), image)


def _cut(features: Tensor, like: Tensor) -> Tensor:
    """The features without the row and column that odd sides have too many."""
    return features[:, :, : like.shape[2], : like.shape[3]]


def cenet(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    encoder: str = "resnet34",
    pretrained: Pretrained = False,
) -> CeNet:
    """CE-Net; 29,003,093 parameters with ResNet-34."""
    return CeNet(
        in_channels=in_channels, out_channels=out_channels, encoder=encoder, pretrained=pretrained
    )

"""U-net, Light U-net and Lighter U-net @C: group convolutions make a U-Net small.

Paper: Li, Chouzenoux, Charmettant, Benatsou, Lamarque, Lassau, "Lightweight U-Net for Lesion
Segmentation in Ultrasound Images", IEEE ISBI 2021, hal-03140737.

Departures from the paper:
* Dropout on the bottleneck (0.5 for Light and Lighter U-net, 0 for U-net) stands in the
  authors' public code, not in the paper; ``dropout=0`` leaves it out. It has no parameters.
* Logits are returned; the sigmoid of the public code is part of the losses and of
  post-processing here.
* ``width`` scales the whole network and is 64 in the paper.

Open in the paper, chosen here: every convolution has a bias, the lowest level has 512 and not
1024 channels, up-sampling is bilinear with aligned corners; no other reading gives the counts.
Sides that are no multiples of 16 lose a row or column when pooled; the decoder pads its maps
with zeros to the skip's size.

Checked against the paper: the parameters of Table 2, all ten exact (tests/contract).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherseg.errors import RecipeError
from featherseg.networks.blocks import ConvBlock, check_share, check_widths, conv3x3

_WIDTH = 64
# Widths of the encoder's levels relative to the first (Figure 1).
_LEVELS = (1, 2, 4, 8, 8)
_DROPOUT = 0.5

ConvSet = Callable[[int, int], nn.Module]


def regular(in_channels: int, out_channels: int) -> ConvBlock:
    """A regular 3x3 convolution, norm, ReLU (section 3.2)."""
    return ConvBlock(conv3x3(in_channels, out_channels))


def grouped(group_size: int, is_input: bool = False) -> ConvSet:
    """A set of convolutions over `group_size` channels at a time (section 3.2).

    A 3x3 group convolution, directly followed by a 1x1 convolution, then norm and ReLU. The
    first layer of the network is one group, but for a group size of 1; elsewhere the group
    size is at most the number of input channels.
    """

    def build(in_channels: int, out_channels: int) -> ConvBlock:
        size = in_channels if is_input and group_size > 1 else min(group_size, in_channels)
        if in_channels % size:
            raise RecipeError(
                f"lighter_unet: the group size {size} must divide the {in_channels} channels "
                "of every layer; choose a width that is a power of 2"
            )
        spatial = nn.Conv2d(
            in_channels, in_channels, kernel_size=3, padding=1, groups=in_channels // size
        )
        return ConvBlock(spatial, nn.Conv2d(in_channels, out_channels, kernel_size=1))

    return build


class LighterUnet(nn.Module):
    """The common skeleton (Figure 1): five levels of two convolution sets each.

    `first` and `second` build "Conv set 1" and "Conv set 2"; `entry` builds set 1 of the first
    layer. Takes (N, in_channels, H, W) with sides of at least 16 and gives logits
    (N, out_channels, H, W).
    """

    def __init__(
        self,
        *,
        entry: ConvSet,
        first: ConvSet,
        second: ConvSet,
        in_channels: int,
        out_channels: int,
        width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        check_widths("lighter_unet", in_channels=in_channels, out_channels=out_channels)
        check_widths("lighter_unet", width=width)
        check_share("lighter_unet", dropout=dropout)
        widths = [width * level for level in _LEVELS]
        self.encoder = nn.ModuleList()
        for level, channels in enumerate(widths):
            inputs = widths[level - 1] if level else in_channels
            opening = first if level else entry
            self.encoder.append(
                nn.Sequential(opening(inputs, channels), second(channels, channels))
            )
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.decoder = nn.ModuleList()
        # Each level hands on as many channels as the next skip has, so that the two
        # concatenated are twice that: 1024 -> 512 -> 256, ..., and 128 -> 64 -> 64 at the top.
        for channels, skip in zip(widths[3::-1], [*widths[2::-1], width], strict=True):
            self.decoder.append(
                nn.Sequential(first(2 * channels, channels), second(channels, skip))
            )
        self.head = nn.Conv2d(width, out_channels, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        features = image
        skips = []
        for level, stage in enumerate(self.encoder):
            features = stage(self.pool(features) if level else features)
            skips.append(features)
        features = self.dropout(skips.pop())  # (N, 512, H/16, W/16)
        for stage in self.decoder:
            features = stage(_joined(skips.pop(), features))
        logits: Tensor = self.head(features)
        return logits


def _joined(skip: Tensor, features: Tensor) -> Tensor:
    """The skip, then the features up-sampled by 2 and padded to the skip's size."""
    raised = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=True)
    rows = skip.shape[2] - raised.shape[2]
    columns = skip.shape[3] - raised.shape[3]
    if rows or columns:
        raised = F.pad(raised, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
    return torch.cat((skip, raised), dim=1)


def unet_bilinear(
    *, in_channels: int = 3, out_channels: int = 1, width: int = _WIDTH, dropout: float = 0.0
) -> LighterUnet:
    """The paper's U-net: both sets regular; 17,267,393 parameters."""
    return LighterUnet(
        entry=regular,
        first=regular,
        second=regular,
        in_channels=in_channels,
        out_channels=out_channels,
        width=width,
        dropout=dropout,
    )


def light_unet(
    *, in_channels: int = 3, out_channels: int = 1, width: int = _WIDTH, dropout: float = _DROPOUT
) -> LighterUnet:
    """Light U-net: set 2 depthwise separable; 11,000,257 parameters."""
    return LighterUnet(
        entry=regular,
        first=regular,
        second=grouped(1),
        in_channels=in_channels,
        out_channels=out_channels,
        width=width,
        dropout=dropout,
    )


def lighter_unet(
    *,
    group_size: int,
    in_channels: int = 3,
    out_channels: int = 1,
    width: int = _WIDTH,
    dropout: float = _DROPOUT,
) -> LighterUnet:
    """Lighter U-net @C with C = `group_size`: both sets grouped.

    With C of 512 or more it is not U-net: each set keeps its 1x1 convolution.
    """
    check_widths("lighter_unet", group_size=group_size)
    return LighterUnet(
        entry=grouped(group_size, is_input=True),
        first=grouped(group_size),
        second=grouped(group_size),
        in_channels=in_channels,
        out_channels=out_channels,
        width=width,
        dropout=dropout,
    )

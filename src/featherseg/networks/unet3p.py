"""U-Net3+: every decoder level sees every resolution.

Paper: Huang, Lin, Tong, et al., "UNet 3+: A Full-Scale Connected UNet for Medical Image
Segmentation", IEEE ICASSP 2020, doi 10.1109/ICASSP40776.2020.9053405. A baseline of LightBTSeg
(Guo et al., 2023, Table I).

Departures from the paper:
* No classification-guided module: LightBTSeg segments only. Deep supervision is an option,
  ``deep_supervision=True``, and an extra method; it is off by default.
* ``width`` scales the whole network and is 64 in the paper. Each of the five branches of a node
  has as many channels as the first level, a node five times as many.

Open in the paper, chosen here: LightBTSeg prints 30.0 M parameters beside a file of 104 MB, which
holds at most 27.3 M float32 values. Ours is the original's structure; it meets the file size and
the cost, not the 30.0 M. Bilinear up-sampling does not align the corners.

Checked against the paper: 26,971,777 parameters (103 MB), 792.62 GFLOPs at 512x512 (790.610 G
multiply-accumulates of convolutions alone, 0.3 % below) (tests/contract).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from featherseg.errors import RecipeError
from featherseg.networks.blocks import (
    ConvBlock,
    check_sides,
    check_widths,
    conv3x3,
    resize_to,
)
from featherseg.networks.unet import encode, encoder_stages, level_widths

_WIDTH = 64
_MULTIPLE = 16


def branch(from_level: int, to_level: int, in_channels: int, out_channels: int) -> nn.Sequential:
    """A map of one level brought to the size of another, then a 3x3 convolution, norm, ReLU."""
    factor = 2 ** abs(to_level - from_level)
    resampling: nn.Module = nn.Identity()
    if from_level < to_level:
        resampling = nn.MaxPool2d(factor)
    elif from_level > to_level:
        resampling = nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=False)
    return nn.Sequential(resampling, ConvBlock(conv3x3(in_channels, out_channels)))


class FullScaleNode(nn.Module):
    """X_De^i: one branch from every level, concatenated and convolved (equation 1)."""

    def __init__(self, level: int, sources: Sequence[int], channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            branch(source, level, in_channels, channels)
            for source, in_channels in enumerate(sources)
        )
        together = channels * len(sources)
        self.fusion = ConvBlock(conv3x3(together, together))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """A map of every level, finest first, to (N, 5 * channels, h, w) of this level."""
        branches = [brought(source) for brought, source in zip(self.branches, maps, strict=True)]
        features: Tensor = self.fusion(torch.cat(branches, dim=1))
        return features


class Unet3Plus(nn.Module):
    """The encoder of a U-Net and four full-scale nodes (Figure 1c).

    Takes (N, in_channels, H, W) with sides that are multiples of 16, else raises ImageError
    naming the size to pad to, and gives logits (N, out_channels, H, W).
    """

    def __init__(
        self, *, in_channels: int, out_channels: int, width: int, deep_supervision: bool
    ) -> None:
        super().__init__()
        widths = level_widths(width)
        node_width = width * len(widths)
        self.encoder = encoder_stages(in_channels, widths)
        # Coarsest first; a node sees the encoder down to its level, the decoder below that.
        self.decoder = nn.ModuleList()
        for level in range(len(widths) - 2, -1, -1):
            below = [node_width] * (len(widths) - 2 - level)
            sources = [*widths[: level + 1], *below, widths[-1]]
            self.decoder.append(FullScaleNode(level, sources, width))
        self.head = conv3x3(node_width, out_channels)
        sides = [node_width] * (len(widths) - 2) + [widths[-1]] if deep_supervision else []
        self.sides = nn.ModuleList(conv3x3(channels, out_channels) for channels in sides)

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        logits: Tensor = self.head(self._decode(image)[0])
        return logits

    def forward_with_sides(self, image: Tensor) -> list[Tensor]:
        """What `forward` gives, then the logits of levels 2 to 5 at the image's size.

        Raises RecipeError where the network was built without deep supervision.
        """
        if not self.sides:
            raise RecipeError("unet3p has side outputs with deep_supervision=True only")
        finest, *others = self._decode(image)
        sides = [
            resize_to(side(features), image)
            for side, features in zip(self.sides, others, strict=True)
        ]
        return [self.head(finest), *sides]

    def _decode(self, image: Tensor) -> list[Tensor]:
        """Features of all levels, finest first; the last is the encoder's."""
        check_sides(image.shape[2:], _MULTIPLE)
        maps = encode(image, self.encoder)
        for level, node in zip(range(len(maps) - 2, -1, -1), self.decoder, strict=True):
            maps[level] = node(maps)  # (N, 5 * width, H / 2^level, W / 2^level)
        return maps


def unet3p(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    width: int = _WIDTH,
    deep_supervision: bool = False,
) -> Unet3Plus:
    """LightBTSeg's U-Net3+; 26,971,777 parameters, 26,989,637 with deep supervision."""
    check_widths("unet3p", in_channels=in_channels, out_channels=out_channels, width=width)
    if not isinstance(deep_supervision, bool):
        raise RecipeError(
            f"unet3p: deep_supervision must be true or false, got {deep_supervision!r}"
        )
    return Unet3Plus(
        in_channels=in_channels,
        out_channels=out_channels,
        width=width,
        deep_supervision=deep_supervision,
    )

"""U-Net with batch norm whose decoder up-samples and convolves, and the skeleton of its kin.

Paper: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image
Segmentation", MICCAI 2015, doi 10.1007/978-3-319-24574-4_28. ``unet`` is the baseline of
LightBTSeg (Guo et al., 2023, Table I), ``unet_1x1up`` that of LAEDNet (Zhou et al., 2022,
Tables 2 to 4).

Departures from the paper:
* Convolutions keep the size and are followed by batch norm; the original crops its skips and
  has no norm. The counts of both tables need the norms.
* Features are up-sampled by repeating pixels, then convolved (3x3 in ``unet``, 1x1 in
  ``unet_1x1up``, each with norm and ReLU); the original has 2x2 transposed convolutions.
* ``width`` scales the whole network and is 64 in the paper.

Open in the papers, chosen here: neither table says which U-Net it means. The 3x3 form is the
one whose parameters, file size and multiply-accumulates all agree with LightBTSeg's row. The
1x1 form is a fit: of the usual forms only it comes to LAEDNet's figure, and LAEDNet's text says
nothing of it.

Checked against the paper: LightBTSeg 34.5 M parameters (34,527,041), 262.08 GFLOPs at 512x512
(261.389 G multiply-accumulates of convolutions alone, 0.3 % below); LAEDNet 28.97 M
(28,970,177 with running statistics, as Keras counts) (tests/contract).
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherseg.networks.blocks import (
    ConvBlock,
    check_sides,
    check_widths,
    conv1x1,
    conv3x3,
    pair3x3,
)

# Builds two convolutions, from so many channels to so many.
Pair = Callable[[int, int], nn.Module]
# Builds what doubles the size, from so many channels to so many.
UpSampling = Callable[[int, int], nn.Module]
# Builds what weighs a skip of so many channels by the up-sampled features.
Gate = Callable[[int], nn.Module]

_WIDTH = 64
_LEVELS = 5
_MULTIPLE = 2 ** (_LEVELS - 1)


def resize_conv3x3(in_channels: int, out_channels: int) -> nn.Sequential:
    """Pixels repeated to twice the size, then a 3x3 convolution, norm, ReLU."""
    return nn.Sequential(nn.Upsample(scale_factor=2), ConvBlock(conv3x3(in_channels, out_channels)))


def resize_conv1x1(in_channels: int, out_channels: int) -> nn.Sequential:
    """Pixels repeated to twice the size, then a 1x1 convolution, norm, ReLU."""
    return nn.Sequential(nn.Upsample(scale_factor=2), ConvBlock(conv1x1(in_channels, out_channels)))


class Ungated(nn.Module):
    """A skip as it is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:  # noqa: ARG002
        """The skip."""
        return skip


def level_widths(width: int) -> list[int]:
    """Channels of the five levels, each twice the one above."""
    return [width * 2**level for level in range(_LEVELS)]


def encoder_stages(in_channels: int, widths: Sequence[int], pair: Pair = pair3x3) -> nn.ModuleList:
    """Two convolutions a level, from the image down."""
    inputs = [in_channels, *widths]
    return nn.ModuleList(pair(fewer, more) for fewer, more in zip(inputs, widths, strict=False))


def encode(image: Tensor, stages: Iterable[nn.Module]) -> list[Tensor]:
    """The features of every encoder level, finest first; each level but the first pools by 2."""
    first, *others = stages
    encoded = [first(image)]
    for stage in others:
        encoded.append(stage(F.max_pool2d(encoded[-1], 2)))
    return encoded


def decode(
    encoded: Sequence[Tensor],
    ups: Iterable[nn.Module],
    gates: Iterable[nn.Module],
    stages: Iterable[nn.Module],
) -> list[Tensor]:
    """The features of every decoder level, coarsest first, from the encoder's, finest first.

    A level up-samples what lies below, lets its gate weigh the skip, concatenates both (skip
    first) and convolves.
    """
    *skips, features = encoded
    decoded = []
    for up, gate, stage, skip in zip(ups, gates, stages, reversed(skips), strict=True):
        raised = up(features)  # the skip's size
        features = stage(torch.cat((gate(skip, raised), raised), dim=1))
        decoded.append(features)
    return decoded


class Unet(nn.Module):
    """Five levels of two 3x3 convolutions; `pair`, `up` and `gate` build the parts that differ.

    Takes (N, in_channels, H, W) with sides that are multiples of 16, else raises ImageError
    naming the size to pad to, and gives logits (N, out_channels, H, W).
    """

    def __init__(
        self,
        *,
        up: UpSampling,
        gate: Gate = Ungated,
        pair: Pair = pair3x3,
        in_channels: int,
        out_channels: int,
        width: int,
    ) -> None:
        super().__init__()
        widths = level_widths(width)
        raised = widths[-2::-1]
        self.encoder = encoder_stages(in_channels, widths, pair)
        self.up = nn.ModuleList(up(2 * channels, channels) for channels in raised)
        self.decoder = nn.ModuleList(pair(2 * channels, channels) for channels in raised)
        self.gates = nn.ModuleList(gate(channels) for channels in raised)
        self.head = conv1x1(width, out_channels)

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        check_sides(image.shape[2:], _MULTIPLE)
        decoded = decode(encode(image, self.encoder), self.up, self.gates, self.decoder)
        logits: Tensor = self.head(decoded[-1])
        return logits


def unet(*, in_channels: int = 3, out_channels: int = 1, width: int = _WIDTH) -> Unet:
    """LightBTSeg's U-Net: up-sampling and 3x3 convolutions; 34,527,041 parameters."""
    check_widths("unet", in_channels=in_channels, out_channels=out_channels, width=width)
    return Unet(up=resize_conv3x3, in_channels=in_channels, out_channels=out_channels, width=width)


def unet_1x1up(*, in_channels: int = 3, out_channels: int = 1, width: int = _WIDTH) -> Unet:
    """LAEDNet's U-Net: up-sampling and 1x1 convolutions; 28,956,481 parameters."""
    check_widths("unet_1x1up", in_channels=in_channels, out_channels=out_channels, width=width)
    return Unet(up=resize_conv1x1, in_channels=in_channels, out_channels=out_channels, width=width)

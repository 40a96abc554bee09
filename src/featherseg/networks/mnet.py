"""M-Net: a U-Net that also sees the image at smaller sizes and decides at four levels.

Paper: Fu, Cheng, Xu, Wong, Liu, Cao, "Joint Optic Disc and Cup Segmentation Based on Multi-Label
Deep Network and Polar Transformation", IEEE Trans. Med. Imaging 37(7), 2018,
doi 10.1109/TMI.2018.2791488. A baseline of LAEDNet (Zhou et al., 2022, Tables 2 to 4), which
takes it from Abraham et al., IEEE ICISPC 2019.

Departures from the paper:
* Speculative: LAEDNet does not describe its M-Net, and the original has far fewer parameters
  (8.55 M). This is LAEDNet's U-Net (``unet_1x1up``) with M-Net's inputs and outputs, each
  smaller image convolved to 32 channels. Its size is LAEDNet's; its structure is inferred.
* The result is the mean of the four levels' logits. The original averages probabilities, which
  is not the same, but a network here gives logits.
* Features of the decoder are turned into logits before they are up-sampled, not after; a 1x1
  convolution and bilinear up-sampling may be exchanged.
* ``width`` scales the whole network and is 64 in LAEDNet's U-Net; the images' 32 channels are
  half of it.

Open in the papers, chosen here: the smaller images are means of 2x2, 4x4 and 8x8 pixels, stand
before the pooled features when concatenated, and have a norm and a ReLU.

Checked against the paper: LAEDNet 29.23 M parameters (29,232,196 with running statistics, as
Keras counts) (tests/contract).
"""

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
    resize_to,
)
from featherseg.networks.unet import Ungated, decode, level_widths, resize_conv1x1

_WIDTH = 64
_MULTIPLE = 16


def _image_width(width: int) -> int:
    """Channels of each smaller image after its convolution: 32 of 64."""
    return max(1, width // 2)


class MNet(nn.Module):
    """A U-Net with three smaller images as further inputs and four maps as outputs.

    Takes (N, in_channels, H, W) with sides that are multiples of 16, else raises ImageError
    naming the size to pad to, and gives logits (N, out_channels, H, W).
    """

    def __init__(self, *, in_channels: int, out_channels: int, width: int) -> None:
        super().__init__()
        widths = level_widths(width)
        raised = widths[-2::-1]
        seen = _image_width(width)
        # Levels 2 to 4 see a smaller image; the first sees the image, the last none.
        inputs = [in_channels, *(channels + seen for channels in widths[:3]), widths[3]]
        self.images = nn.ModuleList(
            nn.Sequential(nn.AvgPool2d(2**level), ConvBlock(conv3x3(in_channels, seen)))
            for level in (1, 2, 3)
        )
        self.encoder = nn.ModuleList(
            pair3x3(fewer, more) for fewer, more in zip(inputs, widths, strict=True)
        )
        self.up = nn.ModuleList(resize_conv1x1(2 * channels, channels) for channels in raised)
        self.gates = nn.ModuleList(Ungated(channels) for channels in raised)
        self.decoder = nn.ModuleList(pair3x3(2 * channels, channels) for channels in raised)
        self.heads = nn.ModuleList(conv1x1(channels, out_channels) for channels in raised)

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        return self.forward_with_sides(image)[0]

    def forward_with_sides(self, image: Tensor) -> list[Tensor]:
        """What `forward` gives, then the logits of every level at the image's size, finest first.

        For deep supervision: the first is the mean of the others.
        """
        check_sides(image.shape[2:], _MULTIPLE)
        decoded = decode(self._encode(image), self.up, self.gates, self.decoder)
        sides = [
            resize_to(head(features), image)
            for head, features in zip(self.heads, decoded, strict=True)
        ]
        return [torch.stack(sides).mean(dim=0), *reversed(sides)]

    def _encode(self, image: Tensor) -> list[Tensor]:
        first, *middle, last = self.encoder
        encoded = [first(image)]
        for smaller, stage in zip(self.images, middle, strict=True):
            pooled = F.max_pool2d(encoded[-1], 2)
            encoded.append(stage(torch.cat((smaller(image), pooled), dim=1)))
        encoded.append(last(F.max_pool2d(encoded[-1], 2)))  # (N, 16 * width, H/16, W/16)
        return encoded


def mnet(*, in_channels: int = 3, out_channels: int = 1, width: int = _WIDTH) -> MNet:
    """LAEDNet's M-Net; 29,218,308 parameters."""
    check_widths("mnet", in_channels=in_channels, out_channels=out_channels, width=width)
    return MNet(in_channels=in_channels, out_channels=out_channels, width=width)

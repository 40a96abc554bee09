"""NAS-Unet: a U of cells whose operations were found by a search.

Paper: Weng, Zhou, Li, Qiu, "NAS-Unet: Neural Architecture Search for Medical Image
Segmentation", IEEE Access 7, 2019, doi 10.1109/ACCESS.2019.2908991; the baseline of LAEDNet
(Zhou et al., 2022, Table 2).

Departures from the paper:
* The cells are the last ones of the authors' public code (NAS_UNET_V3), at its settings for
  ultrasound images of nerves: 48 channels and six levels of cells. Its auxiliary head, which
  takes part in training only, is left out.
* That code makes a group norm for the output and never calls it: two values a class that are
  counted and cannot learn. Here they scale and shift the logits; normalizing them would give
  every image the same mean.
* The two dense layers of a channel weight are 1x1 convolutions on the pooled features.
* ``width`` scales the whole network and is 48 in the public code.

Open in LAEDNet's text, chosen here: it gives no settings for this baseline; those above give
its size. NAS-Unet's own article reports 0.8 M parameters for smaller settings. Sides need no
multiple: transposed convolutions give 2 n - 1 pixels for n, which are stretched to the skip's
size by repeating pixels, as in the public code.

Checked against the paper: LAEDNet's 2.29 M parameters (2,291,573; 2,287,733 for gray images)
(tests/contract and tests/networks/test_nas_unet.py).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherseg.networks.blocks import channel_attention, check_widths

_WIDTH = 48
_DEPTH = 6
_NODES = 4
# Channels of a group of a group norm, and of each hidden unit of a channel weight.
_GROUP = 16


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(1 if channels % _GROUP else channels // _GROUP, channels)


def _project(in_channels: int, channels: int, stride: int = 1) -> nn.Sequential:
    """ReLU, 1x1 convolution, norm: what brings an input of a cell to its width."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(in_channels, channels, kernel_size=1, stride=stride, bias=False),
        _norm(channels),
    )


def _conv(channels: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3x3 convolution, norm, ReLU."""
    convolution = nn.Conv2d(
        channels, channels, 3, stride=stride, padding=dilation, dilation=dilation, bias=False
    )
    return nn.Sequential(convolution, _norm(channels), nn.ReLU(inplace=True))


def _scale_and_shift(channels: int) -> nn.Conv2d:
    """A factor and a summand a channel, 1 and 0 at first, as a norm has them."""
    scale = nn.Conv2d(channels, channels, kernel_size=1, groups=channels)
    nn.init.ones_(scale.weight)
    assert scale.bias is not None
    nn.init.zeros_(scale.bias)
    return scale


class ChannelWeight(nn.Module):
    """Channels times their attention; then, unless `resize` is None, a convolution and norm."""

    def __init__(
        self, channels: int, resize: type[nn.Conv2d] | type[nn.ConvTranspose2d] | None = None
    ) -> None:
        super().__init__()
        self.weights = channel_attention(channels, max(1, channels // _GROUP))
        self.resize = (
            nn.Identity()
            if resize is None
            else nn.Sequential(
                resize(channels, channels, kernel_size=3, stride=2, padding=1, bias=False),
                _norm(channels),
            )
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to the same, half or (2 H - 1, 2 W - 1) of the size."""
        resized: Tensor = self.resize(features * self.weights(features))
        return resized


class DownCell(nn.Module):
    """DownSC: four nodes at half the size of `previous`, concatenated.

    Each adds a channel weight of the output before `previous` to an operation of its own.
    """

    def __init__(self, before_channels: int, previous_channels: int, width: int) -> None:
        super().__init__()
        self.before = _project(before_channels, width, stride=2)
        self.previous = _project(previous_channels, width)
        self.weights = nn.ModuleList(ChannelWeight(width, nn.Conv2d) for _ in range(_NODES))
        self.dilated = _conv(width, stride=2, dilation=2)
        self.weight = ChannelWeight(width, nn.Conv2d)
        self.convolutions = nn.ModuleList((_conv(width), _conv(width)))

    def forward(self, before: Tensor, previous: Tensor) -> Tensor:
        """(N, C, H, W) and (N, D, H/2, W/2) to (N, 4 * width, H/4, W/4), rounded up."""
        before, previous = self.before(before), self.previous(previous)  # both H/2, W/2
        first = self.weights[0](before) + self.dilated(previous)
        second = self.weights[1](before) + self.weight(previous)
        third = self.weights[2](before) + self.convolutions[0](second)
        fourth = self.weights[3](before) + self.convolutions[1](third)
        return torch.cat((first, second, third, fourth), dim=1)


class UpCell(nn.Module):
    """UpSC: four nodes at the size of the skip, concatenated.

    Each adds an up-sampling channel weight of what lies below to an operation on the node
    before it, the first to one on the skip.
    """

    def __init__(self, skip_channels: int, below_channels: int, width: int) -> None:
        super().__init__()
        self.skip = _project(skip_channels, width)
        self.below = _project(below_channels, width)
        self.weights = nn.ModuleList(
            ChannelWeight(width, nn.ConvTranspose2d) for _ in range(_NODES)
        )
        self.operations = nn.ModuleList(
            (ChannelWeight(width), _conv(width), _conv(width), _conv(width))
        )

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """(N, C, H, W) and (N, D, H/2, W/2) to (N, 4 * width, H, W)."""
        node, below = self.skip(skip), self.below(below)
        nodes = []
        for weight, operation in zip(self.weights, self.operations, strict=True):
            raised = F.interpolate(weight(below), size=skip.shape[2:])
            node = raised + operation(node)
            nodes.append(node)
        return torch.cat(nodes, dim=1)


class NasUnet(nn.Module):
    """Two stems, six down cells and seven up cells.

    Takes (N, in_channels, H, W) of any size and gives logits (N, out_channels, H, W).
    """

    def __init__(self, *, in_channels: int, out_channels: int, width: int) -> None:
        super().__init__()
        check_widths("nas_unet", in_channels=in_channels, out_channels=out_channels, width=width)
        channels = _NODES * width
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels, kernel_size=1, bias=False), _norm(channels)
        )
        self.strided_stem = nn.Sequential(
            nn.Conv2d(in_channels, channels, kernel_size=3, stride=2, padding=1, bias=False),
            _norm(channels),
        )
        self.encoder = nn.ModuleList(DownCell(channels, channels, width) for _ in range(_DEPTH))
        self.decoder = nn.ModuleList(UpCell(channels, channels, width) for _ in range(_DEPTH + 1))
        self.head = nn.Sequential(
            nn.Conv2d(channels, out_channels, kernel_size=1, bias=False),
            _scale_and_shift(out_channels),
        )

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        skips = [self.stem(image), self.strided_stem(image)]
        for cell in self.encoder:
            skips.append(cell(skips[-2], skips[-1]))
        features = skips.pop()  # (N, 4 * width, H/128, W/128)
        for cell in self.decoder:
            features = cell(skips.pop(), features)
        logits: Tensor = self.head(features)
        return logits


def nas_unet(*, in_channels: int = 3, out_channels: int = 1, width: int = _WIDTH) -> NasUnet:
    """LAEDNet's NAS-Unet; 2,291,573 parameters."""
    return NasUnet(in_channels=in_channels, out_channels=out_channels, width=width)

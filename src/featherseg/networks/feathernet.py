"""FeatherNet: our own network, made for the latency of plain processors.

Paper: none, this network is ours; docs/feathernet.md tells how it came about. Its blocks are
QARepVGG's: Chu, Li, Zhang, "Make RepVGG Greater Again: A Quantization-aware Approach", AAAI 2024,
doi 10.1609/aaai.v38i10.29045. Space to depth: Shi et al., CVPR 2016, doi 10.1109/CVPR.2016.207.

Departures from the paper: there is none to depart from. Of QARepVGG's block, strided or wider
ones have no identity branch, and any may be dilated.

Checked against the paper: no table has it. Parameters, multiply-accumulates and the equality of
trained and fused form are held by tests/contract, the structure by tests/networks.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import fuse_conv_bn_eval

from featherseg.networks.blocks import ConvBlock, check_sides, check_widths, conv1x1

_WIDTH = 64
# Pixels a side that become channels of one position, and back again in the head.
_CELL = 4


class FeatherBlock(nn.Module):
    """Branches that become one 3x3 convolution, a norm, ReLU.

    relu(norm(norm3(conv3x3(x)) + conv1x1(x) + x)), the last only where size and width stay. One
    norm behind the sum, and none in the thin branches, keep the merged weights in a range that
    int8 can hold (QARepVGG, section 4).
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.conv3x3 = nn.Conv2d(
            in_channels, out_channels, 3, stride, padding=dilation, dilation=dilation, bias=False
        )
        self.norm3x3 = nn.BatchNorm2d(out_channels)
        self.conv1x1 = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.stride = stride
        self.has_identity = stride == 1 and in_channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H/stride, W/stride)."""
        # Dropping pixels here, not in the convolution, keeps its backward pass clear of a fault
        # of oneDNN (docs/decisions/0005-encoders-and-costs.md).
        kept = features if self.stride == 1 else features[:, :, :: self.stride, :: self.stride]
        total = self.norm3x3(self.conv3x3(features)) + self.conv1x1(kept)
        if self.has_identity:
            total = total + features
        return F.relu(self.norm(total))

    @torch.no_grad()
    def merged(self) -> ConvBlock:
        """The same function in eval mode as one convolution, its norm and ReLU."""
        block = copy.deepcopy(self).eval()
        convolution = fuse_conv_bn_eval(block.conv3x3, block.norm3x3).requires_grad_()
        center = block.conv1x1.weight[:, :, 0, 0]
        if block.has_identity:
            center = center + torch.eye(len(center), dtype=center.dtype, device=center.device)
        convolution.weight[:, :, 1, 1] += center
        with torch.device("meta"):  # its own norm would be made on the default device
            merged = ConvBlock(convolution).eval()
        merged.norm = block.norm
        return merged


class GlobalContext(nn.Module):
    """What the whole map holds on average, added everywhere."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = conv1x1(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) to the same."""
        mean = features.mean(dim=(2, 3), keepdim=True)  # (N, C, 1, 1)
        return features + F.relu(self.project(mean))


class PresenceHead(nn.Module):
    """Whether there is any foreground: a logit from the means and the maxima of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.classify = nn.Linear(2 * channels, 1)

    def forward(self, deep: Tensor) -> Tensor:
        """(N, C, h, w) to (N, 1)."""
        logits: Tensor = self.classify(
            torch.cat((deep.mean(dim=(2, 3)), deep.amax(dim=(2, 3))), dim=1)
        )
        return logits


class FeatherNet(nn.Module):
    """Space to depth, dense stages, a decoder of sums, depth to space.

    ``widths`` are the channels at 1/4, 1/8, 1/16 and 1/32 of the sides, ``depths`` the blocks
    after the strided one of the last three. Takes (N, in_channels, H, W) with sides that are
    multiples of 32 and gives logits (N, out_channels, H, W).
    """

    def __init__(
        self, *, in_channels: int, out_channels: int, widths: Sequence[int], depths: Sequence[int]
    ) -> None:
        super().__init__()
        finest, *coarser = widths
        self.stem = FeatherBlock(_CELL**2 * in_channels, finest)
        # Only the last stage looks far: there a step is 32 pixels wide.
        far = [False] * (len(depths) - 1) + [True]
        self.stages = nn.ModuleList(
            feather_stage(*each) for each in zip(widths, coarser, depths, far, strict=False)
        )
        self.context = GlobalContext(widths[-1])
        self.presence = PresenceHead(widths[-1])
        self.laterals = nn.ModuleList(conv1x1(width, finest) for width in coarser)
        self.decoder = nn.ModuleList(FeatherBlock(finest, finest) for _ in coarser)
        self.head = conv1x1(finest, _CELL**2 * out_channels)

    @property
    def multiple(self) -> int:
        """What the sides of an image must be multiples of."""
        return int(_CELL * 2 ** len(self.stages))

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        return self.forward_with_presence(image)[0]

    def forward_with_presence(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits as of `forward`, and the logit (N, 1) that there is any foreground."""
        check_sides(image.shape[2:], self.multiple)
        features = self.stem(F.pixel_unshuffle(image, _CELL))  # (N, 64, H/4, W/4)
        skips = [features]
        for stage in self.stages:
            features = stage(features)  # H/8, H/16, H/32
            skips.append(features)
        deep = self.context(skips.pop())
        presence = self.presence(deep)
        *laterals, deepest = self.laterals
        features = deepest(deep)
        # The finest skip has the decoder's width already.
        fitting = [nn.Identity(), *laterals]
        for block, lateral, skip in zip(self.decoder, reversed(fitting), skips[::-1], strict=True):
            raised = F.interpolate(features, scale_factor=2.0, mode="nearest")
            features = block(raised + lateral(skip))  # (N, 64, ...), H/16, H/8, H/4
        return F.pixel_shuffle(self.head(features), _CELL), presence


def feather_stage(in_channels: int, channels: int, depth: int, is_far: bool) -> nn.Sequential:
    """A strided block and `depth` more, where `is_far` dilated by 2, 4, ..."""
    dilations = [2 ** (place + 1) if is_far else 1 for place in range(depth)]
    return nn.Sequential(
        FeatherBlock(in_channels, channels, stride=2),
        *(FeatherBlock(channels, channels, dilation=dilation) for dilation in dilations),
    )


def feathernet(
    *,
    factors: Sequence[int],
    depths: Sequence[int],
    in_channels: int = 3,
    out_channels: int = 1,
    width: int = _WIDTH,
) -> FeatherNet:
    """FeatherNet with `factors` times ``width`` channels at 1/4, 1/8, 1/16 and 1/32."""
    check_widths("feathernet", in_channels=in_channels, out_channels=out_channels, width=width)
    widths = [factor * width for factor in factors]
    return FeatherNet(
        in_channels=in_channels, out_channels=out_channels, widths=widths, depths=depths
    )

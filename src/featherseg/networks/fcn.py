"""FCN-8s, FCN-16s and FCN-32s: VGG-16 and five transposed convolutions.

Paper: Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation",
CVPR 2015, doi 10.1109/CVPR.2015.7298965; a baseline in Table 1 of the Lighter U-net paper (Li
et al., IEEE ISBI 2021, hal-03140737).

Departures from the paper:
* The two 4096-channel layers after VGG-16's last pool and the learned 8x, 16x and 32x
  up-sampling are replaced by five transposed 3x3 convolutions of stride 2, each with ReLU and
  batch norm. The original has more than 130 M parameters; this form, common in public code,
  has the 18.6 M which the Lighter U-net paper prints.
* Skips are added to features of 512 and 256 channels, before the norm, not to class scores.
* Sides that are no multiples of 32 are taken: features are resampled to each skip's size, the
  logits to the image's.

The norms follow a ReLU, or the sum with a skip, and so cannot be folded: they stay.

Checked against the paper: 18.6 M parameters of FCN-8s (18,643,713; section 4.1 of the Lighter
U-net paper) (tests/contract).
"""

from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from featherseg.networks.blocks import check_widths, conv1x1, resize_to
from featherseg.networks.encoders import Encoder, timm_encoder
from featherseg.networks.pretrained import Pretrained

_ENCODER = "vgg16"
# Channels after the last three of five transposed convolutions.
_TAIL = (128, 64, 32)


def pools(model: Any, image: Tensor) -> list[Tensor]:
    """The outputs of the pooling layers of a VGG network."""
    outputs = []
    features = image
    for layer in model.features:
        features = layer(features)
        if isinstance(layer, nn.MaxPool2d):
            outputs.append(features)
    return outputs


class Double(nn.Module):
    """Transposed convolution of stride 2, ReLU, norm: twice the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size=3, stride=2, padding=1, output_padding=1
        )
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, features: Tensor, skip: Tensor | None = None) -> Tensor:
        """(N, C, H, W) to (N, D, 2H, 2W), or to the size of the skip that is added."""
        raised = F.relu(self.convolution(features))
        if skip is not None:
            raised = resize_to(raised, skip) + skip
        output: Tensor = self.norm(raised)
        return output


class Fcn(nn.Module):
    """A VGG encoder whose last pool is raised 32 times, `skips` pools being added on the way.

    Takes (N, in_channels, H, W) with sides of at least 32 and gives logits
    (N, out_channels, H, W).
    """

    def __init__(self, encoder: Encoder, *, out_channels: int, skips: int) -> None:
        super().__init__()
        check_widths("fcn", out_channels=out_channels)
        self.encoder = encoder
        self.skips = skips
        widths = [*encoder.channels[:-4:-1], *_TAIL]
        self.decoder = nn.ModuleList(Double(more, fewer) for more, fewer in pairwise(widths))
        self.head = conv1x1(widths[-1], out_channels)

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        *maps, features = self.encoder(image)  # the last pool: (N, 512, H/32, W/32)
        for level, stage in enumerate(self.decoder):
            features = stage(features, maps[-1 - level] if level < self.skips else None)
        return resize_to(self.head(features), image)


def _fcn(in_channels: int, out_channels: int, pretrained: Pretrained, skips: int) -> Fcn:
    check_widths("fcn", in_channels=in_channels)
    encoder = timm_encoder(_ENCODER, in_channels=in_channels, pretrained=pretrained, taps=pools)
    return Fcn(encoder, out_channels=out_channels, skips=skips)


def fcn8s(*, in_channels: int = 3, out_channels: int = 1, pretrained: Pretrained = False) -> Fcn:
    """Adds the fourth and the third pool; 18,643,713 parameters."""
    return _fcn(in_channels, out_channels, pretrained, skips=2)


def fcn16s(*, in_channels: int = 3, out_channels: int = 1, pretrained: Pretrained = False) -> Fcn:
    """Adds the fourth pool; 18,643,713 parameters."""
    return _fcn(in_channels, out_channels, pretrained, skips=1)


def fcn32s(*, in_channels: int = 3, out_channels: int = 1, pretrained: Pretrained = False) -> Fcn:
    """Adds no pool; 18,643,713 parameters."""
    return _fcn(in_channels, out_channels, pretrained, skips=0)

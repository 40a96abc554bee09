"""Attention U-Net on a ResNet-101: the 106 M teacher of LightBTSeg and T2KD.

Paper: Guo, Yang, Wang, Liu, et al., "LightBTSeg: A lightweight breast tumor segmentation model
using ultrasound images via dual-path joint knowledge distillation", 2023 (section III.A,
Figures 3 and 4, Table I); T2KD Attention U-Net, J. Biomed. Eng. 42(1), 2025,
doi 10.7507/1001-5515.202311054. Encoder: He et al., CVPR 2016, doi 10.1109/CVPR.2016.90.

Departures from the paper:
* ``upsampling="resize"`` repeats pixels and convolves. The text says deconvolution; "transposed"
  is that, a 3x3 transposed convolution of stride 2 with as many parameters, but with three
  quarters of the multiply-accumulates and uneven coverage of pixels. Only the first meets the
  published cost when a transposed convolution is counted at its true cost.
* ``encoder`` may be any timm network of five stages, and ``pretrained`` gives it ImageNet
  weights; the paper trains a ResNet-101 from scratch.

Open in the paper, chosen here: what follows the last skip, which the ResNet has at half the
image's size. A 1x1 convolution there, whose logits are up-sampled bilinearly, comes nearest to
the published cost. "The first eight layers" are read as everything but pooling and classifier.
Gates have half as many inner channels as their skip.

Checked against the paper: 106.1 M parameters (106,093,357) and 205.98 GFLOPs at 512x512
(206.11 G multiply-accumulates) (tests/contract). The published 414 MB would hold ResNet-101's
unused classifier too, which is left out here.
"""

from torch import Tensor, nn

from featherseg.errors import RecipeError
from featherseg.networks.attention_unet import AttentionGate
from featherseg.networks.blocks import (
    ConvBlock,
    check_sides,
    check_widths,
    conv1x1,
    pair3x3,
    resize_to,
)
from featherseg.networks.encoders import Encoder, check_stages, timm_encoder
from featherseg.networks.names import did_you_mean
from featherseg.networks.pretrained import Pretrained
from featherseg.networks.unet import UpSampling, decode, resize_conv3x3

_STAGES = 5
_MULTIPLE = 2**_STAGES


def transposed3x3(in_channels: int, out_channels: int) -> ConvBlock:
    """A 3x3 transposed convolution of stride 2, norm, ReLU."""
    return ConvBlock(
        nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size=3, stride=2, padding=1, output_padding=1
        )
    )


_UP_SAMPLINGS: dict[str, UpSampling] = {"resize": resize_conv3x3, "transposed": transposed3x3}


class EncoderAttentionUnet(nn.Module):
    """The gated decoder of an Attention U-Net on an encoder of five stages (Figure 3).

    Takes (N, in_channels, H, W) with sides that are multiples of 32, else raises ImageError
    naming the size to pad to, and gives logits (N, out_channels, H, W).
    """

    def __init__(self, *, encoder: Encoder, up: UpSampling, out_channels: int) -> None:
        super().__init__()
        *skips, _ = encoder.channels
        # With ResNet-101: 2048 -> 1024 -> 512 -> 256 -> 64.
        raised = skips[::-1]
        self.encoder = encoder
        self.up = nn.ModuleList(
            up(below, channels)
            for below, channels in zip(encoder.channels[:0:-1], raised, strict=True)
        )
        self.gates = nn.ModuleList(AttentionGate(channels) for channels in raised)
        self.decoder = nn.ModuleList(pair3x3(2 * channels, channels) for channels in raised)
        self.head = conv1x1(skips[0], out_channels)

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        check_sides(image.shape[2:], _MULTIPLE)
        decoded = decode(self.encoder(image), self.up, self.gates, self.decoder)
        logits = self.head(decoded[-1])  # (N, out_channels, H/2, W/2)
        return resize_to(logits, image)


def resnet101_attention_unet(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    encoder: str = "resnet101",
    pretrained: Pretrained = False,
    upsampling: str = "resize",
) -> EncoderAttentionUnet:
    """LightBTSeg's teacher; 106,093,357 parameters."""
    name = "resnet101_attention_unet"
    check_widths(name, in_channels=in_channels, out_channels=out_channels)
    if upsampling not in _UP_SAMPLINGS:
        raise RecipeError(
            f"{name}: upsampling must be {' or '.join(_UP_SAMPLINGS)}, got {upsampling!r}"
            f"{did_you_mean(upsampling, _UP_SAMPLINGS)}"
        )
    backbone = timm_encoder(encoder, in_channels=in_channels, pretrained=pretrained)
    check_stages(name, backbone, _STAGES)
    return EncoderAttentionUnet(
        encoder=backbone, up=_UP_SAMPLINGS[upsampling], out_channels=out_channels
    )

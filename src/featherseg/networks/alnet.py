"""AL-Net: a RepVGG encoder, lite reduced ASPP and an asymmetric decoder.

Paper: Du, Nie, Wang, Lei, Wang, Zhang, "AL-Net: Asymmetric Lightweight Network for Medical Image
Segmentation", Frontiers in Signal Processing 2, 2022, doi 10.3389/frsip.2022.842925. Blocks of
RepVGG: Ding et al., CVPR 2021, doi 10.1109/CVPR46437.2021.01352. LR-ASPP: Howard et al.,
"Searching for MobileNetV3", ICCV 2019.

Departures from the paper:
* The features of the context module pass their 1x1 convolution, norm and ReLU before they are
  up-sampled, not after (equation 3): the same weights at 1/256 of the cost.
* Both paths are added at half the size of the image and the logits up-sampled, where equation 3
  up-samples the features by 2 and 16 to the full size.
* ``width`` scales encoder, context module and decoder and is 64 in the paper.

Open in the paper, chosen here: every width but the stem's. RepVGG-A1's channels are "reduced" by
an unstated rule; 64 in the stem and 64, 128, 128, 512 in the stages are A1's up to stage 2, so
that its ImageNet weights fit there. The context module has 64 channels, the low path of
the decoder 32 and both paths end with 128. The sum of stages in equation 2 is read as a
concatenation, for their widths differ. Convolutions before a norm have no bias. The paper names
both global average pooling and a large kernel with a large stride for LR-ASPP: ``pooling``. All
this is a FIT: many other widths give the published counts as well.

Checked against the paper: 3.45 M re-parameterized parameters (3,447,297; 3,821,185 in training
form), 21.51 M with ResNet-34 (21,520,065), Tables 2 and 5 (tests/contract).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from featherseg.errors import RecipeError
from featherseg.networks.blocks import ConvBlock, check_widths, resize_to
from featherseg.networks.encoders import Encoder, check_stages, repvgg_encoder, timm_encoder
from featherseg.networks.names import did_you_mean
from featherseg.networks.pretrained import Pretrained

_WIDTH = 64
_STAGES = 5
# RepVGG-A1's blocks in stages 1 to 4 (section 3.1); widths relative to the stem's are a fit.
_DEPTHS = (2, 4, 14, 1)
_WIDER = (1, 2, 2, 8)
# Of the decoder at a width of 64: inside the low path, and where both paths end.
_REDUCED = 32
_FUSED = 128
# MobileNetV3 pools 49x49 with stride 16x20 at 1/16 of the image; the same area at 1/32.
_KERNEL = 25
_STRIDE = (8, 10)


class LrAspp(nn.Module):
    """Lite reduced ASPP (Figure 3): features, weighted by channel with pooled context."""

    def __init__(self, features: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.gate = gate

    def forward(self, deep: Tensor) -> Tensor:
        """(N, C, h, w) to (N, K, h, w)."""
        context: Tensor = self.features(deep) * self.gate(deep)
        return context


class Resized(nn.Module):
    """What a module gives, resampled to the size of its input."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) to (N, D, h, w)."""
        return resize_to(self.module(features), features)


class ADecoder(nn.Module):
    """The asymmetric decoder (Figure 1, equations 1 to 3)."""

    def __init__(self, low: Sequence[int], high: int, *, reduced: int, fused: int) -> None:
        super().__init__()
        self.low = nn.Sequential(
            ConvBlock(unbiased(sum(low), reduced, 3)),
            ConvBlock(unbiased(reduced, reduced, 3)),
            ConvBlock(unbiased(reduced, fused, 1)),
        )
        self.high = ConvBlock(unbiased(high, fused, 1))

    def forward(self, low: list[Tensor], high: Tensor) -> Tensor:
        """Stages 0 to 3, (N, C, H/2, W/2) to (N, D, H/16, W/16), and context at 1/32."""
        finest, *coarser = low
        resized = [resize_to(features, finest) for features in coarser]
        details: Tensor = self.low(torch.cat((finest, *resized), dim=1))  # (N, 128, H/2, W/2)
        return details + resize_to(self.high(high), finest)


class AlNet(nn.Module):
    """Encoder, context module, decoder, head (Figure 1).

    `decoder` takes the encoder's maps but the last, and what `context` makes of that. Takes
    (N, in_channels, H, W) with sides of at least 32 and gives logits (N, out_channels, H, W).
    """

    def __init__(
        self, *, encoder: Encoder, context: nn.Module, decoder: nn.Module, head: nn.Conv2d
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.context = context
        self.decoder = decoder
        self.head = head

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        *low, deep = self.encoder(image)  # H/2 to H/16; (N, 512, H/32, W/32)
        features = self.decoder(low, self.context(deep))  # (N, 128, H/2, W/2)
        return resize_to(self.head(features), image)


def unbiased(in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the size."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        bias=False,
    )


def scaled(channels: int, width: int) -> int:
    """Channels at a width of 64, scaled to `width`."""
    return max(1, channels * width // _WIDTH)


def global_gate(in_channels: int, channels: int) -> nn.Module:
    """One weight a channel, from the average over the whole map."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1), unbiased(in_channels, channels, 1), nn.Hardsigmoid()
    )


def large_stride_gate(in_channels: int, channels: int) -> nn.Module:
    """Weights from averages over large windows, as in MobileNetV3.

    Windows are centered on every 8th row and 10th column and cut at the border, so that maps
    of any size can be pooled, those smaller than a window too.
    """
    pool = nn.AvgPool2d(_KERNEL, _STRIDE, padding=_KERNEL // 2, count_include_pad=False)
    return Resized(nn.Sequential(pool, unbiased(in_channels, channels, 1), nn.Hardsigmoid()))


POOLINGS: dict[str, Callable[[int, int], nn.Module]] = {
    "global": global_gate,
    "large_stride": large_stride_gate,
}


def lr_aspp(in_channels: int, channels: int, *, pooling: str) -> LrAspp:
    """LR-ASPP with `pooling` of `POOLINGS`; RecipeError for another."""
    if pooling not in POOLINGS:
        raise RecipeError(
            f"AL-Net: pooling must be {' or '.join(POOLINGS)}, got {pooling!r}"
            f"{did_you_mean(pooling, POOLINGS)}"
        )
    features = ConvBlock(unbiased(in_channels, channels, 1))
    return LrAspp(features, POOLINGS[pooling](in_channels, channels))


def a_decoder(low: Sequence[int], high: int, *, width: int) -> ADecoder:
    """The decoder after a context module of `high` channels."""
    return ADecoder(low, high, reduced=scaled(_REDUCED, width), fused=scaled(_FUSED, width))


def al_head(width: int, out_channels: int) -> nn.Conv2d:
    """The last 1x1 convolution, after the A-Decoder (equation 1)."""
    return nn.Conv2d(scaled(_FUSED, width), out_channels, kernel_size=1)


def reduced_repvgg(width: int, in_channels: int, pretrained: Pretrained) -> Encoder:
    """RepVGG-A1 with fewer channels in its last two stages (section 3.1)."""
    return repvgg_encoder(
        in_channels=in_channels,
        stem=width,
        widths=[wider * width for wider in _WIDER],
        depths=_DEPTHS,
        like="repvgg_a1",
        pretrained=pretrained,
    )


def alnet(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    width: int = _WIDTH,
    pooling: str = "global",
    pretrained: Pretrained = False,
) -> AlNet:
    """AL-Net; 3,447,297 parameters after re-parameterization.

    Weights of ImageNet (RepVGG-A1) fit the stem and stages 1 and 2 at the default width.
    """
    check_widths("alnet", in_channels=in_channels, out_channels=out_channels, width=width)
    encoder = reduced_repvgg(width, in_channels, pretrained)
    *low, deep = encoder.channels
    return AlNet(
        encoder=encoder,
        context=lr_aspp(deep, width, pooling=pooling),
        decoder=a_decoder(low, width, width=width),
        head=al_head(width, out_channels),
    )


def alnet_resnet34(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    width: int = _WIDTH,
    pooling: str = "global",
    encoder: str = "resnet34",
    pretrained: Pretrained = False,
) -> AlNet:
    """AL-Net with ResNet-34 or another of timm's encoders (Table 2); 21,520,065 parameters.

    ``width`` scales the context module and the decoder.
    """
    name = "alnet_resnet34"
    check_widths(name, in_channels=in_channels, out_channels=out_channels, width=width)
    stages = timm_encoder(encoder, in_channels=in_channels, pretrained=pretrained)
    check_stages(name, stages, _STAGES)
    *low, deep = stages.channels
    return AlNet(
        encoder=stages,
        context=lr_aspp(deep, width, pooling=pooling),
        decoder=a_decoder(low, width, width=width),
        head=al_head(width, out_channels),
    )

"""LAEDNet-S, -M and -L: an EfficientNet encoder and a decoder of depthwise convolutions.

Paper: Zhou, Wang, Bao, Kong, Jin, Ou, "LAEDNet: A Lightweight Attention Encoder-Decoder
Network for Ultrasound Medical Image Segmentation", Computers and Electrical Engineering, 2022,
pii S0045790622000799 (Figures 1 to 3, Tables 1, 2 and 5, equations 1 to 4). The encoder is that
of Tan, Le, "EfficientNet", ICML 2019, arXiv 1905.11946.

Departures from the paper:
* M has the repeats of EfficientNet-B3 (2, 3, 3, 5, 5, 6, 2). Table 1 prints 1, 2, 2, 5, 5, 6, 1,
  whose network would be smaller than the published one by more than 2 M.
* Features are up-sampled bilinearly, without parameters. The text speaks of deconvolution, but
  M without squeeze-and-excitation (Table 5) leaves no parameters for it.
* ``encoder`` may be another network of timm, and ``pretrained`` gives it ImageNet weights; the
  paper names no others and no pre-training.

Open in the paper, chosen here (a fit: S, M and M without squeeze-and-excitation agree to 0.4 %
with ``se_position="fused"``, no reading meets L as well):
* Equations 3 and 4 give no reduction. The default is their wiring, the attention on the output
  of the 1x1 convolution, with as many hidden units as channels; the 0.30 M that Table 5 gives
  attention in M is out of its reach (0.17 M). "fused" has it where an EfficientNet has it, on
  the concatenated features between the two convolutions, with a quarter as many hidden units,
  and keeps the sum of equation 4; it costs 0.30 M in M.
* The decoder's convolutions have no bias and are followed by batch norm and ReLU each.
* Residual branches of the encoder are dropped in training, the deepest most often, with a
  probability of nearly 0.2, as in EfficientNet.
* The 1x1 convolution makes logits at half the image's size, which are up-sampled bilinearly.

Checked against the paper: parameters with running statistics, as Keras counts: S 4.03 M
(3.925 M; fused 4.015 M), M 10.75 M (10.607 M; fused 10.737 M), M without attention 10.45 M
(10.435 M), L 63.25 M (63.571 M; fused 63.930 M) (tests/contract and
tests/networks/test_laednet.py).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from featherseg.errors import RecipeError
from featherseg.networks.blocks import (
    ConvBlock,
    channel_attention,
    check_share,
    check_widths,
    conv1x1,
    resize_to,
)
from featherseg.networks.encoders import Encoder, blocks, check_stages, timm_encoder
from featherseg.networks.names import did_you_mean
from featherseg.networks.pretrained import Pretrained

_DROP_PATH = 0.2
# EfficientNets have five to seven blocks at five resolutions, other encoders five stages.
_STAGES = (5, 6, 7)
# Where the attention is, and the channels there for each of its hidden units.
_REDUCTIONS = {"output": 1, "fused": 4}


class Attention(nn.Module):
    """Channels added to themselves times their attention (equations 3 and 4)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.weights = channel_attention(channels, max(1, channels // reduction))

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W), unchanged in shape."""
        attended: Tensor = features + self.weights(features) * features
        return attended


class Lrse(nn.Module):
    """Lightweight residual squeeze-and-excitation (Figure 3): decoded features meet a skip.

    `se_position` is "output", "fused" or None for no attention.
    """

    def __init__(self, channels: int, skip_channels: int, *, se_position: str | None) -> None:
        super().__init__()
        fused = channels + skip_channels
        self.depthwise = ConvBlock(nn.Conv2d(fused, fused, 3, padding=1, groups=fused, bias=False))
        self.pointwise = ConvBlock(nn.Conv2d(fused, skip_channels, 1, bias=False))
        self.fused_attention = _attention("fused", se_position, fused)
        self.output_attention = _attention("output", se_position, skip_channels)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        """(N, C1, H, W) and (N, C2, H, W) to (N, C2, H, W)."""
        fused = torch.cat((features, skip), dim=1)  # equation 1: (N, C1 + C2, H, W)
        mixed = self.fused_attention(self.depthwise(fused))
        output: Tensor = self.output_attention(self.pointwise(mixed))  # (N, C2, H, W)
        return output


def _attention(position: str, chosen: str | None, channels: int) -> nn.Module:
    return Attention(channels, _REDUCTIONS[position]) if position == chosen else nn.Identity()


class LaedNet(nn.Module):
    """A decoder of one LRSE for every feature map of `encoder` but the last (Figure 1).

    Takes (N, in_channels, H, W) of any size and gives logits (N, out_channels, H, W).
    """

    def __init__(self, *, encoder: Encoder, se_position: str | None, out_channels: int) -> None:
        super().__init__()
        channels, reductions = encoder.channels[::-1], encoder.reductions[::-1]
        self.encoder = encoder
        self.decoder = nn.ModuleList(
            Lrse(deeper, skip, se_position=se_position) for deeper, skip in pairwise(channels)
        )
        # No up-sampling where the skip has the resolution already: LRSE 6 and 4 of an EfficientNet.
        self.is_raised = [deeper != skip for deeper, skip in pairwise(reductions)]
        self.head = conv1x1(channels[-1], out_channels)

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        *skips, features = self.encoder(image)  # 1/2 to 1/32 of the sides
        for lrse, is_raised in zip(self.decoder, self.is_raised, strict=True):
            skip = skips.pop()
            features = lrse(resize_to(features, skip) if is_raised else features, skip)
        logits = self.head(features)  # (N, out_channels, H/2, W/2)
        return resize_to(logits, image)


def laednet(
    *,
    encoder: str = "efficientnet_b0",
    in_channels: int = 3,
    out_channels: int = 1,
    use_se: bool = True,
    se_position: str = "output",
    drop_path: float = _DROP_PATH,
    pretrained: Pretrained = False,
) -> LaedNet:
    """LAEDNet on any encoder of timm with five stages.

    S is on EfficientNet-B0 (3,881,981 parameters), M on -B3 (10,519,017), L on -B7 (63,258,961).
    """
    check_widths("laednet", in_channels=in_channels, out_channels=out_channels)
    check_share("laednet", drop_path=drop_path)
    if se_position not in _REDUCTIONS:
        raise RecipeError(
            f"laednet: se_position must be {' or '.join(_REDUCTIONS)}, got {se_position!r}"
            f"{did_you_mean(se_position, _REDUCTIONS)}"
        )
    backbone = timm_encoder(
        encoder,
        in_channels=in_channels,
        pretrained=pretrained,
        taps=blocks,
        # timm leaves None out: not every network of its can drop paths.
        drop_path_rate=drop_path or None,
    )
    check_stages("laednet", backbone, _STAGES)
    return LaedNet(
        encoder=backbone,
        se_position=se_position if use_se else None,
        out_channels=out_channels,
    )

"""TransUNet: a ResNet and a vision transformer as the encoder of a U-Net (R50-ViT-B/16).

Paper: Chen, Lu, Yu, Luo, Adeli, Wang, Lu, Yuille, Zhou, "TransUNet: Transformers Make Strong
Encoders for Medical Image Segmentation", 2021, arXiv:2102.04306; a baseline in Tables 2 to 4 of
the LAEDNet paper (2022).

Departures from the paper:
* Every size whose sides are multiples of 16 is taken, not only ``image_size``: the position
  embeddings are resampled to it.
* ResNet and transformer are timm's, so that its ImageNet weights fit. As in the code those
  weights were trained with, norms on the ResNet's shortcuts have 32 groups, where the authors'
  code has one for each channel, and padding is "same" (0 before, 1 after for a 3x3 kernel of
  stride 2), where theirs is symmetric or follows later.
* ``dropout`` also acts after the projection of the attention.

Open in the paper, chosen here: position embeddings are resampled bicubically, whatever the size;
of their own size they stay as they are. Every map has even sides, so that "same" padding is
a constant here; timm computes it from each image, and torch.export then does not come to an end.

Checked against the paper: 105,275,921 parameters at 224x224, those of the authors' code for one
output; 105,432,593 at 320x320, LAEDNet's image size (tests/contract). LAEDNet's tables print
419.53 M, which none of the configurations of the authors' code has. As megabytes of float32
weights it would be close (421 MB), but the text does not say so.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherseg.errors import RecipeError
from featherseg.networks.blocks import ConvBlock, check_share, check_sides, check_widths, conv3x3
from featherseg.networks.encoders import Encoder
from featherseg.networks.pretrained import Pretrained, load_pretrained

_WEIGHTS = "vit_base_r50_s16_224"
_STRIDE = 16
_IMAGE_SIZE = 320
_WIDTH = 64
_GROUPS = 32
_DIM, _DEPTH, _HEADS = 768, 12, 12
_DROPOUT = 0.1
# Blocks of the ResNet's three stages, and their widths relative to the stem's.
_BLOCKS = (3, 4, 9)
_STAGES = (4, 8, 16)
_STANDARDIZATION_EPS = 1e-8


class EvenConv(nn.Conv2d):
    """A convolution with standardized weights and the padding "same" for even sides."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, **kind: Any
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, bias=False, **kind)
        self.same = _same(kernel_size, stride)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H/stride, W/stride)."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), correction=0, keepdim=True)
        weight = (self.weight - mean) * torch.rsqrt(variance + _STANDARDIZATION_EPS)
        return F.conv2d(self.same(features), weight, stride=self.stride, dilation=self.dilation)


def _same(kernel_size: int, stride: int) -> nn.ZeroPad2d:
    total = max(kernel_size - stride, 0)
    before, after = total // 2, total - total // 2
    return nn.ZeroPad2d((before, after, before, after))


def _resnet(in_channels: int, width: int) -> nn.Module:
    """The first three stages of a ResNet-50 with group norm."""
    from timm.models.resnetv2 import ResNetV2

    resnet = ResNetV2(
        layers=list(_BLOCKS),
        channels=tuple(width * stage for stage in _STAGES),
        num_classes=0,
        in_chans=in_channels,
        global_pool="",
        stem_chs=width,
        preact=False,
        conv_layer=EvenConv,
    )
    # After a ReLU zeros are as good a padding as minus infinity.
    pool = nn.Sequential(_same(3, 2), nn.MaxPool2d(kernel_size=3, stride=2))
    resnet.stem.set_submodule("pool", pool)
    return resnet


def transformed(model: Any, image: Tensor) -> list[Tensor]:
    """The ResNet's stem and first two stages, and its third after the transformer."""
    embedding = model.patch_embed
    *skips, features = embedding.backbone.forward_intermediates(image, intermediates_only=True)
    features = embedding.proj(features)  # (N, dim, H/16, W/16)
    positions = F.interpolate(
        model.pos_embed.transpose(1, 2).unflatten(2, embedding.grid_size),
        size=features.shape[2:],
        mode="bicubic",
    )
    tokens = (features + positions).flatten(2).transpose(1, 2)  # (N, H/16 * W/16, dim)
    tokens = model.norm(model.blocks(model.pos_drop(tokens)))
    return [*skips, tokens.transpose(1, 2).reshape(features.shape)]


class TransUnet(nn.Module):
    """An encoder of four maps and a cascaded up-sampler (Figure 1).

    Takes (N, in_channels, H, W) with sides that are multiples of 16, else raises ImageError
    naming the size to pad to, and gives logits (N, out_channels, H, W).
    """

    def __init__(self, encoder: Encoder, *, out_channels: int, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        *skips, dim = encoder.channels
        widths = [8 * width, 4 * width, 2 * width, width, width // 4]
        self.bridge = _block(dim, widths[0])
        self.up = nn.UpsamplingBilinear2d(scale_factor=2)
        self.decoder = nn.ModuleList(
            nn.Sequential(_block(more + skip, fewer), _block(fewer, fewer))
            for more, skip, fewer in zip(widths, [*skips[::-1], 0], widths[1:], strict=False)
        )
        self.head = conv3x3(widths[-1], out_channels)

    def forward(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, out_channels, H, W)."""
        check_sides(image.shape[2:], _STRIDE)
        *skips, features = self.encoder(image)
        features = self.bridge(features)  # (N, 512, H/16, W/16)
        for stage in self.decoder:
            raised = self.up(features)
            features = stage(torch.cat((raised, skips.pop()), dim=1) if skips else raised)
        logits: Tensor = self.head(features)
        return logits


def _block(in_channels: int, out_channels: int) -> ConvBlock:
    return ConvBlock(nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False))


def transunet(
    *,
    in_channels: int = 3,
    out_channels: int = 1,
    image_size: int = _IMAGE_SIZE,
    width: int = _WIDTH,
    dim: int = _DIM,
    depth: int = _DEPTH,
    heads: int = _HEADS,
    dropout: float = _DROPOUT,
    pretrained: Pretrained = False,
) -> TransUnet:
    """105,432,593 parameters.

    `image_size` is the side for which position embeddings are learned, `width` scales ResNet
    and decoder, `dim`, `depth` and `heads` the transformer. `pretrained` takes weights of
    timm's vit_base_r50_s16_224 or _384.
    """
    from timm.layers.hybrid_embed import HybridEmbed
    from timm.models.vision_transformer import VisionTransformer

    check_widths("transunet", in_channels=in_channels, out_channels=out_channels, width=width)
    check_widths("transunet", image_size=image_size, dim=dim, depth=depth, heads=heads)
    check_share("transunet", dropout=dropout)
    _check_multiple(_STRIDE, image_size=image_size)
    _check_multiple(_GROUPS, width=width)
    _check_multiple(heads, dim=dim)
    model = VisionTransformer(
        img_size=image_size,
        patch_size=1,
        in_chans=in_channels,
        num_classes=0,
        global_pool="",
        embed_dim=dim,
        depth=depth,
        num_heads=heads,
        class_token=False,
        pos_drop_rate=dropout,
        proj_drop_rate=dropout,
        embed_layer=partial(HybridEmbed, backbone=_resnet(in_channels, width)),
    )
    load_pretrained(model, _WEIGHTS, pretrained, in_channels)
    encoder = Encoder(model, in_channels=in_channels, taps=transformed)
    return TransUnet(encoder, out_channels=out_channels, width=width)


def _check_multiple(multiple: int, **sizes: int) -> None:
    for name, size in sizes.items():
        if size % multiple:
            raise RecipeError(f"transunet: {name} must be a multiple of {multiple}, got {size}")

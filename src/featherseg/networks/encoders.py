"""Encoders from timm: the one place that knows how timm builds, names and taps its networks.

An encoder gives a list of feature maps, finest first.

timm is imported where it is used: that takes longer than torch, and most networks do without.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from featherseg.errors import RecipeError
from featherseg.networks.names import did_you_mean
from featherseg.networks.pretrained import Pretrained, load_pretrained

Taps = Callable[[Any, Tensor], list[Tensor]]

_PROBE_SIDE = 64
# The channels that oneDNN's AVX-512 convolutions take at once.
_ONEDNN_BLOCK = 16


def stages(model: Any, image: Tensor) -> list[Tensor]:
    """The last features of each resolution, as timm taps them."""
    features: list[Tensor] = model.forward_intermediates(image, intermediates_only=True)
    return features


def blocks(model: Any, image: Tensor) -> list[Tensor]:
    """The output of every block of an EfficientNet, also where two have the same resolution.

    Other networks give their stages.
    """
    from timm.models import EfficientNet

    has_blocks = isinstance(model, EfficientNet)
    if not has_blocks:
        return stages(model, image)
    features: list[Tensor] = model.forward_intermediates(
        image,
        indices=list(range(1, len(model.blocks) + 1)),
        intermediates_only=True,
        extra_blocks=True,
    )
    return features


class Encoder(nn.Module):
    """A timm network without its classifier, tapped by `taps`.

    Takes (N, in_channels, H, W) and gives as many maps as ``channels`` has entries, each with
    1 / ``reductions`` of the image's sides, rounded up.
    """

    def __init__(self, model: nn.Module, *, in_channels: int, taps: Taps = stages) -> None:
        super().__init__()
        _avoid_strided_pointwise(model)
        self.model = model
        self.taps = taps
        self.in_channels = in_channels
        probed = self._probe()
        self.channels = [features.shape[1] for features in probed]
        self.reductions = [_PROBE_SIDE // features.shape[2] for features in probed]

    def forward(self, image: Tensor) -> list[Tensor]:
        """(N, in_channels, H, W) to a list of (N, C, h, w), finest first."""
        return self.taps(self.model, image)

    def fused(self) -> "Encoder":
        """The same function in eval mode, norms folded into the convolutions before them."""
        encoder = copy.deepcopy(self).eval()
        for convolution, norm in encoder._followed():
            _fold(encoder.model, convolution, norm)
        return encoder

    def _probe(self, *hooked: Callable[[nn.Module], None]) -> list[Tensor]:
        """Run a copy without memory, after handing its timm network to `hooked`."""
        model = copy.deepcopy(self.model).to("meta").eval()
        for hook in hooked:
            hook(model)
        image = torch.empty(1, self.in_channels, _PROBE_SIDE, _PROBE_SIDE, device="meta")
        dtype = next(model.parameters()).dtype
        with torch.no_grad():
            return self.taps(model, image.to(dtype))

    def _followed(self) -> list[tuple[str, str]]:
        """Names of every convolution and the norm that takes its very output."""
        # Outputs are kept, so that no two share an identity; an operation in place between
        # the two would raise the version.
        outputs: list[tuple[str, Tensor, int]] = []
        pairs: list[tuple[str, str]] = []

        def watch(model: nn.Module) -> None:
            for name, module in model.named_modules():
                if isinstance(module, nn.Conv2d):
                    module.register_forward_hook(
                        lambda _, __, output, name=name: outputs.append(
                            (name, output, output._version)
                        )
                    )
                elif isinstance(module, nn.BatchNorm2d):
                    module.register_forward_pre_hook(
                        lambda _, inputs, name=name: pairs.extend(
                            (before, name)
                            for before, output, version in outputs
                            if output is inputs[0] and output._version == version
                        )
                    )

        self._probe(watch)
        return pairs


class SubsampledConv2d(nn.Conv2d):
    """A strided 1x1 convolution that drops the skipped pixels itself.

    Backward through few channels, oneDNN (3.13, of torch 2.15) writes past its workspace where
    the stride is its own and pixels stand channels last (uxlfoundation/oneDNN issue 6035):
    training then crashes.
    """

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D, H / stride, W / stride)."""
        rows, columns = self.stride
        kept = features[:, :, ::rows, ::columns]
        return nn.functional.conv2d(kept, self.weight, self.bias, groups=self.groups)


def _avoid_strided_pointwise(model: nn.Module) -> None:
    for name, module in list(model.named_modules()):
        if type(module) is not nn.Conv2d or module.kernel_size != (1, 1):
            continue
        if module.stride == (1, 1) or module.in_channels >= _ONEDNN_BLOCK:
            continue
        safe = SubsampledConv2d(
            module.in_channels,
            module.out_channels,
            kernel_size=1,
            stride=(module.stride[0], module.stride[1]),
            groups=module.groups,
            bias=module.bias is not None,
        )
        safe.weight, safe.bias = module.weight, module.bias
        model.set_submodule(name, safe)


def _fold(model: nn.Module, convolution_name: str, norm_name: str) -> None:
    from timm.layers.norm_act import BatchNormAct2d

    convolution = model.get_submodule(convolution_name)
    norm = model.get_submodule(norm_name)
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    # timm's norms hold the activation that follows.
    after = norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity()
    # A convolution without bias has a new one, which torch makes a constant.
    folded = fuse_conv_bn_eval(convolution, norm).requires_grad_()
    model.set_submodule(convolution_name, folded)
    model.set_submodule(norm_name, after)


def timm_encoder(
    name: str,
    *,
    in_channels: int,
    pretrained: Pretrained = False,
    taps: Taps = stages,
    **options: Any,
) -> Encoder:
    """Build timm's network `name` as an encoder, with `options` of timm's (output_stride, ...).

    Raises RecipeError for a name timm does not have, an option its network does not have, a
    network that gives no feature maps, or weights that cannot be had.
    """
    import timm

    if not timm.is_model(name):
        raise RecipeError(
            f"timm has no encoder '{name}'; timm.list_models() lists them"
            f"{did_you_mean(name, timm.list_models())}"
        )
    try:
        model: Any = timm.create_model(
            name, in_chans=in_channels, num_classes=0, global_pool="", **options
        )
    except TypeError as error:
        raise RecipeError(f"timm's {name} does not take every option given ({error})") from error
    reductions = [stage["reduction"] for stage in model.feature_info]
    if not hasattr(model, "forward_intermediates") or len(set(reductions)) == 1:
        raise RecipeError(
            f"timm's {name} gives no feature maps of several sizes; choose a convolutional encoder"
        )
    model.prune_intermediate_layers(list(range(len(model.feature_info))))
    load_pretrained(model, name, pretrained, in_channels)
    return Encoder(model, in_channels=in_channels, taps=taps)


def repvgg_encoder(
    *,
    in_channels: int,
    stem: int,
    widths: Sequence[int],
    depths: Sequence[int],
    like: str,
    pretrained: Pretrained = False,
) -> Encoder:
    """Build timm's RepVGG blocks at other widths than its networks have: a stem and stages.

    `depths` counts the blocks of each stage, of which the first has stride 2. Where the widths
    are those of timm's network `like`, `pretrained` gives its ImageNet weights.
    """
    from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg

    settings = ByoModelCfg(
        blocks=tuple(
            ByoBlockCfg(type="rep", d=depth, c=width, s=2)
            for depth, width in zip(depths, widths, strict=True)
        ),
        stem_type="rep",
        stem_chs=stem,
    )
    model = ByobNet(settings, in_chans=in_channels, num_classes=0, global_pool="")
    load_pretrained(model, like, pretrained, in_channels)
    return Encoder(model, in_channels=in_channels)


def check_stages(network: str, encoder: Encoder, count: int | Sequence[int]) -> None:
    """Raise RecipeError where an encoder does not give as many feature maps as needed."""
    wanted = (count,) if isinstance(count, int) else tuple(count)
    if len(encoder.channels) not in wanted:
        raise RecipeError(
            f"{network}: expected an encoder with {' or '.join(map(str, wanted))} stages, got "
            f"{len(encoder.channels)}; choose another one"
        )

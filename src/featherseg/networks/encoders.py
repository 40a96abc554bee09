"""Encoders from timm: the one place that knows how timm builds, names and taps its networks.

An encoder gives a list of feature maps, finest first. Its weights are random, or those of
ImageNet: fetched from the model hub, or read from a local safetensors file.

timm is imported where it is used: that takes longer than torch, and most networks do without.
"""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from featherseg.errors import RecipeError
from featherseg.networks.names import did_you_mean
from featherseg.types import FROM_SCRATCH

# False: random weights; True: fetch those of ImageNet; else a local .safetensors file.
Pretrained = bool | str | Path
Taps = Callable[[Any, Tensor], list[Tensor]]

_WEIGHTS = "model.safetensors"
_RGB = 3
_PROBE_SIDE = 64


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
    taps: Taps | None = None,
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
    tapped = taps or stages
    if not hasattr(model, "forward_intermediates"):
        raise RecipeError(f"timm's {name} gives no feature maps; choose a convolutional encoder")
    model.prune_intermediate_layers(list(range(len(model.feature_info))))
    load_pretrained(model, name, pretrained, in_channels)
    return Encoder(model, in_channels=in_channels, taps=tapped)


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


def load_pretrained(
    model: nn.Module, name: str, pretrained: Pretrained, in_channels: int = _RGB
) -> list[str]:
    """Load ImageNet weights of timm's network `name` into `model`, as far as they fit.

    A first convolution of another number of channels is adapted (summed for gray images).
    Tensors of other shapes keep their values: networks with reduced widths take what is left.
    Gives the names of what was loaded. On the meta device nothing is.
    """
    if pretrained is False or next(model.parameters()).is_meta:
        return []
    path = fetch_weights(name) if pretrained is True else Path(pretrained)
    weights = _read_weights(path)
    own = model.state_dict()
    fitting = {}
    for key, value in weights.items():
        if key in own:
            adapted = _adapted(value, own[key], in_channels)
            if adapted.shape == own[key].shape:
                fitting[key] = adapted
    # The counters of batch norms have no shape and fit everywhere.
    if not any(value.ndim for value in fitting.values()):
        raise RecipeError(
            f"{path}: none of its {len(weights)} tensors fits {name}; expected weights of "
            f"timm's {name}, in timm's names"
        )
    model.load_state_dict(fitting, strict=False)
    return list(fitting)


def describe_weights(pretrained: Pretrained) -> str:
    """What a table says of the weights a training began with."""
    if isinstance(pretrained, bool):
        return "ImageNet" if pretrained else FROM_SCRATCH
    return Path(pretrained).name


def _adapted(value: Tensor, own: Tensor, in_channels: int) -> Tensor:
    from timm.models import adapt_input_conv

    is_first = value.ndim == own.ndim == 4 and value.shape[1] == _RGB != in_channels
    if is_first and own.shape[1] == in_channels:
        adapted: Tensor = adapt_input_conv(in_channels, value)
        return adapted
    return value


def fetch_weights(name: str) -> Path:
    """The local path of timm's ImageNet weights, fetched from the model hub if need be."""
    import timm
    from huggingface_hub import hf_hub_download

    settings = timm.get_pretrained_cfg(name)
    repository = settings.hf_hub_id if settings else None
    if not repository:
        raise RecipeError(
            f"there are no ImageNet weights for {name}; pass pretrained=PATH.safetensors, or "
            "leave pretrained out to train from scratch"
        )
    try:
        return Path(hf_hub_download(repository, _WEIGHTS))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        raise RecipeError(
            f"cannot fetch the ImageNet weights of {name} ({reason}); download {_WEIGHTS} of "
            f"{repository} from huggingface.co on a machine with a connection and pass "
            "pretrained=PATH.safetensors, or leave pretrained out to train from scratch"
        ) from error


def _read_weights(path: Path) -> dict[str, Tensor]:
    if path.suffix != ".safetensors" or not path.is_file():
        raise RecipeError(
            f"{path}: pretrained expects true, false or an existing .safetensors file"
        )
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise RecipeError(f"{path}: not a readable safetensors file ({error})") from error


def check_stages(network: str, encoder: Encoder, count: int | Sequence[int]) -> None:
    """Raise RecipeError where an encoder does not give as many feature maps as needed."""
    wanted = (count,) if isinstance(count, int) else tuple(count)
    if len(encoder.channels) not in wanted:
        raise RecipeError(
            f"{network}: expected an encoder with {' or '.join(map(str, wanted))} stages, got "
            f"{len(encoder.channels)}; choose another one"
        )

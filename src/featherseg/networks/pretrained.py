"""Weights to begin a training with: those of ImageNet from the model hub, or of a local file.

Only safetensors files are read: they hold numbers and cannot run code.
"""

from math import isqrt
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from featherseg.errors import RecipeError
from featherseg.types import FROM_SCRATCH

# False: random weights; True: fetch those of ImageNet; else a local .safetensors file.
Pretrained = bool | str | Path

_WEIGHTS = "model.safetensors"
_RGB = 3


def load_pretrained(
    model: nn.Module, name: str, pretrained: Pretrained, in_channels: int = _RGB
) -> list[str]:
    """Load ImageNet weights of timm's network `name` into `model`, as far as they fit.

    A first convolution of another number of channels is adapted (summed for gray images).
    Position embeddings of another number of positions are resampled.
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
    if value.ndim == own.ndim == 3 and value.shape != own.shape:
        return _resampled(value, isqrt(own.shape[1]))
    return value


def _resampled(embeddings: Tensor, side: int) -> Tensor:
    """Embeddings of a square of positions for another square; a class token's are left out."""
    from timm.layers.pos_embed import resample_abs_pos_embed

    tokens = embeddings.shape[1] - isqrt(embeddings.shape[1]) ** 2
    resampled: Tensor = resample_abs_pos_embed(
        embeddings[:, tokens:], [side, side], num_prefix_tokens=0
    )
    return resampled


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

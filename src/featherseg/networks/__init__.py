"""The networks of the papers and our own, by name.

Every network takes (N, in_channels, H, W) float images and gives logits (N, out_channels, H, W)
of the same size, in training and in evaluation alike. Options are keyword arguments.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from featherseg.errors import RecipeError
from featherseg.networks.alnet import alnet, alnet_resnet34
from featherseg.networks.alnet_ablations import alnet_aspp, alnet_udecoder, repvgg_unet
from featherseg.networks.attention_unet import attention_unet
from featherseg.networks.cenet import cenet
from featherseg.networks.deeplabv3plus import (
    deeplabv3plus_mobilenetv2,
    deeplabv3plus_resnet101,
    deeplabv3plus_xception,
)
from featherseg.networks.fcn import fcn8s, fcn16s, fcn32s
from featherseg.networks.feathernet import feathernet
from featherseg.networks.laednet import laednet
from featherseg.networks.lighter_unet import light_unet, lighter_unet, unet_bilinear
from featherseg.networks.mnet import mnet
from featherseg.networks.names import did_you_mean
from featherseg.networks.nas_unet import nas_unet
from featherseg.networks.nested_unet import unetpp, unetpp_32, unetpp_transposed
from featherseg.networks.pyconv_unet import pyconv_unet
from featherseg.networks.resnet_attention_unet import resnet101_attention_unet
from featherseg.networks.simplified_unet import simplified_unet
from featherseg.networks.sk_unet import sk_unet
from featherseg.networks.transunet import transunet
from featherseg.networks.unet import unet, unet_1x1up
from featherseg.networks.unet3p import unet3p

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "unet_bilinear": unet_bilinear,
    "light_unet": light_unet,
    "lighter_unet_128": partial(lighter_unet, group_size=128),
    "lighter_unet_64": partial(lighter_unet, group_size=64),
    "lighter_unet_32": partial(lighter_unet, group_size=32),
    "lighter_unet_16": partial(lighter_unet, group_size=16),
    "lighter_unet_8": partial(lighter_unet, group_size=8),
    "lighter_unet_4": partial(lighter_unet, group_size=4),
    "lighter_unet_2": partial(lighter_unet, group_size=2),
    "lighter_unet_1": partial(lighter_unet, group_size=1),
    "fcn8s": fcn8s,
    "fcn16s": fcn16s,
    "fcn32s": fcn32s,
    "deeplabv3plus_resnet101": deeplabv3plus_resnet101,
    "deeplabv3plus_xception": deeplabv3plus_xception,
    "deeplabv3plus_mobilenetv2": deeplabv3plus_mobilenetv2,
    "laednet_s": partial(laednet, encoder="efficientnet_b0"),
    "laednet_m": partial(laednet, encoder="efficientnet_b3"),
    "laednet_l": partial(laednet, encoder="efficientnet_b7"),
    "unet_1x1up": unet_1x1up,
    "mnet": mnet,
    "unetpp_transposed": unetpp_transposed,
    "transunet": transunet,
    "nas_unet": nas_unet,
    "sk_unet": sk_unet,
    "alnet": alnet,
    "alnet_resnet34": alnet_resnet34,
    "alnet_aspp": alnet_aspp,
    "alnet_udecoder": alnet_udecoder,
    "repvgg_unet": repvgg_unet,
    "cenet": cenet,
    "unetpp_32": unetpp_32,
    "pyconv_unet": pyconv_unet,
    "simplified_unet": simplified_unet,
    "resnet101_attention_unet": resnet101_attention_unet,
    "unet": unet,
    "unetpp": unetpp,
    "unet3p": unet3p,
    "attention_unet": attention_unet,
    "feathernet_s": partial(feathernet, factors=(1, 2, 3, 3), depths=(1, 1, 1)),
    "feathernet_m": partial(feathernet, factors=(1, 2, 4, 4), depths=(2, 1, 2)),
}


def build_network(name: str, **options: Any) -> nn.Module:
    """Build a network of `NETWORKS` with random weights.

    Raises RecipeError for an unknown name (with the nearest ones), an option the network does
    not have, or a value it cannot take.
    """
    check_network_name(name)
    allowed = network_options(name)
    for option in options:
        if option not in allowed:
            raise RecipeError(
                f"{name} has no option '{option}'; it takes {', '.join(allowed)}"
                f"{did_you_mean(option, allowed)}"
            )
    return NETWORKS[name](**options)


def check_network_name(name: str) -> None:
    """Raise RecipeError where `name` is not in `NETWORKS`."""
    if name not in NETWORKS:
        raise RecipeError(
            f"unknown network '{name}'; `featherseg networks` lists them"
            f"{did_you_mean(name, NETWORKS)}"
        )


def network_options(name: str) -> dict[str, Any]:
    """The options that `build_network(name, ...)` takes, with their defaults.

    What a network's function has no default for is part of its name ("lighter_unet_16").
    """
    function = NETWORKS[name]
    plain = function.func if isinstance(function, partial) else function
    defaults = inspect.signature(plain).parameters
    return {
        key: value.default
        for key, value in inspect.signature(function).parameters.items()
        if defaults[key].default is not inspect.Parameter.empty
    }


__all__ = ["NETWORKS", "build_network", "check_network_name", "network_options"]

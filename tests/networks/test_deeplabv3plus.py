"""The wiring of DeepLab v3+, on small encoders, against a plain functional version."""

from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.xception_aligned import XceptionAligned
from torch import Tensor, nn
from torch.nn import functional as F

from featherseg.errors import RecipeError
from featherseg.networks import build_network
from featherseg.networks.deeplabv3plus import (
    DeepLab,
    dilate,
    entry_and_exit,
    fine_and_coarse,
)
from featherseg.networks.encoders import stages, timm_encoder


def block(state: dict[str, Tensor], prefix: str, features: Tensor, **options: Any) -> Tensor:
    """Convolution without bias, norm, ReLU."""
    assert f"{prefix}.convolutions.0.bias" not in state
    features = F.conv2d(features, state[f"{prefix}.convolutions.0.weight"], **options)
    mean, variance, gain, shift = (
        state[f"{prefix}.norm.{name}"].view(1, -1, 1, 1)
        for name in ("running_mean", "running_var", "weight", "bias")
    )
    return ((features - mean) / (variance + 1e-5).sqrt() * gain + shift).clamp(min=0)


def reference(state: dict[str, Tensor], fine: Tensor, coarse: Tensor, image: Tensor) -> Tensor:
    pyramid = [block(state, "pyramid.0.branches.0", coarse)]
    for place, rate in enumerate((6, 12, 18), start=1):
        pyramid.append(
            block(state, f"pyramid.0.branches.{place}", coarse, padding=rate, dilation=rate)
        )
    mean = block(state, "pyramid.0.mean", F.adaptive_avg_pool2d(coarse, 1))
    pyramid.append(F.interpolate(mean, coarse.shape[2:], mode="bilinear"))
    features = block(state, "pyramid.0.project", torch.cat(pyramid, 1))
    features = F.interpolate(features, fine.shape[2:], mode="bilinear")
    features = torch.cat((features, block(state, "low", fine)), 1)
    for place in (0, 2):
        features = block(state, f"decoder.{place}", features, padding=1)
    logits = F.conv2d(features, state["head.weight"], state["head.bias"])
    return F.interpolate(logits, image.shape[2:], mode="bilinear")


@pytest.mark.parametrize("size", [(64, 96), (75, 50)])
def test_wiring(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    encoder = timm_encoder("test_resnet", in_channels=3, taps=fine_and_coarse, output_stride=16)
    network = DeepLab(encoder, out_channels=2, dropout=0.5)
    for _ in range(2):
        network(torch.rand(2, 3, 64, 64))
    network.eval()
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        _, fine, _, _, coarse = stages(encoder.model, image)
        assert fine.shape[2:] == (-(-size[0] // 4), -(-size[1] // 4))
        assert coarse.shape[2:] == (-(-size[0] // 16), -(-size[1] // 16))
        expected = reference(network.state_dict(), fine, coarse, image)
        assert torch.allclose(network(image), expected, atol=1e-5)


def test_dropout() -> None:
    with torch.device("meta"):
        networks = [
            build_network("deeplabv3plus_mobilenetv2", **options)
            for options in ({}, {"dropout": 0.0})
        ]
    rates = [
        [module.p for name, module in network.named_modules() if type(module) is nn.Dropout]
        for network in networks
    ]
    assert rates == [[0.5, 0.5, 0.1], [0.0, 0.0, 0.0]]


def test_multi_grid_dilates_the_last_three_blocks() -> None:
    with torch.device("meta"):
        network = build_network("deeplabv3plus_resnet101")
    model = network.get_submodule("encoder.model")
    for name, rates in (("layer3", [1] * 23), ("layer4", [2, 4, 8])):
        spatial = [block.get_submodule("conv2") for block in model.get_submodule(name).children()]
        assert [layer.dilation for layer in spatial] == [(rate, rate) for rate in rates]
        assert [layer.padding for layer in spatial] == [(rate, rate) for rate in rates]
    assert model.get_submodule("layer4.0.conv1").dilation == (1, 1)
    with pytest.raises(ValueError, match="longer"):
        dilate(model.get_submodule("layer4"), (2, 4, 8, 16))


def test_xception_gives_the_first_blocks_output_and_the_last() -> None:
    torch.manual_seed(0)
    model: Any = XceptionAligned(
        [
            {"in_chs": 64, "out_chs": 6, "stride": 2},
            {"in_chs": 6, "out_chs": 8, "stride": 2},
            {"in_chs": 8, "out_chs": (8, 8, 10), "stride": 1, "no_skip": True},
        ],
        num_classes=0,
        global_pool="",
    )
    model.eval()
    image = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        fine, coarse = entry_and_exit(model, image)
        assert torch.equal(coarse, model.forward_features(image))
        entry = model.blocks[0](model.stem(image))
    assert entry.min() < 0
    assert torch.equal(fine, entry.clamp(min=0))
    assert fine.shape == (1, 6, 8, 12)


def test_parameters_with_other_channels() -> None:
    # The first layers have 64, 32 and 32 filters; the last one 256 weights and a bias.
    counts = {"resnet101": (59_339_169, 49 * 64), "xception": (54_700_177, 9 * 32)}
    counts["mobilenetv2"] = (5_810_913, 9 * 32)
    for encoder, (count, per_input) in counts.items():
        with torch.device("meta"):
            network = build_network(f"deeplabv3plus_{encoder}", in_channels=1, out_channels=2)
        parameters = sum(value.numel() for value in network.parameters())
        assert parameters == count - 2 * per_input + 257


def test_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"dropout must be in \[0, 1\), got 1"):
        build_network("deeplabv3plus_mobilenetv2", dropout=1)
    with pytest.raises(RecipeError, match=r"none\.safetensors: pretrained expects true, false or"):
        build_network("deeplabv3plus_mobilenetv2", pretrained=str(tmp_path / "none.safetensors"))

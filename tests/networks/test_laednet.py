"""LAEDNet against a functional decoder on timm's blocks, the papers' sizes, and its options."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherseg.compress.cost import count_parameters, count_running_statistics
from featherseg.errors import RecipeError
from featherseg.networks import build_network
from featherseg.networks.laednet import LaedNet, laednet
from tests.networks.reference import State, conv, moved, normalized

# Of each encoder: trainable values, running statistics, channels of its seven blocks (Table 1).
ENCODERS = {
    "laednet_s": (3_595_388, 39_456, (16, 24, 40, 80, 112, 192, 320)),
    "laednet_m": (10_103_336, 84_224, (24, 32, 48, 96, 136, 232, 384)),
    "laednet_l": (62_143_440, 305_600, (32, 48, 80, 160, 224, 384, 640)),
}


def attended(state: State, prefix: str, features: Tensor) -> Tensor:
    """Equations 3 and 4."""
    mean = features.mean((2, 3), keepdim=True)
    hidden = conv(state, f"{prefix}.weights.squeeze", mean).clamp(min=0)
    weights = conv(state, f"{prefix}.weights.excite", hidden).sigmoid()
    return features * (1 + weights)


def fused_block(state: State, prefix: str, features: Tensor, groups: int) -> Tensor:
    weight = state[f"{prefix}.convolutions.0.weight"]
    features = F.conv2d(features, weight, padding=weight.shape[2] // 2, groups=groups)
    return normalized(state, f"{prefix}.norm", features).clamp(min=0)


def lrse(state: State, prefix: str, features: Tensor, skip: Tensor, position: str) -> Tensor:
    if features.shape[2:] != skip.shape[2:]:
        features = F.interpolate(features, skip.shape[2:], mode="bilinear")
    joined = torch.cat((features, skip), 1)
    joined = fused_block(state, f"{prefix}.depthwise", joined, groups=joined.shape[1])
    if position == "fused":
        joined = attended(state, f"{prefix}.fused_attention", joined)
    output = fused_block(state, f"{prefix}.pointwise", joined, groups=1)
    if position == "output":
        output = attended(state, f"{prefix}.output_attention", output)
    return output


def reference(network: nn.Module, image: Tensor, position: str) -> Tensor:
    """The decoder on what timm's blocks are seen to give."""
    seen: list[Tensor] = []
    blocks = network.get_submodule("encoder.model.blocks").children()
    handles = [
        block.register_forward_hook(lambda _, __, output: seen.append(output)) for block in blocks
    ]
    network(image)
    for handle in handles:
        handle.remove()
    state = network.state_dict()
    features = seen.pop()
    for place, skip in enumerate(reversed(seen)):
        features = lrse(state, f"decoder.{place}", features, skip, position)
    return F.interpolate(conv(state, "head", features), image.shape[2:], mode="bilinear")


@pytest.mark.parametrize("position", ["output", "fused", "none"])
@pytest.mark.parametrize("size", [(64, 96), (75, 50)])
def test_wiring(position: str, size: tuple[int, int]) -> None:
    options = {"use_se": False} if position == "none" else {"se_position": position}
    network = moved("laednet_s", **options, out_channels=2)
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        expected = reference(network, image, position)
        assert torch.allclose(network(image), expected, atol=1e-5)


def test_features_are_raised_before_lrse_5_3_2_and_1() -> None:
    with torch.device("meta"):
        network = laednet(encoder="efficientnet_b3")
    assert network.is_raised == [False, True, False, True, True, True]


def decoder_size(channels: tuple[int, ...], position: str) -> tuple[int, int]:
    """Trainable values and running statistics of six LRSEs and the last convolution."""
    trainable, statistics = channels[0] + 1, 0
    for skip, deeper in pairwise(channels):
        fused = skip + deeper
        trainable += 9 * fused + fused * skip + 2 * (fused + skip)
        statistics += 2 * (fused + skip)
        if position == "output":
            trainable += skip * (skip + 1) + skip * (skip + 1)
        elif position == "fused":
            trainable += fused // 4 * (fused + 1) + fused * (fused // 4 + 1)
    return trainable, statistics


@pytest.mark.parametrize(
    ("name", "position", "published", "percent"),
    [
        ("laednet_s", "output", 4.03, 3.0),
        ("laednet_m", "output", 10.75, 3.0),
        ("laednet_l", "output", 63.25, 0.6),
        ("laednet_s", "fused", 4.03, 0.5),
        ("laednet_m", "fused", 10.75, 0.5),
        ("laednet_l", "fused", 63.25, 1.2),
        ("laednet_m", "none", 10.45, 0.2),
    ],
)
def test_sizes(name: str, position: str, published: float, percent: float) -> None:
    options = {"use_se": False} if position == "none" else {"se_position": position}
    with torch.device("meta"):
        network = build_network(name, **options)
    trainable, statistics, channels = ENCODERS[name]
    more, others = decoder_size(channels, position)
    assert count_parameters(network) == trainable + more
    assert count_running_statistics(network) == statistics + others
    total = trainable + statistics + more + others
    assert 1e6 * published == pytest.approx(total, rel=percent / 100)


@pytest.mark.parametrize("encoder", ["test_resnet", "test_efficientnet", "mobilenetv3_small_050"])
def test_any_encoder_of_five_stages(encoder: str) -> None:
    network = laednet(encoder=encoder, drop_path=0.0).eval()
    assert network.is_raised == [True] * 4
    assert network.head.in_channels == network.encoder.channels[0]
    for size in ((64, 96), (45, 70)):
        assert network(torch.rand(1, 3, *size)).shape == (1, 1, *size)


def test_paths_are_dropped_in_training_only() -> None:
    torch.manual_seed(0)
    image = torch.rand(4, 3, 32, 32)
    dropping = build_network("laednet_s")
    assert not torch.equal(dropping(image), dropping(image))
    assert torch.equal(dropping.eval()(image), dropping(image))
    keeping = build_network("laednet_s", drop_path=0.0)
    assert torch.equal(keeping(image), keeping(image))


def test_the_default_drops_as_efficientnets_do() -> None:
    with torch.device("meta"):
        network = laednet()
    # Of the 16 inverted residuals, counted from 0, 14 is the last that adds its input.
    dropped = network.get_submodule("encoder.model.blocks.5.3.drop_path")
    assert getattr(dropped, "drop_prob", None) == pytest.approx(0.2 * 14 / 16)


def test_the_encoder_takes_weights_of_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    other = laednet(encoder="test_efficientnet")
    path = tmp_path / "encoder.safetensors"
    safetensors.torch.save_file(other.encoder.model.state_dict(), path)
    network = laednet(encoder="test_efficientnet", pretrained=path)
    assert isinstance(network, LaedNet)
    loaded, expected = network.encoder.state_dict(), other.encoder.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in expected.items())
    assert not torch.equal(network.head.weight, other.head.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"se_position": "ouput"}, "output or fused, got 'ouput'; did you mean output"),
        ({"drop_path": 1.0}, r"laednet: drop_path must be in \[0, 1\), got 1.0"),
        ({"encoder": "convnext_atto"}, "expected an encoder with 5 or 6 or 7 stages, got 4"),
        ({"encoder": "efficientnet_b9"}, "timm has no encoder 'efficientnet_b9'.*did you mean"),
        ({"encoder": "dla34"}, "timm's dla34 does not take every option .*drop_path_rate"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_network("laednet_s", **options)

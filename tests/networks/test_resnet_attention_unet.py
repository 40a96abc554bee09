"""The wiring of the teacher against a functional version; its counts and options."""

import pytest
import timm
import torch
from monai.networks.nets.attentionunet import UpConv
from torch import Tensor
from torch.nn import functional as F

from featherseg.compress.cost import count_macs, count_parameters
from featherseg.errors import ImageError, RecipeError
from featherseg.networks import build_network
from featherseg.networks.resnet_attention_unet import transposed3x3
from tests.networks.reference import State, block, conv, linear_block, normalized, pair, repeated

NAME = "resnet101_attention_unet"
SMALL = "test_resnet"


def raised(state: State, level: int, features: Tensor, upsampling: str) -> Tensor:
    if upsampling == "resize":
        return block(state, f"up.{level}.1", repeated(features))
    weight, bias = (state[f"up.{level}.convolutions.0.{name}"] for name in ("weight", "bias"))
    # Every input pixel lands on an even row and column; the kernel is applied reversed.
    spread = features.new_zeros(*features.shape[:2], *(2 * side for side in features.shape[2:]))
    spread[:, :, ::2, ::2] = features
    features = F.conv2d(spread, weight.transpose(0, 1).flip(2, 3), bias, padding=1)
    return normalized(state, f"up.{level}.norm", features).clamp(min=0)


def reference(state: State, stages: list[Tensor], upsampling: str) -> Tensor:
    features = stages.pop()
    for level in range(4):
        signal = raised(state, level, features, upsampling)
        skip = stages.pop()
        summed = linear_block(state, f"gates.{level}.signal", signal)
        summed = summed + linear_block(state, f"gates.{level}.skip", skip)
        weight = linear_block(state, f"gates.{level}.weight", summed.clamp(min=0)).sigmoid()
        features = pair(state, f"decoder.{level}", torch.cat((skip * weight, signal), 1))
    logits = conv(state, "head", features)
    return F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)


@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
def test_wiring(upsampling: str) -> None:
    torch.manual_seed(0)
    network = build_network(NAME, encoder=SMALL, upsampling=upsampling)
    for _ in range(2):
        network(torch.rand(2, 3, 64, 64))
    network.eval()
    image = torch.rand(2, 3, 64, 96)
    encoder = timm.create_model(SMALL, features_only=True).eval()
    state = network.state_dict()
    prefix = "encoder.model."
    own = {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
    encoder.load_state_dict(own)
    with torch.no_grad():
        expected = reference(state, encoder(image), upsampling)
        assert torch.allclose(network(image), expected, atol=1e-5)


def test_transposed_up_sampling_is_that_of_monais_attention_unet() -> None:
    torch.manual_seed(0)
    ours, theirs = transposed3x3(6, 4), UpConv(2, 6, 4)
    ours.convolutions[0].load_state_dict(theirs.up.get_submodule("conv").state_dict())
    features = torch.randn(2, 6, 5, 7)
    assert torch.allclose(ours(features), theirs(features), atol=1e-6)


def test_transposed_up_sampling_has_as_many_parameters() -> None:
    with torch.device("meta"):
        network = build_network(NAME, upsampling="transposed")
    assert count_parameters(network) == 106_093_357
    assert count_macs(network, (512, 512)) / 1e9 == pytest.approx(155.38, abs=0.005)


def test_parameters_of_encoder_and_decoder() -> None:
    with torch.device("meta"):
        network = build_network(NAME)
    encoder = network.get_submodule("encoder")
    assert count_parameters(encoder) == 42_500_160
    decoder = 64 + 1
    for below, channels in ((2048, 1024), (1024, 512), (512, 256), (256, 64)):
        decoder += 9 * below * channels + 3 * channels
        decoder += 27 * channels * channels + 6 * channels
        inner = channels // 2
        decoder += 2 * (channels * inner + 3 * inner) + (inner + 3)
    assert count_parameters(network) - count_parameters(encoder) == decoder


def test_options_that_cannot_be() -> None:
    with pytest.raises(
        RecipeError, match=r"must be resize or transposed, got 'transpose'; did you mean transposed"
    ):
        build_network(NAME, upsampling="transpose")
    with pytest.raises(RecipeError, match="expected an encoder with 5 stages, got 4"):
        build_network(NAME, encoder="test_convnext")
    with pytest.raises(ImageError, match=r"multiples of 32, got 48x64; pad to 64x64"):
        build_network(NAME, encoder=SMALL)(torch.rand(1, 3, 48, 64))

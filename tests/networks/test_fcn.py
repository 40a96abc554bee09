"""The wiring of the FCNs, on a narrow VGG, against a plain functional version."""

from typing import Any

import pytest
import torch
from timm.models.vgg import VGG
from torch import Tensor
from torch.nn import functional as F

from featherseg.errors import RecipeError
from featherseg.networks import fcn
from featherseg.networks.encoders import Encoder

# Convolutions and pools ("M") as in VGG-11, narrow.
LAYERS: list[int | str] = [2, "M", 3, "M", 4, 4, "M", 5, 5, "M", 6, 6, "M"]
SKIPS = {"fcn8s": 2, "fcn16s": 1, "fcn32s": 0}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Build narrow encoders; gives the options with which encoders were asked for."""
    calls: list[dict[str, Any]] = []

    def narrow(name: str, *, in_channels: int, taps: Any, **options: Any) -> Encoder:
        calls.append({"name": name, "in_channels": in_channels, **options})
        model = VGG(LAYERS, num_classes=0, in_chans=in_channels, global_pool="")
        model.prune_intermediate_layers(5)
        return Encoder(model, in_channels=in_channels, taps=taps)

    monkeypatch.setattr(fcn, "timm_encoder", narrow)
    return calls


def reference(state: dict[str, Tensor], image: Tensor, skips: int) -> Tensor:
    pools, features, place = [], image, 0
    for layer in LAYERS:
        prefix = f"encoder.model.features.{place}"
        if layer == "M":
            features = F.max_pool2d(features, 2)
            pools.append(features)
            place += 1
        else:
            weight, bias = state[f"{prefix}.weight"], state[f"{prefix}.bias"]
            features = F.conv2d(features, weight, bias, padding=1).clamp(min=0)
            place += 2
    added = [pools[3], pools[2]][:skips]
    for level in range(5):
        prefix = f"decoder.{level}"
        weight, bias = (state[f"{prefix}.convolution.{name}"] for name in ("weight", "bias"))
        # A transposed convolution is a convolution of the map with zeros between its pixels.
        spread = torch.zeros(*features.shape[:2], *(2 * side for side in features.shape[2:]))
        spread[:, :, ::2, ::2] = features
        turned = weight.transpose(0, 1).flip(2, 3)
        features = F.conv2d(spread, turned, bias, padding=1).clamp(min=0)
        if added:
            skip = added.pop(0)
            features = F.interpolate(features, skip.shape[2:], mode="bilinear") + skip
        mean, variance, gain, shift = (
            state[f"{prefix}.norm.{name}"].view(1, -1, 1, 1)
            for name in ("running_mean", "running_var", "weight", "bias")
        )
        features = (features - mean) / (variance + 1e-5).sqrt() * gain + shift
    logits = F.conv2d(features, state["head.weight"], state["head.bias"])
    return F.interpolate(logits, image.shape[2:], mode="bilinear")


@pytest.mark.parametrize("name", SKIPS)
@pytest.mark.parametrize("size", [(64, 96), (75, 50)])
def test_wiring(name: str, size: tuple[int, int], asked: list[dict[str, Any]]) -> None:
    torch.manual_seed(0)
    network = getattr(fcn, name)(out_channels=2)
    for _ in range(2):
        network(torch.rand(2, 3, 64, 64))
    network.eval()
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        expected = reference(network.state_dict(), image, SKIPS[name])
        assert torch.allclose(network(image), expected, atol=1e-5)
    assert len(asked) == 1


def test_the_encoder_is_vgg16_with_the_weights_asked_for(asked: list[dict[str, Any]]) -> None:
    fcn.fcn8s(in_channels=1, pretrained="weights.safetensors")
    assert asked == [{"name": "vgg16", "in_channels": 1, "pretrained": "weights.safetensors"}]


def test_parameters_with_other_channels() -> None:
    # VGG-16's first layer has 64 filters of 3x3; the last layer has 32 weights and a bias.
    for inputs, outputs, count in ((3, 2, 18_643_746), (1, 1, 18_643_713 - 2 * 9 * 64)):
        with torch.device("meta"):
            network = fcn.fcn16s(in_channels=inputs, out_channels=outputs)
        assert sum(value.numel() for value in network.parameters()) == count


def test_channels_are_checked(asked: list[dict[str, Any]]) -> None:
    with pytest.raises(RecipeError, match="in_channels must be a positive integer, got 0"):
        fcn.fcn8s(in_channels=0)
    with pytest.raises(RecipeError, match="out_channels must be a positive integer, got -1"):
        fcn.fcn8s(out_channels=-1)
    assert len(asked) == 1

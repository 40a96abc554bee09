"""Encoders from timm: taps, folding, and convolutions that are safe to train."""

from typing import Any

import pytest
import timm
import torch
from torch import nn

from featherseg.errors import RecipeError
from featherseg.networks.encoders import (
    Encoder,
    SubsampledConv2d,
    blocks,
    check_stages,
    stages,
    timm_encoder,
)

TINY = "test_resnet"


def test_features_are_those_of_timm() -> None:
    torch.manual_seed(0)
    encoder = timm_encoder(TINY, in_channels=3).eval()
    reference = timm.create_model(TINY, features_only=True).eval()
    state = {key.removeprefix("model."): value for key, value in encoder.state_dict().items()}
    reference.load_state_dict(state)
    image = torch.rand(2, 3, 64, 96)
    for features, expected, channels, reduction in zip(
        encoder(image), reference(image), encoder.channels, encoder.reductions, strict=True
    ):
        assert torch.equal(features, expected)
        assert features.shape == (2, channels, 64 // reduction, 96 // reduction)


def test_blocks_of_an_efficientnet_are_tapped_one_by_one() -> None:
    encoder = timm_encoder("efficientnet_b0", in_channels=3, taps=blocks)
    assert encoder.channels == [16, 24, 40, 80, 112, 192, 320]
    assert encoder.reductions == [2, 4, 8, 16, 16, 32, 32]
    # The trainable values of EfficientNet-B0 without its last 1x1 convolution and classifier.
    assert sum(value.numel() for value in encoder.parameters()) == 3_595_388


def test_unknown_and_unfit_encoders() -> None:
    with pytest.raises(
        RecipeError, match=r"timm has no encoder 'resnet35'.*did you mean resnet50 or resnet34"
    ):
        timm_encoder("resnet35", in_channels=3)
    with pytest.raises(RecipeError, match="gives no feature maps of several sizes"):
        timm_encoder("vit_tiny_patch16_224", in_channels=3)
    with pytest.raises(RecipeError, match="net: expected an encoder with 5 stages, got 4"):
        check_stages("net", timm_encoder("convnext_atto", in_channels=3), 5)


@pytest.mark.parametrize("taps", [stages, blocks])
def test_folding_leaves_no_norm_and_the_original_as_it_was(taps: Any) -> None:
    torch.manual_seed(0)
    name = "test_efficientnet" if taps is blocks else TINY
    encoder = timm_encoder(name, in_channels=2, taps=taps).double()
    for _ in range(3):
        encoder(torch.rand(2, 2, 64, 64, dtype=torch.float64) - 0.3)
    encoder.eval()
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())
    fused = encoder.fused()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in encoder.modules()) == norms > 5
    image = torch.rand(1, 2, 96, 64, dtype=torch.float64)
    for folded, plain in zip(fused(image), encoder(image), strict=True):
        assert torch.allclose(folded, plain, rtol=1e-10, atol=1e-12)


def test_a_norm_after_an_activation_in_place_is_not_folded() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 4, 3, padding=1)
            self.activation = nn.ReLU(inplace=True)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.norm(self.activation(self.convolution(image)))
            return output

    encoder = Encoder(Odd(), in_channels=3, taps=lambda model, image: [model(image)])
    assert isinstance(encoder.fused().get_submodule("model.norm"), nn.BatchNorm2d)


def test_strided_pointwise_convolutions_of_few_channels_are_subsampled() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1, stride=2), nn.Conv2d(8, 32, 3, padding=1), nn.Conv2d(32, 4, 1, stride=2)
    )
    reference = [value.detach().clone().requires_grad_() for value in model[0].parameters()]
    encoder = Encoder(model, in_channels=3, taps=lambda net, image: [net[0](image)])
    first, _, last = model
    assert isinstance(first, SubsampledConv2d)
    assert type(last) is nn.Conv2d
    image = torch.rand(2, 3, 7, 10, requires_grad=True)
    twin = image.detach().clone().requires_grad_()
    (features,) = encoder(image)
    expected = nn.functional.conv2d(twin, reference[0], reference[1], stride=2)
    assert torch.allclose(features, expected, atol=1e-6)
    torch.autograd.backward(features.square().sum())
    torch.autograd.backward(expected.square().sum())
    assert image.grad is not None
    assert twin.grad is not None
    assert torch.allclose(image.grad, twin.grad, atol=1e-5)
    for value, other in zip(first.parameters(), reference, strict=True):
        assert value.grad is not None
        assert other.grad is not None
        assert torch.allclose(value.grad, other.grad, atol=1e-4)

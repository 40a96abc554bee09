"""The gate against MONAI's, the wiring of Attention U-Net against a functional version."""

import torch
from monai.networks.nets.attentionunet import AttentionBlock
from torch import Tensor

from featherseg.compress.cost import count_parameters
from featherseg.networks import build_network
from featherseg.networks.attention_unet import AttentionGate
from tests.networks.reference import (
    State,
    block,
    conv,
    encoded,
    linear_block,
    moved,
    pair,
    repeated,
)


def test_gate_equals_monais() -> None:
    torch.manual_seed(0)
    ours = AttentionGate(6)
    theirs = AttentionBlock(spatial_dims=2, f_int=3, f_g=6, f_l=6)
    for mine, other in (
        (ours.signal, theirs.W_g),
        (ours.skip, theirs.W_x),
        (ours.weight, theirs.psi),
    ):
        mine.convolutions[0].load_state_dict(other[0].get_submodule("conv").state_dict())
        mine.norm.load_state_dict(other[1].state_dict())
    skip, signal = torch.randn(2, 2, 6, 8, 10)
    for _ in range(2):
        expected = theirs(g=signal, x=skip)
        assert torch.allclose(ours(skip, signal), expected, atol=1e-6)
    # Skip and signal are not interchangeable, and the running statistics moved alike.
    ours.eval(), theirs.eval()
    assert torch.allclose(ours(skip, signal), theirs(g=signal, x=skip), atol=1e-6)
    assert not torch.allclose(ours(signal, skip), theirs(g=signal, x=skip), atol=1e-2)


def gated(state: State, prefix: str, skip: Tensor, signal: Tensor) -> Tensor:
    summed = linear_block(state, f"{prefix}.signal", signal)
    summed = summed + linear_block(state, f"{prefix}.skip", skip)
    return skip * linear_block(state, f"{prefix}.weight", summed.clamp(min=0)).sigmoid()


def reference(state: State, image: Tensor) -> Tensor:
    levels = encoded(state, image)
    features = levels.pop()
    for level in range(4):
        raised = block(state, f"up.{level}.1", repeated(features))
        skip = gated(state, f"gates.{level}", levels.pop(), raised)
        features = pair(state, f"decoder.{level}", torch.cat((skip, raised), 1))
    return conv(state, "head", features)


def test_wiring() -> None:
    network = moved("attention_unet", width=4)
    image = torch.rand(2, 3, 48, 32)
    with torch.no_grad():
        expected = reference(network.state_dict(), image)
        assert torch.allclose(network(image), expected, atol=1e-5)


def test_parameters_above_unets_are_the_gates() -> None:
    for width in (64, 6):
        with torch.device("meta"):
            gated, plain = (build_network(name, width=width) for name in ("attention_unet", "unet"))
        # Two 1x1 convolutions to half the channels, each with norm, and one to a single map.
        expected = 0
        for channels in (width, 2 * width, 4 * width, 8 * width):
            inner = channels // 2
            expected += 2 * (channels * inner + 3 * inner) + (inner + 3)
        assert count_parameters(gated) - count_parameters(plain) == expected


def test_the_narrowest() -> None:
    network = build_network("attention_unet", width=1).eval()
    assert network(torch.rand(1, 3, 16, 32)).shape == (1, 1, 16, 32)

"""The wiring of the Simplified U-Net against a plain functional version read off Figure 5."""

import torch
from torch import Tensor
from torch.nn import functional as F

from featherseg.networks import build_network

State = dict[str, Tensor]


def conv_block(state: State, prefix: str, features: Tensor) -> Tensor:
    weight, bias = (state[f"{prefix}.convolutions.0.{name}"] for name in ("weight", "bias"))
    features = F.conv2d(features, weight, bias, padding=1)
    mean, variance, gain, shift = (
        state[f"{prefix}.norm.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
    )
    return F.relu(F.batch_norm(features, mean, variance, gain, shift))


def pair(state: State, prefix: str, features: Tensor) -> Tensor:
    return conv_block(state, f"{prefix}.1", conv_block(state, f"{prefix}.0", features))


def reference(state: State, image: Tensor) -> Tensor:
    levels = [pair(state, "encoder.0", image)]
    for level in range(1, 5):
        levels.append(pair(state, f"encoder.{level}", F.max_pool2d(levels[-1], 2)))
    features = levels.pop()
    for level in range(4):
        doubled = features.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        raised = conv_block(state, f"up.{level}.1", doubled)
        features = pair(state, f"decoder.{level}", torch.cat((levels.pop(), raised), 1))
    return F.conv2d(features, state["head.weight"], state["head.bias"])


def test_wiring() -> None:
    torch.manual_seed(0)
    network = build_network("simplified_unet", width=4)
    for _ in range(2):
        network(torch.rand(2, 3, 32, 32))
    network.eval()
    image = torch.rand(2, 3, 48, 32)
    with torch.no_grad():
        expected = reference(network.state_dict(), image)
        assert torch.allclose(network(image), expected, atol=1e-5)


def test_parameters_with_other_channels() -> None:
    counts = {(3, 2): 2_162_146, (1, 1): 2_161_841, (1, 2): 2_161_858}
    for (inputs, outputs), count in counts.items():
        with torch.device("meta"):
            network = build_network("simplified_unet", in_channels=inputs, out_channels=outputs)
        assert sum(value.numel() for value in network.parameters()) == count

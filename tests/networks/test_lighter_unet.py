"""The wiring of the Lighter U-nets against a plain functional version read off Figure 1."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from featherseg.networks import build_network

State = dict[str, Tensor]
EPS = 1e-5


def conv_set(state: State, prefix: str, features: Tensor, group_size: int | None) -> Tensor:
    """conv [1x1], norm, ReLU; `group_size` None is a regular convolution."""
    first = state[f"{prefix}.convolutions.0.weight"]
    groups = 1 if group_size is None else features.shape[1] // group_size
    assert first.shape[1] * groups == features.shape[1]
    features = F.conv2d(
        features, first, state[f"{prefix}.convolutions.0.bias"], padding=1, groups=groups
    )
    if group_size is not None:
        features = F.conv2d(
            features,
            state[f"{prefix}.convolutions.1.weight"],
            state[f"{prefix}.convolutions.1.bias"],
        )
    mean, variance, gain, shift = (
        state[f"{prefix}.norm.{name}"].view(1, -1, 1, 1)
        for name in ("running_mean", "running_var", "weight", "bias")
    )
    return ((features - mean) / (variance + EPS).sqrt() * gain + shift).clamp(min=0)


def stage(state: State, prefix: str, features: Tensor, sizes: tuple[int | None, ...]) -> Tensor:
    for place, size in enumerate(sizes):
        limited = None if size is None else min(size, features.shape[1])
        features = conv_set(state, f"{prefix}.{place}", features, limited)
    return features


def reference(state: State, image: Tensor, sizes: tuple[int | None, int | None]) -> Tensor:
    entry = sizes[0] if sizes[0] in (None, 1) else image.shape[1]
    levels = [stage(state, "encoder.0", image, (entry, sizes[1]))]
    for level in range(1, 5):
        levels.append(stage(state, f"encoder.{level}", F.max_pool2d(levels[-1], 2), sizes))
    features = levels.pop()
    for level in range(4):
        skip = levels.pop()
        raised = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=True)
        rows, columns = (skip.shape[axis] - raised.shape[axis] for axis in (2, 3))
        padded = torch.zeros_like(skip[:, :1]).repeat(1, raised.shape[1], 1, 1)
        top, left = rows // 2, columns // 2
        padded[:, :, top : top + raised.shape[2], left : left + raised.shape[3]] = raised
        features = stage(state, f"decoder.{level}", torch.cat((skip, padded), 1), sizes)
    return F.conv2d(features, state["head.weight"], state["head.bias"])


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("unet_bilinear", (None, None)),
        ("light_unet", (None, 1)),
        ("lighter_unet_128", (128, 128)),
        ("lighter_unet_4", (4, 4)),
        ("lighter_unet_2", (2, 2)),
        ("lighter_unet_1", (1, 1)),
    ],
)
@pytest.mark.parametrize("size", [(32, 48), (35, 54)])
def test_wiring(name: str, sizes: tuple[int | None, int | None], size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = build_network(name, width=8)
    for _ in range(2):
        network(torch.rand(2, 3, 32, 32))
    network.eval()
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        expected = reference(network.state_dict(), image, sizes)
        assert torch.allclose(network(image), expected, atol=1e-5)


def test_bottleneck_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 32, 32)
    network = build_network("light_unet", width=8)
    assert not torch.equal(network(image), network(image))
    assert torch.equal(network.eval()(image), network(image))
    assert build_network("unet_bilinear", width=8).get_submodule("dropout").p == 0.0

"""What every network must hold, whatever its paper; sizes are reduced by `width` for speed."""

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from featherseg.compress.card import card, count_macs, count_parameters, story
from featherseg.compress.fuse import fuse
from featherseg.errors import ImageError, RecipeError
from featherseg.export.models import write_onnx
from featherseg.losses import dice_bce
from featherseg.networks import NETWORKS, build_network, network_options
from featherseg.networks.published import PUBLISHED
from featherseg.preprocess import Preprocessing

# Trainable parameters for 3 inputs and 1 output, and 10^9 multiply-accumulates at the papers'
# size: the first as published, the second counted by hand from the layer tables.
EXPECTED = {
    "unet_bilinear": (17_267_393, 39.980),
    "light_unet": (11_000_257, 25.627),
    "lighter_unet_128": (7_944_661, 37.670),
    "lighter_unet_64": (4_995_541, 23.779),
    "lighter_unet_32": (3_465_685, 14.115),
    "lighter_unet_16": (2_700_757, 9.283),
    "lighter_unet_8": (2_318_293, 6.867),
    "lighter_unet_4": (2_127_061, 5.659),
    "lighter_unet_2": (2_031_445, 5.055),
    "lighter_unet_1": (1_983_583, 4.750),
    "simplified_unet": (2_162_129, 16.425),
}
# These refuse sides that are no multiples of 16; the others pad by themselves.
REFUSE_ODD_SIDES = {"simplified_unet"}
# The exporter takes seconds a network: one here, the others with the slow tests.
EXPORTED = ["simplified_unet"]
WIDTH = 8

every_network = pytest.mark.parametrize("name", NETWORKS)


def narrow(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_network(name, width=WIDTH, **options)


def moved(name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A network in eval mode whose running statistics are no longer 0 and 1."""
    network = narrow(name).to(dtype)
    for _ in range(3):
        network(2 * torch.rand(2, 3, 32, 32, dtype=dtype) - 0.5)
    return network.eval()


def relative_difference(first: Tensor, second: Tensor) -> float:
    return float(((first - second).abs().max() / second.abs().max()).detach())


def test_every_network_is_checked() -> None:
    assert list(EXPECTED) == list(NETWORKS) == list(PUBLISHED)


@every_network
def test_counts_are_the_papers(name: str) -> None:
    facts = card(name)
    parameters, gmacs = EXPECTED[name]
    assert facts["parameters"] == facts["reparameterized"] == parameters
    assert facts["gmacs"] == pytest.approx(gmacs, abs=5e-4)
    norms = (facts["total"] - parameters) // 2
    assert facts["fused"] == parameters - 2 * norms
    for row in facts["published"]:
        assert abs(row["difference_percent"]) <= (0 if facts["status"] == "exact" else 2)


@every_network
@pytest.mark.parametrize("size", [(16, 16), (32, 48), (64, 32)])
def test_size_is_kept(name: str, size: tuple[int, int]) -> None:
    assert narrow(name).eval()(torch.rand(2, 3, *size)).shape == (2, 1, *size)


@every_network
def test_other_sizes_are_padded_or_named(name: str) -> None:
    network = narrow(name).eval()
    image = torch.rand(1, 3, 50, 37)
    if name in REFUSE_ODD_SIDES:
        with pytest.raises(ImageError, match=r"multiples of 16, got 50x37; pad to 64x48"):
            network(image)
    else:
        assert network(image).shape == (1, 1, 50, 37)


@every_network
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 4), (5, 1)])
def test_channels(name: str, inputs: int, outputs: int) -> None:
    network = narrow(name, in_channels=inputs, out_channels=outputs).eval()
    assert network(torch.rand(1, inputs, 32, 32)).shape == (1, outputs, 32, 32)


@every_network
def test_backward_reaches_every_parameter(name: str) -> None:
    network = narrow(name)
    torch.autograd.backward(network(torch.rand(2, 3, 32, 32)).square().mean())
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        # A bias before a batch norm has no effect; every weight has one.
        if parameter_name.endswith("weight"):
            assert parameter.grad.abs().sum() > 0, parameter_name


@every_network
def test_overfits_one_small_batch(name: str) -> None:
    options = {"dropout": 0.0} if "dropout" in network_options(name) else {}
    network = narrow(name, **options)
    images = torch.rand(2, 3, 32, 32) / 4
    mask = torch.zeros(2, 32, 32, dtype=torch.long)
    mask[0, 4:20, 4:20] = mask[1, 12:28, 8:28] = 1
    images += 0.5 * mask.unsqueeze(1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(60):
        loss = dice_bce(network(images), mask)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert loss < 0.2


@every_network
def test_state_goes_through_safetensors(name: str, tmp_path: Path) -> None:
    network = moved(name)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "weights.safetensors")
    torch.manual_seed(1)
    other = build_network(name, width=WIDTH).eval()
    image = torch.rand(1, 3, 32, 32)
    assert not torch.equal(other(image), network(image))
    other.load_state_dict(safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(other(image), network(image))


@every_network
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_fused_equals_unfused(name: str, dtype: torch.dtype, limit: float) -> None:
    network = moved(name, dtype)
    before = copy.deepcopy(network.state_dict())
    fused = fuse(network)
    image = torch.rand(2, 3, 32, 48, dtype=dtype)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    assert relative_difference(fused(image), network(image)) < limit
    assert torch.equal(fuse(fused)(image), fused(image))
    after = network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_fusing_a_network_in_training_leaves_its_mode() -> None:
    network = narrow("simplified_unet").train()
    assert not fuse(network).training
    assert all(module.training for module in network.modules())


@pytest.mark.parametrize(
    "name",
    [name if name in EXPORTED else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS],
)
def test_onnx_equals_torch_at_two_sizes(name: str, tmp_path: Path) -> None:
    network = moved(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_onnx(network, Preprocessing((32, 32)), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for size in ((32, 32), (64, 48)):
        image = torch.rand(2, 3, *size)
        (logits,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
        assert np.allclose(logits, network(image).detach().numpy(), atol=1e-4)


@every_network
@pytest.mark.parametrize("option", ["in_channels", "out_channels", "width"])
@pytest.mark.parametrize("value", [0, -3, 1.5, True, "8"])
def test_widths_must_be_positive_integers(name: str, option: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=rf"{option} must be a positive integer, got"):
        build_network(name, **{option: value})


def test_unknown_names_and_options() -> None:
    with pytest.raises(
        RecipeError, match=r"unknown network 'simplified_une'; .*; did you mean simplif"
    ):
        build_network("simplified_une")
    with pytest.raises(RecipeError, match=r"no option 'widht'; it takes .*; did you mean width"):
        build_network("light_unet", widht=3)
    with pytest.raises(RecipeError, match="has no option 'group_size'"):
        build_network("lighter_unet_16", group_size=3)
    with pytest.raises(RecipeError, match=r"dropout must be in \[0, 1\), got 1"):
        build_network("light_unet", dropout=1)
    with pytest.raises(RecipeError, match="the group size 16 must divide the 24 channels"):
        build_network("lighter_unet_16", width=12)


def test_stories_name_paper_departures_and_checks() -> None:
    for name in NETWORKS:
        for heading in ("Paper:", "Departures from the paper:", "Checked against the paper:"):
            assert heading in story(name)


def test_macs_of_every_kind_of_layer() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, stride=2, groups=1),  # 8 * 3 * 9 * (4 * 6)
        nn.Conv2d(8, 8, 3, padding=1, groups=4),  # 8 * 2 * 9 * (4 * 6)
        nn.ConvTranspose2d(8, 4, 2, stride=2),  # 8 * 4 * 4 * (4 * 6)
        nn.Linear(12, 5),  # 12 * 5 * (4 * 8)
    ).to("meta")
    assert count_macs(network, (8, 12)) == 24 * (216 + 144 + 128) + 60 * 32
    assert count_parameters(network) == 8 * 27 + 8 + 8 * 18 + 8 + 8 * 16 + 4 + 65

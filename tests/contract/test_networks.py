"""What every network must hold, whatever its paper; options make them small for speed."""

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from featherseg.compress.card import card, layers, story
from featherseg.compress.cost import count_macs, count_parameters
from featherseg.compress.fuse import fuse, reparameterize
from featherseg.errors import ImageError, RecipeError
from featherseg.export.models import write_onnx
from featherseg.losses import dice_bce
from featherseg.networks import NETWORKS, build_network, network_options
from featherseg.networks.published import PUBLISHED
from featherseg.preprocess import Preprocessing
from tests.contract.entries import ENTRIES

# The exporter takes seconds a network: one here, the others with the slow tests.
EXPORTED = ["simplified_unet"]
# Their norms follow an activation, and stay.
KEEPS_NORMS = {"fcn8s", "fcn16s", "fcn32s"}
# Of networks that the papers describe in part, how far the size may be off, in percent.
FIT_PERCENT = 3.0
# The paper's own columns disagree, as the card's note says.
CONTRADICTED = {("deeplabv3plus_resnet101", "section 4.1"), ("unet3p", "Table I")}
MATCH_PERCENT = 0.1
OVERFITTED = 0.2
MOST_STEPS = 100

every_network = pytest.mark.parametrize("name", NETWORKS)
# Their behavior; those that no option makes small run with the slow tests.
every_behavior = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if ENTRIES[name].is_slow else [])
        for name in NETWORKS
    ],
)


def small(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_network(name, **(ENTRIES[name].small | options))


def square(name: str, count: int = 1, channels: int = 3) -> Tensor:
    side = 2 * ENTRIES[name].side
    return torch.rand(count, channels, side, side)


def moved(name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A network in eval mode whose running statistics are no longer 0 and 1."""
    network = small(name).to(dtype)
    for _ in range(3):
        network(2 * square(name, 2).to(dtype) - 0.5)
    return network.eval()


def answers(network: nn.Module, image: Tensor) -> tuple[Tensor, ...]:
    """The logits, and those of presence where the network has such a head."""
    with_presence = getattr(network, "forward_with_presence", None)
    return (network(image),) if with_presence is None else tuple(with_presence(image))


def relative_difference(first: Tensor, second: Tensor) -> float:
    return float(((first - second).abs().max() / second.abs().max()).detach())


def test_every_network_is_checked() -> None:
    assert list(ENTRIES) == list(NETWORKS) == list(PUBLISHED)


@every_network
def test_counts_are_the_papers(name: str) -> None:
    facts, entry = card(name), ENTRIES[name]
    assert facts["parameters"] == entry.parameters
    assert facts["gmacs"] == pytest.approx(entry.gmacs, rel=0.005)
    assert facts["reparameterized"] == (entry.reparameterized or entry.parameters)
    assert facts["total"] == (entry.total or facts["total"]) >= entry.parameters
    assert facts["fused"] == (entry.fused or facts["fused"]) <= facts["reparameterized"]


@every_network
def test_differences_fit_the_status(name: str) -> None:
    facts = card(name)
    for row in facts["published"]:
        # The digits printed: 2.2 M stands for 2.15 to 2.25 M.
        digits = f"{row['parameters']:.15g}".rstrip("0")
        half_a_digit = 50 * 10.0 ** (len(str(row["parameters"])) - len(digits))
        off = abs(row["difference_percent"])
        if facts["status"] == "exact":
            assert off == 0
        elif facts["status"] == "match" and (name, row["table"]) not in CONTRADICTED:
            assert off <= max(MATCH_PERCENT, half_a_digit / row["parameters"] * 100)
        elif facts["status"] == "fit":
            assert off <= FIT_PERCENT
        else:
            assert facts["note"]


@every_behavior
def test_size_is_kept(name: str) -> None:
    side = ENTRIES[name].side
    network = small(name).eval()
    for size in ((side, side), (2 * side, 3 * side), (3 * side, 2 * side)):
        assert network(torch.rand(2, 3, *size)).shape == (2, 1, *size)


@every_behavior
def test_other_sizes_are_taken_or_named(name: str) -> None:
    network = small(name).eval()
    multiple = ENTRIES[name].multiple
    image = torch.rand(1, 3, 50, 37)
    if multiple == 1:
        assert network(image).shape == (1, 1, 50, 37)
    else:
        padded = "x".join(str(-(-side // multiple) * multiple) for side in (50, 37))
        with pytest.raises(
            ImageError, match=f"multiples of {multiple}, got 50x37; pad to {padded}"
        ):
            network(image)


@every_behavior
def test_train_mode_gives_the_same_shape(name: str) -> None:
    image = square(name, 2)
    output = small(name).train()(image)
    assert isinstance(output, Tensor)
    assert output.shape == (2, 1, *image.shape[2:])


@every_behavior
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 4), (5, 1)])
def test_channels(name: str, inputs: int, outputs: int) -> None:
    network = small(name, in_channels=inputs, out_channels=outputs).eval()
    image = square(name, 1, inputs)
    assert network(image).shape == (1, outputs, *image.shape[2:])


@every_behavior
def test_backward_reaches_every_parameter(name: str) -> None:
    network = small(name)
    # Residual branches of timm's networks start with a factor of 0, which stops gradients.
    with torch.no_grad():
        for parameter_name, parameter in network.named_parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
            # Few hidden units, all behind a ReLU, may be silent by chance.
            if parameter_name.endswith("squeeze.bias"):
                parameter.fill_(3.0)
    means = [answer.square().mean() for answer in answers(network, square(name, 2))]
    torch.autograd.backward(torch.stack(means).sum())
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        # A bias before a batch norm has no effect; every weight has one.
        if parameter_name.endswith("weight"):
            assert parameter.grad.abs().sum() > 0, parameter_name


@every_behavior
def test_overfits_one_small_batch(name: str) -> None:
    options = {key: 0.0 for key in network_options(name) if key.startswith("drop")}
    network = small(name, **options)
    images = square(name, 2) / 4
    side = images.shape[2]
    mask = torch.zeros(2, side, side, dtype=torch.long)
    mask[0, side // 8 : side // 2, side // 8 : side // 2] = 1
    mask[1, side // 2 :, side // 4 :] = 1
    images += 0.5 * mask.unsqueeze(1)
    optimizer = torch.optim.Adam(network.parameters(), lr=ENTRIES[name].lr)
    losses: list[float] = []
    while not losses or losses[-1] > OVERFITTED:
        assert len(losses) < MOST_STEPS, f"from {losses[0]:.2f} to {losses[-1]:.2f}"
        loss = dice_bce(network(images), mask)
        losses.append(loss.item())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()


@every_behavior
def test_state_goes_through_safetensors(name: str, tmp_path: Path) -> None:
    network = moved(name)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "weights.safetensors")
    torch.manual_seed(1)
    other = build_network(name, **ENTRIES[name].small).eval()
    image = square(name)
    assert not torch.equal(other(image), network(image))
    other.load_state_dict(safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(other(image), network(image))


@every_behavior
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
@pytest.mark.parametrize("change", [reparameterize, fuse])
def test_fused_equals_unfused(
    name: str, dtype: torch.dtype, limit: float, change: Callable[[nn.Module], nn.Module]
) -> None:
    network = moved(name, dtype)
    before = copy.deepcopy(network.state_dict())
    changed = change(network)
    image = square(name, 2).to(dtype)
    if change is fuse and name not in KEEPS_NORMS:
        assert not any(isinstance(module, nn.BatchNorm2d) for module in changed.modules())
    assert not any(hasattr(module, "conv_1x1") for module in changed.modules())
    assert all(parameter.requires_grad for parameter in changed.parameters())
    for ours, theirs in zip(answers(changed, image), answers(network, image), strict=True):
        assert relative_difference(ours, theirs) < limit
    assert torch.equal(change(changed)(image), changed(image))
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_fusing_a_network_in_training_leaves_its_mode() -> None:
    network = small("simplified_unet").train()
    assert not fuse(network).training
    assert all(module.training for module in network.modules())


@pytest.mark.parametrize(
    "name",
    [name if name in EXPORTED else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS],
)
def test_onnx_equals_torch_at_two_sizes(name: str, tmp_path: Path) -> None:
    network = moved(name)
    side = ENTRIES[name].side
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_onnx(network, Preprocessing((2 * side, 2 * side)), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for size in ((2 * side, 2 * side), (2 * side, 3 * side)):
        image = torch.rand(2, 3, *size)
        found = session.run(None, {session.get_inputs()[0].name: image.numpy()})
        for ours, expected in zip(found, answers(network, image), strict=True):
            assert relative_difference(torch.from_numpy(ours), expected.detach()) < 1e-4


@every_network
@pytest.mark.parametrize("value", [0, -3, 1.5, True, "8"])
def test_widths_must_be_positive_integers(name: str, value: Any) -> None:
    for option in {"in_channels", "out_channels", "width"} & set(network_options(name)):
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


@every_network
def test_layer_summaries_hold_every_parameter(name: str) -> None:
    rows = layers(name)
    outermost = [
        row
        for row in rows
        if not any(row["name"].startswith(f"{other['name']}.") for other in rows)
    ]
    assert sum(row["parameters"] for row in outermost) == card(name)["parameters"]
    assert all(row["shape"] for row in rows)

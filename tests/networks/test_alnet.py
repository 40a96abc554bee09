"""The wiring of AL-Net, its ablations and its baseline against plain functional versions."""

from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherseg.compress.cost import count_parameters
from featherseg.compress.fuse import fuse, reparameterize
from featherseg.errors import RecipeError
from featherseg.networks import build_network
from tests.networks.reference import State, normalized

Context = Callable[[State, Tensor], Tensor]
DEPTHS = (2, 4, 14, 1)
WIDTH = 8


def settled(name: str, **options: object) -> nn.Module:
    """A network in eval mode, in which signals of usual size reach the deepest features."""
    torch.manual_seed(0)
    network = build_network(name, **options).double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 1.5)
    network(image_of(64, 96, count=4))
    return network.eval()


def image_of(*size: int, count: int = 1) -> Tensor:
    return torch.rand(count, 3, *size, dtype=torch.float64)


def bare(state: State, prefix: str, features: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    weight = state[f"{prefix}.weight"]
    padding = dilation * (weight.shape[2] // 2)
    return F.conv2d(features, weight, None, stride, padding, dilation)


def block(state: State, prefix: str, features: Tensor, dilation: int = 1) -> Tensor:
    features = bare(state, f"{prefix}.convolutions.0", features, dilation=dilation)
    return F.relu(normalized(state, f"{prefix}.norm", features))


def resized(features: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(features, size=like.shape[2:], mode="bilinear", align_corners=False)


def rep_block(state: State, prefix: str, features: Tensor, stride: int) -> Tensor:
    """Figure 2: 3x3, 1x1 and, where the shape stays, identity, a norm each; summed; ReLU."""
    branches = []
    for name in ("conv_kxk", "conv_1x1"):
        branch = bare(state, f"{prefix}.{name}.conv", features, stride)
        branches.append(normalized(state, f"{prefix}.{name}.bn", branch))
    if f"{prefix}.identity.weight" in state:
        branches.append(normalized(state, f"{prefix}.identity", features))
    return F.relu(torch.stack(branches).sum(dim=0))


def repvgg(state: State, image: Tensor) -> list[Tensor]:
    maps = [rep_block(state, "encoder.model.stem", image, stride=2)]
    for stage, depth in enumerate(DEPTHS):
        features = maps[-1]
        for place in range(depth):
            prefix = f"encoder.model.stages.{stage}.{place}"
            assert (f"{prefix}.identity.weight" in state) == (place > 0)
            features = rep_block(state, prefix, features, stride=1 if place else 2)
        maps.append(features)
    return maps


def hard_sigmoid(features: Tensor) -> Tensor:
    return (features / 6 + 0.5).clamp(0, 1)


def globally_gated(state: State, deep: Tensor) -> Tensor:
    gate = bare(state, "context.gate.1", deep.mean(dim=(2, 3), keepdim=True))
    return block(state, "context.features", deep) * hard_sigmoid(gate)


def locally_gated(state: State, deep: Tensor) -> Tensor:
    """Means over 25x25 windows around every 8th row and 10th column, cut at the border."""
    means = torch.stack(
        [
            torch.stack(
                [
                    deep[:, :, max(0, row - 12) : row + 13, max(0, column - 12) : column + 13]
                    .flatten(2)
                    .mean(dim=2)
                    for column in range(0, deep.shape[3], 10)
                ],
                dim=2,
            )
            for row in range(0, deep.shape[2], 8)
        ],
        dim=2,
    )
    gate = hard_sigmoid(bare(state, "context.gate.module.1", means))
    return block(state, "context.features", deep) * resized(gate, deep)


def aspp(state: State, deep: Tensor) -> Tensor:
    mean = block(state, "context.mean", deep.mean(dim=(2, 3), keepdim=True))
    branches = [
        block(state, f"context.branches.{place}", deep, dilation)
        for place, dilation in enumerate((1, 6, 12, 18))
    ]
    return block(state, "context.project", torch.cat((*branches, mean.expand_as(branches[0])), 1))


def nothing(state: State, deep: Tensor) -> Tensor:
    return deep


def a_decoded(state: State, maps: list[Tensor], high: Tensor) -> Tensor:
    """Equations 1 to 3."""
    low = torch.cat([resized(features, maps[0]) for features in maps], dim=1)
    for place in range(3):
        low = block(state, f"decoder.low.{place}", low)
    return low + resized(block(state, "decoder.high", high), low)


def u_decoded(state: State, maps: list[Tensor], high: Tensor) -> Tensor:
    for level, skip in enumerate(maps[::-1]):
        joined = torch.cat((skip, resized(high, skip)), dim=1)
        high = block(state, f"decoder.levels.{level}", joined)
    return high


def head(state: State, features: Tensor, image: Tensor) -> Tensor:
    return resized(F.conv2d(features, state["head.weight"], state["head.bias"]), image)


@pytest.mark.parametrize(
    ("name", "options", "size", "context", "decoded"),
    [
        ("alnet", {}, (64, 96), globally_gated, a_decoded),
        ("alnet", {}, (45, 70), globally_gated, a_decoded),
        ("alnet", {"pooling": "large_stride"}, (299, 460), locally_gated, a_decoded),
        ("alnet_aspp", {}, (45, 70), aspp, a_decoded),
        ("alnet_udecoder", {}, (45, 70), globally_gated, u_decoded),
        ("repvgg_unet", {}, (45, 70), nothing, u_decoded),
    ],
)
def test_wiring(
    name: str,
    options: dict[str, str],
    size: tuple[int, int],
    context: Context,
    decoded: Callable[[State, list[Tensor], Tensor], Tensor],
) -> None:
    network = settled(name, width=WIDTH, **options)
    state = network.state_dict()
    image = image_of(*size)
    with torch.no_grad():
        *maps, deep = repvgg(state, image)
        features = decoded(state, maps, context(state, deep))
        expected = head(state, features, image)
        assert torch.allclose(network(image), expected, atol=1e-9)


def test_wiring_with_resnet() -> None:
    network = settled("alnet_resnet34", encoder="test_resnet", width=WIDTH)
    state = network.state_dict()
    features_only = timm.create_model("test_resnet", features_only=True).double().eval()
    prefix = "encoder.model."
    own = {key.removeprefix(prefix): value for key, value in state.items() if prefix in key}
    features_only.load_state_dict(own)
    image = image_of(75, 64)
    with torch.no_grad():
        *maps, deep = features_only(image)
        features = a_decoded(state, maps, globally_gated(state, deep))
        assert torch.allclose(network(image), head(state, features, image), atol=1e-9)


def test_merged_kernel() -> None:
    network = settled("alnet", width=WIDTH)
    state, merged = network.state_dict(), reparameterize(network).state_dict()
    prefix = "encoder.model.stages.1.2"

    def scale(name: str) -> Tensor:
        variance = state[f"{prefix}.{name}.running_var"]
        gain: Tensor = state[f"{prefix}.{name}.weight"] / (variance + 1e-5).sqrt()
        return gain

    channels = 2 * WIDTH
    expected = state[f"{prefix}.conv_kxk.conv.weight"] * scale("conv_kxk.bn").view(-1, 1, 1, 1)
    center = state[f"{prefix}.conv_1x1.conv.weight"][:, :, 0, 0] * scale("conv_1x1.bn").view(-1, 1)
    expected[:, :, 1, 1] += center + torch.diag(scale("identity"))
    assert expected.shape == (channels, channels, 3, 3)
    assert torch.allclose(merged[f"{prefix}.reparam_conv.weight"], expected, atol=1e-9)


def encoder_count(width: int, inputs: int, is_merged: bool) -> int:
    count, before = 0, inputs
    for depth, after in zip((1, *DEPTHS), (1, 1, 2, 2, 8), strict=True):
        for place in range(depth):
            i, o = (after * width if place else before), after * width
            branches = i * o + 4 * o + (2 * o if place else 0)
            count += 9 * i * o + (o if is_merged else branches)
        before = after * width
    return count


def decoder_count(width: int, outputs: int) -> int:
    low, reduced, fused = 6 * width, width // 2, 2 * width
    context = 2 * (8 * width * width) + 2 * width
    path = 9 * (low + reduced) * reduced + reduced * fused + 4 * reduced + 2 * fused
    return context + path + width * fused + 2 * fused + (fused + 1) * outputs


@pytest.mark.parametrize(
    ("width", "inputs", "outputs", "pooling"),
    [(64, 1, 2, "global"), (48, 3, 4, "large_stride")],
)
def test_parameters_of_other_widths(width: int, inputs: int, outputs: int, pooling: str) -> None:
    with torch.device("meta"):
        network = build_network(
            "alnet", width=width, in_channels=inputs, out_channels=outputs, pooling=pooling
        )
    decoder = decoder_count(width, outputs)
    norms = width + 2 * (width // 2) + 2 * (2 * width)
    assert count_parameters(network) == encoder_count(width, inputs, False) + decoder
    merged = encoder_count(width, inputs, True) + decoder
    assert count_parameters(reparameterize(network)) == merged
    assert count_parameters(fuse(network)) == merged - norms


def test_poolings_differ_where_a_window_does_not_hold_the_map() -> None:
    whole = settled("alnet", width=WIDTH)
    windows = build_network("alnet", width=WIDTH, pooling="large_stride").double().eval()
    state = whole.state_dict()
    state["context.gate.module.1.weight"] = state.pop("context.gate.1.weight")
    windows.load_state_dict(state)
    with torch.no_grad():
        within = image_of(64, 416)  # a map of 2x13: half a window
        assert torch.allclose(windows(within), whole(within), atol=1e-9)
        beyond = image_of(64, 417)
        assert not torch.allclose(windows(beyond), whole(beyond), atol=1e-5)


@pytest.mark.parametrize("name", ["alnet", "alnet_resnet34", "alnet_udecoder"])
def test_unknown_poolings_are_named(name: str) -> None:
    with torch.device("meta"), pytest.raises(RecipeError) as caught:
        build_network(name, pooling="large")
    assert str(caught.value) == (
        "AL-Net: pooling must be global or large_stride, got 'large'; did you mean large_stride?"
    )


def test_encoders_need_five_stages() -> None:
    with torch.device("meta"), pytest.raises(RecipeError, match=r"expected .* 5 stages, got 4"):
        build_network("alnet_resnet34", encoder="convnext_atto")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A safetensors file of RepVGG-A1, as timm publishes them, with random values."""
    torch.manual_seed(5)
    path: Path = tmp_path_factory.mktemp("weights") / "repvgg_a1.safetensors"
    model = timm.create_model("repvgg_a1", num_classes=2).half()
    safetensors.torch.save_file(model.state_dict(), path)
    return path


@pytest.mark.parametrize("name", ["alnet", "repvgg_unet"])
def test_weights_of_the_full_encoder_fit_its_first_half(name: str, weights: Path) -> None:
    torch.manual_seed(0)
    scratch = build_network(name).state_dict()
    torch.manual_seed(0)
    loaded = build_network(name, pretrained=weights).state_dict()
    stored = safetensors.torch.load_file(weights)
    prefix = "encoder.model."
    changed = {
        key.removeprefix(prefix)
        for key, value in loaded.items()
        if not torch.equal(value, scratch[key])
    }
    learned = {
        key
        for key in stored
        if key.startswith(("stem.", "stages.0.", "stages.1."))
        and key.endswith((".weight", ".bias"))
    }
    assert changed == learned
    for key in learned:
        assert torch.equal(loaded[prefix + key], stored[key].float())


def test_weights_are_summed_for_gray_images(weights: Path) -> None:
    color = build_network("repvgg_unet", pretrained=weights).state_dict()
    gray = build_network("repvgg_unet", pretrained=weights, in_channels=1).state_dict()
    key = "encoder.model.stem.conv_1x1.conv.weight"
    assert torch.allclose(gray[key], color[key].sum(dim=1, keepdim=True), atol=1e-3)


def test_weights_do_not_fit_other_widths(weights: Path) -> None:
    with pytest.raises(RecipeError, match=r"none of its \d+ tensors fits repvgg_a1"):
        build_network("alnet", width=32, pretrained=weights)

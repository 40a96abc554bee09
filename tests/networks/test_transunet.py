"""The wiring of TransUNet: the encoder against timm's, the decoder against a functional version."""

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherseg.errors import RecipeError
from featherseg.networks import build_network

SMALL = {"width": 32, "dim": 16, "depth": 1, "heads": 2}


def small(image_size: int = 64, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_network("transunet", image_size=image_size, **(SMALL | options))


def parameters(**options: Any) -> int:
    with torch.device("meta"):
        network = build_network("transunet", **options)
    return sum(value.numel() for value in network.parameters())


def test_encoder_is_timms_hybrid_without_class_token() -> None:
    torch.manual_seed(0)
    shape: dict[str, Any] = {"embed_dim": 16, "depth": 2, "num_heads": 2}
    theirs: Any = timm.create_model(
        "vit_base_r50_s16_224",
        num_classes=0,
        global_pool="",
        class_token=False,
        img_size=64,
        **shape,
    )
    theirs.eval()
    encoder = small(width=64, depth=2).get_submodule("encoder").eval()
    encoder.get_submodule("model").load_state_dict(theirs.state_dict())
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        *skips, last = encoder(image)
        resnet = theirs.patch_embed.backbone
        stem = resnet.stem.norm(resnet.stem.conv(image))
        first = resnet.stages[0](resnet.stem.pool(stem))
        expected = [stem, first, resnet.stages[1](first)]
        for ours, others in zip(skips, expected, strict=True):
            assert torch.allclose(ours, others, atol=1e-4)
        tokens = theirs.forward_features(image)
    assert torch.allclose(last.flatten(2).transpose(1, 2), tokens, atol=1e-4)


def block(state: dict[str, Tensor], prefix: str, features: Tensor) -> Tensor:
    """3x3 convolution without bias, norm, ReLU."""
    features = F.conv2d(features, state[f"{prefix}.convolutions.0.weight"], padding=1)
    mean, variance, gain, shift = (
        state[f"{prefix}.norm.{name}"].view(1, -1, 1, 1)
        for name in ("running_mean", "running_var", "weight", "bias")
    )
    return ((features - mean) / (variance + 1e-5).sqrt() * gain + shift).clamp(min=0)


def test_decoder() -> None:
    network = small()
    for _ in range(2):
        network(torch.rand(2, 3, 32, 32))
    network.eval()
    image = torch.rand(2, 3, 48, 32)
    state = network.state_dict()
    with torch.no_grad():
        half, quarter, eighth, features = network.get_submodule("encoder")(image)
        features = block(state, "bridge", features)
        for level, skip in enumerate((eighth, quarter, half, None)):
            features = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=True)
            if skip is not None:
                features = torch.cat((features, skip), 1)
            for place in range(2):
                features = block(state, f"decoder.{level}.{place}", features)
        expected = F.conv2d(features, state["head.weight"], state["head.bias"], padding=1)
        assert torch.allclose(network(image), expected, atol=1e-5)


def test_position_embeddings_are_resampled_to_the_image() -> None:
    """What is learned at 32x32 holds at 64x64 where the embedding is the same everywhere."""
    coarse, fine = (small(side).get_submodule("encoder").eval() for side in (32, 64))
    name = "model.pos_embed"
    state = coarse.state_dict()
    image = torch.rand(1, 3, 64, 64)
    results = []
    for learned, resampled in (
        (torch.full((1, 4, 16), 0.7), torch.full((1, 16, 16), 0.7)),
        (torch.randn(1, 4, 16), torch.randn(1, 16, 16)),
    ):
        coarse.load_state_dict({**state, name: learned})
        fine.load_state_dict({**state, name: resampled})
        with torch.no_grad():
            results.append(float((coarse(image)[-1] - fine(image)[-1]).abs().max()))
    assert results[0] < 1e-5 < 1e-2 < results[1]


def test_parameters() -> None:
    assert parameters(image_size=224) == 105_275_921
    # The last layer has 3x3 weights for each of 16 channels, and a bias.
    assert parameters(out_channels=2) == 105_432_593 + 145 == 105_432_738
    # A block: two norms; 3 + 1 projections of the attention and 4 + 4 of the perceptron.
    dim = 768
    block_size = 4 * dim + 12 * dim**2 + (3 + 1 + 4 + 1) * dim
    assert parameters(depth=11) == 105_432_593 - block_size


def test_pretrained_leaves_the_class_token_and_resamples_positions(tmp_path: Path) -> None:
    model = small(64).get_submodule("encoder.model")
    state = {name: torch.randn_like(value) for name, value in model.state_dict().items()}
    positions = state["pos_embed"]
    with_token = torch.cat((torch.full((1, 1, 16), 9.0), positions), dim=1)
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({**state, "pos_embed": with_token}, path)
    same = small(64, pretrained=str(path)).get_submodule("encoder.model").state_dict()
    assert all(torch.equal(same[name], value) for name, value in state.items())
    larger = small(96, pretrained=str(path)).get_submodule("encoder.model").state_dict()
    assert torch.equal(larger["blocks.0.attn.qkv.weight"], state["blocks.0.attn.qkv.weight"])
    assert larger["pos_embed"].shape == (1, 36, 16)
    grid = positions.transpose(1, 2).reshape(1, 16, 4, 4)
    expected = F.interpolate(grid, size=(6, 6), mode="bicubic", antialias=True)
    assert torch.allclose(larger["pos_embed"], expected.flatten(2).transpose(1, 2), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 100}, "image_size must be a multiple of 16, got 100"),
        ({"width": 48}, "width must be a multiple of 32, got 48"),
        ({"dim": 16, "heads": 3}, "dim must be a multiple of 3, got 16"),
        ({"depth": 0}, "depth must be a positive integer, got 0"),
        ({"dropout": 1.5}, r"dropout must be in \[0, 1\), got 1.5"),
        ({"pretrained": "none.safetensors"}, "pretrained expects true, false or an existing"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        small(**options)


def test_dropout_acts_in_training_only() -> None:
    network = small(32)
    image = torch.rand(2, 3, 32, 32)
    assert not torch.equal(network(image), network(image))
    assert torch.equal(network.eval()(image), network(image))
    without = small(32, dropout=0.0)
    assert torch.equal(without(image), without(image))

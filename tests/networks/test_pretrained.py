"""Weights to begin with: from files, from the hub, and what does not fit."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch

from featherseg.errors import RecipeError
from featherseg.networks import NETWORKS, build_network, network_options
from featherseg.networks.encoders import timm_encoder
from featherseg.networks.pretrained import describe_weights, fetch_weights, load_pretrained

TINY = "test_resnet"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A safetensors file of a classifier, as timm publishes them."""
    torch.manual_seed(3)
    path = tmp_path / "classifier.safetensors"
    safetensors.torch.save_file(timm.create_model(TINY, num_classes=10).state_dict(), path)
    return path


def test_a_local_file_is_loaded(weights: Path) -> None:
    encoder = timm_encoder(TINY, in_channels=3, pretrained=weights)
    stored = safetensors.torch.load_file(weights)
    own = encoder.model.state_dict()
    assert set(stored) - set(own) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(value, stored[key]) for key, value in own.items())


def test_the_first_convolution_is_summed_for_gray_images(weights: Path) -> None:
    color = timm_encoder(TINY, in_channels=3, pretrained=weights).eval()
    gray = timm_encoder(TINY, in_channels=1, pretrained=weights).eval()
    image = torch.rand(1, 1, 64, 64)
    for one, three in zip(gray(image), color(image.repeat(1, 3, 1, 1)), strict=True):
        assert torch.allclose(one, three, atol=1e-5)


def test_what_does_not_fit_keeps_its_values(weights: Path) -> None:
    model = timm.create_model(TINY, num_classes=0)
    stored = safetensors.torch.load_file(weights)
    narrower = {
        key: value[:8] if key.startswith("layer2") and value.ndim else value
        for key, value in stored.items()
    }
    safetensors.torch.save_file(narrower, weights)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    loaded = load_pretrained(model, TINY, weights)
    after = model.state_dict()
    kept = set(after) - set(loaded)
    assert {key.split(".")[0] for key in kept} == {"layer2"}
    assert not any(key.endswith("num_batches_tracked") for key in kept)
    assert all(torch.equal(after[key], before[key]) for key in kept)
    assert all(torch.equal(after[key], narrower[key]) for key in loaded)


def test_nothing_is_loaded_without_memory(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = timm.create_model(TINY)
    assert load_pretrained(model, TINY, tmp_path / "missing.safetensors") == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.safetensors", None, "pretrained expects true, false or an existing"),
        ("weights.pth", b"pickle", "pretrained expects true, false or an existing"),
        ("broken.safetensors", b"not a header", "not a readable safetensors file"),
        ("other.safetensors", {"x": torch.zeros(2)}, "none of its 1 tensors fits test_resnet"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: Any, message: str) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        safetensors.torch.save_file(content, path)
    with pytest.raises(RecipeError, match=message) as caught:
        timm_encoder(TINY, in_channels=3, pretrained=path)
    assert str(path) in str(caught.value)


def test_weights_are_fetched_as_safetensors(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(repository: str, file: str) -> str:
        asked.append((repository, file))
        return str(weights)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    encoder = timm_encoder(TINY, in_channels=3, pretrained=True)
    assert asked == [("timm/test_resnet.r160_in1k", "model.safetensors")]
    stored = safetensors.torch.load_file(weights)
    assert torch.equal(encoder.model.state_dict()["conv1.0.weight"], stored["conv1.0.weight"])


def test_without_a_connection_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: str) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("no connection\nand more")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(
        RecipeError,
        match=r"cannot fetch the ImageNet weights of resnet34 \(no connection\); download "
        r"model.safetensors of timm/resnet34.* pretrained=PATH.safetensors, or leave pretrained",
    ):
        fetch_weights("resnet34")


def test_networks_without_published_weights_say_so() -> None:
    with pytest.raises(RecipeError, match="there are no ImageNet weights for efficientnet_b7"):
        fetch_weights("efficientnet_b7")


def test_weights_are_described_without_a_path() -> None:
    assert describe_weights(False) == "from scratch"
    assert describe_weights(True) == "ImageNet"
    assert describe_weights("somewhere/private/mine.safetensors") == "mine.safetensors"


@pytest.mark.parametrize(
    "name", [name for name in NETWORKS if "pretrained" in network_options(name)]
)
def test_every_network_with_an_encoder_hands_the_option_on(name: str) -> None:
    with pytest.raises(RecipeError, match="pretrained expects true, false or an existing"):
        build_network(name, pretrained="missing.safetensors")


def test_a_network_begins_with_the_weights_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    torch.manual_seed(5)
    model: Any = timm.create_model("test_efficientnet")
    safetensors.torch.save_file(model.state_dict(), path)
    network = build_network("laednet_s", encoder="test_efficientnet", pretrained=str(path))
    state = network.state_dict()
    (stem,) = (value for key, value in state.items() if key.endswith("conv_stem.weight"))
    assert torch.equal(stem, model.conv_stem.weight)

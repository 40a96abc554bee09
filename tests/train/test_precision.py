"""The precision that a training gets on each kind of machine, and the memory it reports."""

import pytest
import torch
from torch import nn

from featherseg.networks import build_network
from featherseg.runtime.cpu import Capabilities
from featherseg.train import precision
from featherseg.train.precision import peak_memory_mb, pick_device, pick_precision

CPU = torch.device("cpu")
SIZE = (256, 128)
PLAIN = nn.Conv2d(8, 8, 3)
INTEL, AMD = "GenuineIntel", "AuthenticAMD"


@pytest.mark.parametrize(
    ("cpu", "network", "expected"),
    [
        (Capabilities("a", 2, amx_bf16=True, vendor=INTEL), nn.Conv2d(8, 8, 5, groups=8), "bf16"),
        (Capabilities("a", 2, avx512_bf16=True, vendor=INTEL), PLAIN, "32"),
        (Capabilities("a", 2, avx512_bf16=True, vendor=AMD), PLAIN, "bf16"),
        (Capabilities("a", 2, avx512_bf16=True, vendor=AMD), nn.Conv2d(8, 8, 3, groups=8), "bf16"),
        (Capabilities("a", 2, avx512_bf16=True, vendor=AMD), nn.Conv2d(8, 8, 5, groups=4), "bf16"),
        (Capabilities("a", 2, avx512_bf16=True, vendor=AMD), nn.Conv2d(8, 8, 5, groups=8), "32"),
        (Capabilities("a", 2, vendor=AMD), PLAIN, "32"),
        (Capabilities("a", 2), PLAIN, "32"),
    ],
)
def test_automatic_precision(
    cpu: Capabilities, network: nn.Module, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "capabilities", lambda: cpu)
    assert pick_precision("auto", CPU, network, SIZE).startswith(expected)
    assert pick_precision("auto", torch.device("cuda", 0), network, SIZE) == "bf16-mixed"
    assert pick_precision("32-true", CPU, network, SIZE) == "32-true"
    assert pick_precision("bf16-mixed", CPU, network, SIZE) == "bf16-mixed"


@pytest.mark.parametrize(
    ("name", "expected"), [("simplified_unet", "bf16-mixed"), ("laednet_s", "32-true")]
)
def test_efficientnets_stay_in_float32_on_amd(
    name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = Capabilities("a", 2, avx512_bf16=True, vendor=AMD)
    monkeypatch.setattr(precision, "capabilities", lambda: cpu)
    with torch.device("meta"):
        network = build_network(name)
    assert pick_precision("auto", CPU, network, SIZE) == expected


def test_small_images_stay_in_float32_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = Capabilities("a", 2, amx_bf16=True, vendor=INTEL)
    monkeypatch.setattr(precision, "capabilities", lambda: cpu)
    assert pick_precision("auto", CPU, PLAIN, (256, 96)) == "32-true"
    assert pick_precision("auto", torch.device("cuda", 0), PLAIN, (96, 96)) == "bf16-mixed"
    assert pick_precision("bf16-mixed", CPU, PLAIN, (96, 96)) == "bf16-mixed"


def test_each_process_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert pick_device() == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert pick_device() == torch.device("cuda", 3)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert pick_device() == CPU


def test_the_peak_counts_what_was_held_and_freed() -> None:
    held = torch.ones(200_000_000, dtype=torch.uint8)
    del held
    assert 200 < peak_memory_mb(CPU) < 100_000

"""Checkpoints: everything comes back bit for bit, damage is noticed, the one before is kept."""

import logging
import os
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import Adam

from featherseg.errors import RunError, StorageError
from featherseg.networks import build_network
from featherseg.train.checkpoint import (
    LAST,
    PREVIOUS,
    Progress,
    load_checkpoint,
    load_weights,
    restore,
    save_checkpoint,
    save_weights,
)
from featherseg.train.files import BEST

FRESH = Progress(recipe_sha256="r", data_sha256="d")


def trained(seed: int, steps: int = 2) -> tuple[nn.Module, Adam]:
    torch.manual_seed(seed)
    network = build_network("simplified_unet", width=2)
    network.to(memory_format=torch.channels_last)
    optimizer = Adam(network.parameters(), lr=1e-3)
    for _ in range(steps):
        step(network, optimizer)
    return network, optimizer


def step(network: nn.Module, optimizer: Adam) -> None:
    image = torch.linspace(0, 1, 2 * 3 * 16 * 16).view(2, 3, 16, 16)
    torch.autograd.backward(network(image).square().mean())
    optimizer.step()
    optimizer.zero_grad()


def restored(folder: Path, network: nn.Module, optimizer: Adam) -> Progress | None:
    found = load_checkpoint(folder)
    if found is None:
        return None
    restore(found[1], {"model": network}, optimizer)
    return found[0]


def test_everything_comes_back(tmp_path: Path) -> None:
    network, optimizer = trained(0)
    done = replace(FRESH, epoch=3, step=9, history=({"epoch": 3, "loss": 0.1},), best={"epoch": 3})
    save_checkpoint(tmp_path, {"model": network}, optimizer, done)
    other, other_optimizer = trained(1, steps=0)
    assert restored(tmp_path, other, other_optimizer) == done
    for _ in range(2):
        step(network, optimizer)
        step(other, other_optimizer)
    mine, theirs = network.state_dict(), other.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    network, optimizer = trained(0, steps=0)
    assert restored(tmp_path, network, optimizer) is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "gone"])
def test_a_damaged_checkpoint_is_passed_over_with_a_message(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network, optimizer = trained(0)
    save_checkpoint(tmp_path, {"model": network}, optimizer, replace(FRESH, epoch=1))
    save_checkpoint(tmp_path, {"model": network}, optimizer, replace(FRESH, epoch=2))
    _damage(tmp_path / LAST, damage)
    with caplog.at_level(logging.WARNING):
        done = restored(tmp_path, network, optimizer)
    assert done is not None
    assert done.epoch == 1
    assert damage == "gone" or "last.safetensors is damaged" in caplog.text
    _damage(tmp_path / PREVIOUS, "cut")
    if damage != "gone":
        with pytest.raises(RunError, match="there is no good one before it"):
            restored(tmp_path, network, optimizer)


def _damage(path: Path, kind: str) -> None:
    content = bytearray(path.read_bytes())
    if kind == "gone":
        path.unlink()
        return
    content[-100] ^= 1
    path.write_bytes(
        {"cut": bytes(content[:-50]), "flipped": bytes(content), "empty": b"", "text": b"x" * 99}[
            kind
        ]
    )


def test_a_full_disk_is_one_clear_error_and_the_old_checkpoint_stays(tmp_path: Path) -> None:
    network, optimizer = trained(0)
    save_checkpoint(tmp_path, {"model": network}, optimizer, replace(FRESH, epoch=1))
    before = (tmp_path / LAST).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*last\.safetensors: File too large"):
            save_checkpoint(tmp_path, {"model": network}, optimizer, replace(FRESH, epoch=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert (tmp_path / LAST).read_bytes() == before
    assert os.listdir(tmp_path) == [LAST]
    assert restored(tmp_path, network, optimizer) == replace(FRESH, epoch=1)


def test_weights_alone(tmp_path: Path) -> None:
    network, _ = trained(0)
    save_weights(tmp_path / BEST, network)
    other, _ = trained(1)
    load_weights(tmp_path / BEST, other)
    mine, theirs = network.state_dict(), other.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    with pytest.raises(RunError, match="these weights cannot be used"):
        load_weights(tmp_path / BEST, build_network("simplified_unet", width=4))
    with pytest.raises(RunError, match="expected trained weights, found nothing"):
        load_weights(tmp_path / "none.safetensors", other)
    (tmp_path / BEST).write_bytes(b"PK\x03\x04 a pickle of another kind")
    with pytest.raises(RunError, match="these weights cannot be used"):
        load_weights(tmp_path / BEST, other)

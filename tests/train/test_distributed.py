"""Several processes train as one does."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.layers.norm_act import BatchNormAct2d
from torch import nn
from torch.nn import functional as F

from featherseg.datasets import load_dataset
from featherseg.datasets.phantom import write_phantom
from featherseg.duplicates import find_duplicates
from featherseg.networks import build_network
from featherseg.splits import make_split, save_split
from featherseg.train.distributed import is_first, part_of, shared_batch_norm
from featherseg.train.sampling import seed_network
from tests.conftest import REPOSITORY
from tests.train.several import RUNS

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


@given(count=st.integers(0, 50), processes=st.integers(1, 7))
def test_parts_are_even_and_complete(count: int, processes: int) -> None:
    parts = [part_of(count, each, processes) for each in range(processes)]
    assert [place for part in parts for place in range(count)[part]] == list(range(count))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_the_first_process_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("RANK", "1")
    assert is_first()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    assert not is_first()
    monkeypatch.setenv("RANK", "0")
    assert is_first()


@pytest.mark.parametrize("module", [nn.BatchNorm2d(3), nn.BatchNorm1d(3), BatchNormAct2d(3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_process_that_shares_is_plain_batch_norm(
    module: nn.Module, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The formula, its gradients and running statistics; the sum over one process is its own."""
    monkeypatch.setattr("torch.distributed.all_reduce", lambda _: None)
    shape = (5, 3) if isinstance(module, nn.BatchNorm1d) else (5, 3, 4, 6)
    generator = torch.Generator().manual_seed(0)
    images = (3 + 2 * torch.randn(shape, generator=generator)).to(dtype)
    ends = []
    for processes in (1, 2):
        module.train()
        for name, value in module.state_dict().items():
            value.fill_(1.0 if name in ("weight", "running_var") else 0.0)
        given_ = images.clone().requires_grad_()
        module.zero_grad()
        with shared_batch_norm(processes):
            result = module(given_)
        torch.autograd.backward((result.float() ** 3).sum())
        state = [value.clone().float() for value in module.state_dict().values()]
        gradients = [each.grad for each in (given_, *module.parameters())]
        ends.append([result.detach(), *gradients, *state])
    tolerance = 1e-4 if dtype == torch.float32 else 0.05
    for alone, shared in zip(*ends, strict=True):
        assert alone is not None
        assert shared is not None
        assert alone.dtype == shared.dtype
        largest = float(alone.float().abs().max())
        assert torch.allclose(alone.float(), shared.float(), atol=tolerance * max(1.0, largest))


def test_evaluation_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Any) -> None:
        raise AssertionError("evaluation shares nothing")

    monkeypatch.setattr("torch.distributed.all_reduce", refused)
    images = torch.rand(2, 3, 4, 4)
    module = nn.BatchNorm2d(3).eval()
    with shared_batch_norm(2):
        assert torch.equal(module(images), F.batch_norm(images, torch.zeros(3), torch.ones(3)))


def launch(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Same losses, scores and weights: uneven parts, under-sampling, turns, and a resumed run."""
    alone = launch("-m", "tests.train.several", str(tmp_path / "one"))
    assert alone.returncode == 0, alone.stderr
    both = launch(*TORCHRUN, "-m", "tests.train.several", str(tmp_path / "two"))
    assert both.returncode == 0, both.stderr
    assert "batches of 1 image(s) cannot be shared by 2 processes" in both.stdout
    seed_network(0, step=0)
    network = build_network("simplified_unet", in_channels=3, out_channels=1, width=4)
    before = dict(network.named_parameters())
    for name in RUNS:
        ends = [_end(tmp_path / each / name) for each in ("one", "two")]
        (first, first_log), (second, second_log) = ends
        assert len(first_log) == len(second_log) > 0
        for mine, theirs in zip(first_log, second_log, strict=True):
            assert mine.keys() == theirs.keys()
            for key in mine.keys() - {"seconds", "images_per_s", "peak_memory_mb"}:
                assert math.isclose(mine[key], theirs[key], rel_tol=1e-5, abs_tol=1e-5), (name, key)
        moved, apart = _distance(first, before), _distance(first, second)
        # Losses are float32. Adam divides by the gradient's size, which may be rounding alone.
        assert apart < (1e-2 if name == "last" else 1e-4) * moved, (name, apart, moved)


def _distance(some: Mapping[str, torch.Tensor], others: Mapping[str, torch.Tensor]) -> float:
    """Euclidean, over what both have."""
    squares = [
        float((some[name].double() - others[name].detach().double()).square().sum())
        for name in some.keys() & others.keys()
    ]
    return math.sqrt(sum(squares))


def _end(out: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return safetensors.torch.load_file(out / "best.safetensors"), lines


@pytest.mark.slow
def test_the_command_line_in_two_processes(tmp_path: Path) -> None:
    """Only the first prints; bad input and a loss that is not finite stop both."""
    write_phantom(tmp_path / "data", 10, seed=0, size=(64, 64))
    dataset = load_dataset(tmp_path / "data", "phantom")
    split = make_split(dataset, find_duplicates(dataset), fractions=(0.6, 0.2, 0.2), seed=0)
    save_split(split, tmp_path / "split.json")
    given = ["train", "simplified_unet", "--data", str(tmp_path / "data"), "--layout", "phantom"]
    given += ["--split", str(tmp_path / "split.json"), "--out", str(tmp_path / "run")]
    given += ["--set", "input_size=32", "--set", "network_options.width=2", "--set", "epochs=1"]
    done = launch(*TORCHRUN, "-m", "featherseg", *given)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained:") == 1
    assert json.loads((tmp_path / "run" / "run.json").read_text())["epochs"] == 1
    again = launch(*TORCHRUN, "-m", "featherseg", *given)
    assert again.returncode != 0
    assert again.stderr.count("is not empty; go on with the run in it by --resume") == 1
    given[given.index(str(tmp_path / "run"))] = str(tmp_path / "other")
    diverged = ["--set", "lr=1e30", "--set", "optimizer=sgd", "--set", "epochs=3"]
    stopped = launch(*TORCHRUN, "-m", "featherseg", *given, *diverged)
    assert stopped.returncode != 0
    assert "the last good checkpoint is kept in" in stopped.stderr
    assert not (tmp_path / "other" / "run.json").exists()

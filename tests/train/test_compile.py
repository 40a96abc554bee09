"""`compile: true`: the same training, through torch.compile."""

import json
import os
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from featherseg.errors import RecipeError
from featherseg.train import training
from featherseg.train.loop import fit
from featherseg.train.recipe import Recipe, load_recipe, recipe_sha256
from tests.train.blobs import SETTINGS, blob_pack, halves

PACK = blob_pack(16)
# The last batch of an epoch is smaller than the others.
UNEVEN = ("batch_size=3", "epochs=2", "select=last_epoch")
# Steps, and above all Adam's first ones, make much of rounding: one plain step on all images.
ONE_STEP = ("batch_size=8", "epochs=1", "optimizer=sgd", "lr=0.1")


@pytest.fixture
def some_compiler(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A g++ that is found where the machine has none; it is never run."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "g++").touch(mode=0o755)
    monkeypatch.setenv("PATH", os.pathsep.join((os.environ["PATH"], str(folder))))


def recipe(network: str, *settings: str) -> Recipe:
    given = [*SETTINGS, f"network={network}", *UNEVEN, *settings]
    return load_recipe("simplified_unet", given)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "best.safetensors")


def assert_trained_alike(made: Recipe, compiled: Recipe, folder: Path) -> None:
    plain = weights(fit(made, PACK, halves(PACK), folder / "plain"))
    other = weights(fit(compiled, PACK, halves(PACK), folder / "compiled"))
    assert plain.keys() == other.keys()
    for name, values in plain.items():
        torch.testing.assert_close(other[name], values, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize(
    ("network", "settings"),
    [("simplified_unet", ()), ("feathernet_s", ("presence_weight=0.5", "loss=dice_bce"))],
)
def test_the_traced_step_trains_the_same_weights(
    network: str,
    settings: tuple[str, ...],
    tmp_path: Path,
    some_compiler: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The graph is traced with its gradients, and run without a compiler."""
    steps = []

    def traced(graph: torch.fx.GraphModule, inputs: object) -> object:
        steps.append(len(graph.graph.nodes))
        return graph.forward

    monkeypatch.setattr(training, "_COMPILER", traced)
    made = recipe(network, *settings)
    assert_trained_alike(made, recipe(network, *settings, "compile=true"), tmp_path)
    assert max(steps) > 20, "nothing was traced"


@pytest.mark.slow
def test_the_compiled_step_moves_the_weights_the_same_way(tmp_path: Path) -> None:
    """One step from the same weights. A sum that is rounded otherwise turns a ReLU or the choice of
    a maximum here and there, which moves single weights of so small a network by some percent.
    """
    if not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("no C++ compiler")
    begun, eager, compiled = (
        fit(recipe("simplified_unet", *ONE_STEP, *more), PACK, halves(PACK), tmp_path / name)
        for name, more in {
            "begun": ("lr=1e-30",),
            "eager": (),
            "compiled": ("compile=true",),
        }.items()
    )
    losses = [
        json.loads((run / "log.jsonl").read_text())["train_loss"] for run in (eager, compiled)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    here, there = (moved(begun, run) for run in (eager, compiled))
    assert float(here.norm()) > 0.1
    assert float((there - here).norm()) < 0.1 * float(here.norm())


def moved(begun: Path, ended: Path) -> torch.Tensor:
    """How far a training moved each parameter, as one vector."""
    before, after = weights(begun), weights(ended)
    learned = [name for name in before if "running" not in name and "tracked" not in name]
    return torch.cat([(after[name] - before[name]).flatten() for name in learned])


def test_without_a_compiler_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RecipeError, match=r"g\+\+ or clang\+\+.*--set compile=false"):
        fit(recipe("simplified_unet", "compile=true"), PACK, halves(PACK), tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_several_processes_are_refused(some_compiler: None) -> None:
    training._check_compiler(1)
    with pytest.raises(RecipeError, match="for one process, not for 2"):
        training._check_compiler(2)


def test_runs_of_before_keep_their_name() -> None:
    """Uncompiled is what runs without the key were."""
    assert recipe_sha256(load_recipe("simplified_unet", ["compile=false"])) == recipe_sha256(
        load_recipe("simplified_unet")
    )
    assert recipe_sha256(load_recipe("simplified_unet", ["compile=true"])) != recipe_sha256(
        load_recipe("simplified_unet")
    )

"""`initial_weights`: a training that begins where another run ended."""

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from featherseg.errors import RecipeError, RunError
from featherseg.train.loop import fit
from featherseg.train.recipe import Recipe, load_recipe, recipe_sha256
from featherseg.train.training import Tick
from tests.train.blobs import SETTINGS, blob_pack, halves

PACK = blob_pack(16)


def recipe(*settings: str) -> Recipe:
    return load_recipe("simplified_unet", [*SETTINGS, "epochs=1", "lr=1e-2", *settings])


def weights(folder: Path, name: str = "best") -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / f"{name}.safetensors")


def begin_from(folder: Path, *settings: str) -> Recipe:
    return recipe(f"initial_weights={folder}", *settings)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(recipe(), PACK, halves(PACK), tmp_path_factory.mktemp("initial") / "first")


def test_it_begins_where_the_other_ended(first: Path, tmp_path: Path) -> None:
    """At a rate too small to move a weight, the parameters stay what they were."""
    out = fit(begin_from(first, "lr=1e-30", "weight_decay=0"), PACK, halves(PACK), tmp_path / "run")
    before, after = weights(first), weights(out)
    learned = [name for name in before if "running" not in name and "tracked" not in name]
    assert len(learned) > 20
    for name in learned:
        assert torch.equal(before[name], after[name]), name
    said = json.loads((out / "run.json").read_text())["initial_weights"]
    assert said.startswith("run first, weights ")
    assert len(said.split()[-1]) == 12


def test_the_input_size_may_be_another(first: Path, tmp_path: Path) -> None:
    large = blob_pack(8, (64, 64))
    out = fit(begin_from(first, "input_size=64"), large, halves(large), tmp_path / "run")
    assert weights(out).keys() == weights(first).keys()


@pytest.mark.parametrize(
    ("setting", "got"),
    [("network_options.width=8", "width=4"), ("network=unet", "simplified_unet(")],
)
def test_another_network_is_refused(setting: str, got: str, first: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"expected a run of .*, got one of .*=null") as refused:
        fit(begin_from(first, setting), PACK, halves(PACK), tmp_path / "run")
    assert got in str(refused.value).partition("got one of")[2]
    assert not (tmp_path / "run").exists()


def test_weights_from_two_places_are_refused(first: Path, tmp_path: Path) -> None:
    """Nothing is fetched that would be overwritten."""
    made = begin_from(first, "network=laednet_s", "network_options={pretrained: true}")
    with pytest.raises(RecipeError, match="names other weights to begin with; leave one out"):
        fit(made, PACK, halves(PACK), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["missing", "unfinished"])
def test_a_run_that_is_not_there_is_refused(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    if kind == "unfinished":
        folder.mkdir()
    with pytest.raises(RunError, match="found n"):
        fit(begin_from(folder), PACK, halves(PACK), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def provenance(sha256: str, subsets: dict[str, list[str]]) -> dict[str, Any]:
    content = {
        "schema": 1,
        "layout": "folder",
        "seed": 0,
        "protocol": "safe",
        "subsets": subsets,
        "groups": {case: case for case in PACK.ids},
        "images_sha256": PACK.images_sha256,
        "sha256": sha256,
    }
    return {"split_sha256": sha256, "split": content}


def test_a_run_that_knows_the_test_images_is_refused(tmp_path: Path) -> None:
    ids = list(PACK.ids)
    parts = {"train": ids[:4], "validation": ids[4:8], "test": ids[8:]}
    turned = {"train": ids[8:12], "validation": ids[12:], "test": ids[:8]}
    known = fit(recipe(), PACK, parts, tmp_path / "known", provenance=provenance("a", parts))
    made = begin_from(known)
    with pytest.raises(RunError, match="8 of this training's test images"):
        fit(made, PACK, turned, tmp_path / "run", provenance=provenance("b", turned))
    assert not (tmp_path / "run").exists()


class KillError(Exception):
    """What stands for a kill."""


def test_what_was_interrupted_goes_on_from_the_same_run_only(first: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    fit(recipe("seed=3"), PACK, halves(PACK), started)
    made = begin_from(started, "epochs=2", "seed=1")
    expected = weights(fit(made, PACK, halves(PACK), tmp_path / "whole"))

    def kill(tick: Tick) -> None:
        if tick.epoch == 2:
            raise KillError

    with pytest.raises(KillError):
        fit(made, PACK, halves(PACK), tmp_path / "run", progress=kill)
    (started / "best.safetensors").rename(tmp_path / "kept")
    (started / "best.safetensors").write_bytes((first / "best.safetensors").read_bytes())
    with pytest.raises(RunError, match="other data"):
        fit(made, PACK, halves(PACK), tmp_path / "run", resume=True)
    (tmp_path / "kept").replace(started / "best.safetensors")
    resumed = weights(fit(made, PACK, halves(PACK), tmp_path / "run", resume=True))
    for name, values in expected.items():
        assert torch.equal(resumed[name], values), name


def test_runs_of_before_keep_their_name() -> None:
    assert recipe_sha256(recipe("initial_weights=null")) == recipe_sha256(recipe())
    assert recipe_sha256(recipe("initial_weights=runs/a")) != recipe_sha256(recipe())

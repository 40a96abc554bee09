"""A run killed with SIGKILL and resumed ends exactly as one never killed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from featherseg.errors import RunError
from featherseg.train.loop import fit
from featherseg.train.recipe import load_recipe
from tests.conftest import REPOSITORY
from tests.train.blobs import SETTINGS, blob_pack, halves

# Three epochs of three steps, each epoch with a tick more; an epoch renames up to four files.
FEW = ["rename:1", "step:6", "rename:4"]
ALL = [f"step:{number}" for number in range(1, 13)] + [f"rename:{n}" for n in range(1, 14)]


def endings(folder: Path, moments: list[str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.killed", str(folder), *moments],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    ends: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return ends


@pytest.mark.parametrize("moments", [FEW, pytest.param(ALL, marks=pytest.mark.slow)])
def test_a_killed_run_ends_as_one_never_killed(moments: list[str], tmp_path: Path) -> None:
    never, *killed = endings(tmp_path, moments)
    assert len(never["log"]) == 3
    assert len(killed) == len(moments)
    for moment, end in zip(moments, killed, strict=True):
        assert end == never, moment


def test_resuming_a_finished_run_changes_no_weights(tmp_path: Path) -> None:
    pack = blob_pack(8)
    recipe = load_recipe("simplified_unet", [*SETTINGS, "epochs=2"])
    out = fit(recipe, pack, halves(pack), tmp_path / "run")
    before = (out / "best.safetensors").read_bytes()
    fit(recipe, pack, halves(pack), out, resume=True)
    assert (out / "best.safetensors").read_bytes() == before
    assert len((out / "log.jsonl").read_text().splitlines()) == 2


def test_resuming_a_run_that_never_began_trains(tmp_path: Path) -> None:
    pack = blob_pack(8)
    recipe = load_recipe("simplified_unet", [*SETTINGS, "epochs=1"])
    assert (fit(recipe, pack, halves(pack), tmp_path / "run", resume=True) / "run.json").is_file()


def test_changed_recipes_and_data_are_refused(tmp_path: Path) -> None:
    pack = blob_pack(12)
    recipe = load_recipe("simplified_unet", [*SETTINGS, "epochs=1"])
    subsets = halves(pack)
    out = fit(recipe, pack, subsets, tmp_path / "run")
    changed = load_recipe("simplified_unet", [*SETTINGS, "epochs=2", "lr=1"])
    with pytest.raises(RunError, match="the recipe has changed in epochs, lr since this run began"):
        fit(changed, pack, subsets, out, resume=True)
    swapped = {"train": subsets["validation"], "validation": subsets["train"]}
    with pytest.raises(RunError, match="trained on other data"):
        fit(recipe, pack, swapped, out, resume=True)
    other = type(pack)(**{**vars(pack), "images_sha256": "1" * 64})
    with pytest.raises(RunError, match="trained on other data"):
        fit(recipe, other, subsets, out, resume=True)

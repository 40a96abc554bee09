"""`train auto`, `recipes auto` and `train --sweep` on phantoms, from the command line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from featherseg.datasets import load_dataset
from featherseg.datasets.pack import pack, save_pack
from featherseg.datasets.phantom import write_phantom
from featherseg.duplicates import find_duplicates
from featherseg.splits import make_split, save_split
from featherseg.train.recipe import load_recipe
from tests.conftest import Cli

SMALL = ("--set", "network_options.width=2", "--set", "epochs=1")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with fourteen phantoms, a pack of it, a split, and one with too few images."""
    root = tmp_path_factory.mktemp("auto")
    write_phantom(root / "data", 14, seed=0, size=(64, 64))
    dataset = load_dataset(root / "data", "phantom")
    duplicates = find_duplicates(dataset)
    save_pack(pack(dataset, (32, 48), 3), root / "data.pack")
    for name, fractions in (("split", (0.7, 0.15, 0.15)), ("few", (0.2, 0.2, 0.6))):
        split = make_split(dataset, duplicates, fractions=fractions, seed=0)
        save_split(split, root / f"{name}.json")
    return root


def given(made: Path, *, data: str = "data", split: str = "split") -> tuple[Any, ...]:
    return ("--data", made / data, "--split", made / f"{split}.json")


def test_auto_trains_the_recipe_that_it_writes(made: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "run"
    done = cli("train", "auto", *given(made), "--out", out, *SMALL)
    assert done.code == 0, done.err
    text = (out / "auto.yaml").read_text()
    assert text.startswith("# Chosen by `auto` from ")
    assert all(line.startswith("# ") or "  # " in line for line in text.splitlines())
    recipe = load_recipe(out / "auto.yaml")
    assert recipe == load_recipe(out / "recipe.yaml")
    assert (recipe.in_channels, recipe.epochs) == (1, 1)
    height, width = recipe.input_size
    assert max(height, width) <= 96
    assert height % 32 == width % 32 == 0
    assert (out / "run.json").is_file()
    again = cli("train", "auto", *given(made), "--out", out, *SMALL)
    assert again.code == 2
    assert "--resume" in again.err
    assert (out / "auto.yaml").read_text() == text


def test_a_resumed_auto_run_keeps_the_recipe_that_was_chosen(
    made: Path, tmp_path: Path, cli: Cli
) -> None:
    out = tmp_path / "run"
    assert cli("train", "auto", *given(made), "--out", out, *SMALL).code == 0
    # As if another machine had chosen: what is written stands, whatever would be chosen now.
    for name in ("auto.yaml", "recipe.yaml"):
        path = out / name
        path.write_text(path.read_text().replace("batch_size: 8", "batch_size: 4"))
    for name in ("last.safetensors", "last.previous.safetensors", "run.json"):
        (out / name).unlink(missing_ok=True)
    done = cli("train", "auto", *given(made), "--out", out, *SMALL, "--resume")
    assert done.code == 0, done.err
    assert load_recipe(out / "recipe.yaml").batch_size == 4
    changed = cli("train", "auto", *given(made), "--out", out, *SMALL, "--resume", "--set", "lr=1")
    assert changed.code == 2
    assert "the recipe has changed in lr" in changed.err


def test_a_chosen_recipe_that_waits_in_the_folder_is_not_replaced(
    made: Path, tmp_path: Path, cli: Cli
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    printed = cli("recipes", "auto", *given(made), *SMALL, "--set", "lr=0.25").out
    (out / "auto.yaml").write_text(printed)
    refused = cli("train", "auto", *given(made), "--out", out, *SMALL)
    assert refused.code == 2
    assert "auto.yaml stands there already; train it by --resume" in refused.err
    done = cli("train", "auto", *given(made), "--out", out, *SMALL, "--resume")
    assert done.code == 0, done.err
    assert (out / "auto.yaml").read_text() == printed
    assert load_recipe(out / "recipe.yaml").lr == 0.25


def test_recipes_auto_prints_what_train_auto_would_write(
    made: Path, tmp_path: Path, cli: Cli
) -> None:
    done = cli("recipes", "auto", *given(made, data="data.pack"), "--set", "lr=0.5")
    assert done.code == 0, done.err
    assert "lr: 0.5" in done.out
    assert "given with --set" in done.out
    (tmp_path / "mine.yaml").write_text(done.out)
    recipe = load_recipe(tmp_path / "mine.yaml")
    assert (recipe.input_size, recipe.in_channels, recipe.lr) == ((32, 48), 3, 0.5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("auto",), "give --data and --split"),
        (("demo", "--set", "lr=1"), "belong to `featherseg recipes auto`, got the recipe 'demo'"),
        (("--fold", "1"), "got no name"),
    ],
)
def test_options_of_auto_are_for_auto(arguments: tuple[str, ...], words: str, cli: Cli) -> None:
    done = cli("recipes", *arguments)
    assert done.code == 2
    assert words in done.err


def test_bad_data_leave_nothing_behind(made: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "run"
    few = cli("train", "auto", *given(made, split="few"), "--out", out)
    assert few.code == 2
    assert "choosing a recipe needs at least 8 training images" in few.err
    shutil.copytree(made / "data", tmp_path / "data")
    for image in (tmp_path / "data" / "images").iterdir():
        image.write_bytes(b"no image")
    unread = cli("train", "auto", "--data", tmp_path / "data", *given(made)[2:], "--out", out)
    assert unread.code == 2
    setting = cli("train", "auto", *given(made), "--out", out, "--set", "epohcs=3")
    assert setting.code == 2
    assert "did you mean epochs?" in setting.err
    assert not out.exists()


def test_several_processes_take_a_written_recipe(
    made: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    for arguments in (("auto",), ("demo", "--sweep", "lr=1,2")):
        done = cli("train", *arguments, *given(made), "--out", tmp_path / "run")
        assert done.code == 2
        assert "featherseg recipes auto ... > auto.yaml" in done.err


def swept(made: Path, out: Path, *more: Any) -> tuple[Any, ...]:
    small = ("--set", "input_size=32", "--set", "select=validation_dice", *SMALL)
    return ("train", "simplified_unet", *given(made), "--out", out, *small, *more)


def test_a_sweep_trains_in_turn_and_chooses(made: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "sweep"
    done = cli(*swept(made, out, "--sweep", "lr=1e-2,1e-9"))
    assert done.code == 0, done.err
    content = json.loads((out / "sweep.json").read_text())
    assert [run["folder"] for run in content["runs"]] == ["lr=1e-2", "lr=1e-9"]
    best = {}
    for run in content["runs"]:
        stored = json.loads((out / run["folder"] / "run.json").read_text())
        assert run["best"] == stored["best"]
        best[run["folder"]] = (run["best"]["validation_dice"], -run["best"]["validation_loss"])
        assert load_recipe(out / run["folder"] / "recipe.yaml").lr == float(
            run["settings"][0].partition("=")[2]
        )
    assert content["chosen"] == max(best, key=lambda name: best[name])
    assert "chosen" in done.out
    assert f"featherseg export {out / content['chosen']}" in done.out


def test_a_sweep_goes_on_where_it_was_interrupted(made: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "sweep"
    assert cli(*swept(made, out, "--sweep", "seed=1,2")).code == 0
    weights = {seed: (out / f"seed={seed}" / "best.safetensors") for seed in (1, 2)}
    before = {seed: path.read_bytes() for seed, path in weights.items()}
    finished = weights[1].stat().st_mtime_ns
    # As a killed run leaves it.
    (out / "seed=2" / "run.json").unlink()
    (out / "sweep.json").unlink()
    refused = cli(*swept(made, out, "--sweep", "seed=1,2"))
    assert refused.code == 2
    assert "seed=2 is not empty; go on with the run in it by --resume" in refused.err
    assert not (out / "sweep.json").exists()
    done = cli(*swept(made, out, "--sweep", "seed=1,2,3", "--resume"))
    assert done.code == 0, done.err
    assert "seed=1: finished before" in done.err
    assert "seed=2: training" in done.err
    assert weights[1].stat().st_mtime_ns == finished
    assert {seed: path.read_bytes() for seed, path in weights.items()} == before
    assert len(json.loads((out / "sweep.json").read_text())["runs"]) == 3
    other = cli(*swept(made, out, "--sweep", "seed=1,2", "--set", "lr=0.5"))
    assert other.code == 2
    assert "seed=1: this run was trained with another recipe" in other.err


def test_a_value_that_diverges_is_not_chosen(made: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "sweep"
    done = cli(*swept(made, out, "--sweep", "lr=1e30,1e-3"))
    assert done.code == 0, done.err
    content = json.loads((out / "sweep.json").read_text())
    assert content["chosen"] == "lr=1e-3"
    assert content["runs"][0]["best"] is None
    assert content["runs"][0]["failure"].startswith("the loss is")
    assert "diverged" in done.out


def test_a_sweep_of_the_recipe_auto_chooses_it_once(made: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "sweep"
    done = cli("train", "auto", *given(made), "--out", out, *SMALL, "--sweep", "loss=dice,bce")
    assert done.code == 0, done.err
    assert load_recipe(out / "auto.yaml").loss == "dice_bce"
    for loss in ("dice", "bce"):
        assert load_recipe(out / f"loss={loss}" / "recipe.yaml").loss == loss
    assert "loss=bce: finished before" in cli(
        *("train", "auto", *given(made), "--out", out, *SMALL, "--sweep", "loss=dice,bce")
    ).err  # fmt: skip


def test_what_a_sweep_refuses(made: Path, tmp_path: Path, cli: Cli) -> None:
    for sweep, words in (
        ("lr=1e-3", "with two values or more"),
        ("epohcs=1,2", "did you mean epochs?"),
        ("select=validation_loss,validation_dice", "no common score"),
    ):
        done = cli(*swept(made, tmp_path / "sweep", "--sweep", sweep))
        assert done.code == 2
        assert words in done.err
    assert not (tmp_path / "sweep").exists()
    single = tmp_path / "single"
    single.mkdir()
    (single / "recipe.yaml").write_text("a run")
    done = cli(*swept(made, single, "--sweep", "lr=1,2"))
    assert done.code == 2
    assert "holds a single run" in done.err

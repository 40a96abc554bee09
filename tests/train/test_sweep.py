"""Sweeps: which trials there are, how their folders are called, and which one is chosen."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featherseg.errors import DivergedError, FeatherSegError, RecipeError, RunError
from featherseg.train.recipe import Recipe, load_recipe, recipe_sha256
from featherseg.train.sweep import (
    Result,
    Trial,
    check_comparable,
    choose,
    is_finished,
    make_trials,
    run_trials,
    sweep_content,
)

RECIPE = load_recipe("simplified_unet")
PROVENANCE = {"split_sha256": "a" * 64, "fold": None}


def names(*sweeps: str) -> list[str]:
    return [trial.name for trial in make_trials(sweeps)]


def test_values_are_tried_in_the_order_in_which_they_were_given() -> None:
    trials = make_trials(["weight_decay=1e-2,1e-3,1e-4,1e-5,0"])
    assert [trial.name for trial in trials] == [
        f"weight_decay={value}" for value in ("1e-2", "1e-3", "1e-4", "1e-5", "0")
    ]
    decays = [load_recipe("simplified_unet", trial.settings).weight_decay for trial in trials]
    assert decays == [1e-2, 1e-3, 1e-4, 1e-5, 0]


def test_several_sweeps_make_a_grid() -> None:
    assert names("lr=0.1,0.2", "seed=1,2,3") == [
        f"lr={lr},seed={seed}" for lr in (0.1, 0.2) for seed in (1, 2, 3)
    ]


def test_values_keep_the_commas_within_their_brackets() -> None:
    trials = make_trials(["input_size=[32, 64],128", "schedule=null,{patience: 3, factor: 0.5}"])
    sizes = {load_recipe("simplified_unet", trial.settings).input_size for trial in trials}
    assert sizes == {(32, 64), (128, 128)}
    schedules = [load_recipe("simplified_unet", trial.settings).schedule for trial in trials]
    assert schedules.count(None) == 2


@pytest.mark.parametrize(
    "sweep", ["lr", "lr=", "=1,2", "lr=1e-3", "lr=1,1", "lr=[1,2", "lr=1,{", "lr=,"]
)
def test_what_is_no_sweep_is_refused(sweep: str) -> None:
    with pytest.raises(RecipeError, match="--sweep"):
        make_trials([sweep])


def test_a_key_is_swept_once() -> None:
    with pytest.raises(RecipeError, match="--sweep lr is given twice"):
        make_trials(["lr=1,2", "lr=3,4"])


@given(values=st.lists(st.text(max_size=60), min_size=2, max_size=5, unique=True))
def test_every_trial_has_a_safe_folder_of_its_own(values: list[str]) -> None:
    try:
        trials = make_trials([f"network={','.join(json.dumps(value) for value in values)}"])
    except FeatherSegError:
        return
    folders = [trial.name for trial in trials]
    assert len(set(folders)) == len(folders)
    for folder in folders:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.,=+-]{0,99}", folder)


def test_a_path_among_the_values_stays_below_out(tmp_path: Path) -> None:
    folders = names("network_options.pretrained=../../w.safetensors,/w.safetensors")
    assert len(set(folders)) == 2
    for folder in folders:
        assert (tmp_path / folder).resolve().parent == tmp_path.resolve()


def test_scores_that_mean_different_things_are_not_compared() -> None:
    check_comparable([RECIPE, replace(RECIPE, loss="bce")])
    by_loss = replace(RECIPE, select="validation_loss")
    check_comparable([by_loss, replace(by_loss, lr=1.0)])
    with pytest.raises(RecipeError, match="losses bce, weight_balance cannot be compared"):
        check_comparable([by_loss, replace(by_loss, loss="bce")])
    with pytest.raises(RecipeError, match="sweep of select"):
        check_comparable([RECIPE, by_loss])
    with pytest.raises(RecipeError, match="sweep of classes"):
        check_comparable([RECIPE, replace(RECIPE, classes=("benign",))])


def result(name: str, dice: float, loss: float) -> Result:
    best = {"epoch": 1, "validation_dice": dice, "validation_loss": loss}
    return Result(Trial(name, (name,)), best)


DIVERGED = Result(Trial("d", ("d",)), None, "the loss is nan")


@pytest.mark.parametrize(
    ("select", "chosen"),
    [("validation_dice", "c"), ("last_epoch", "c"), ("validation_loss", "a")],
)
def test_the_best_is_chosen_by_the_recipes_rule(select: str, chosen: str) -> None:
    results = [DIVERGED, result("a", 0.5, 0.1), result("b", 0.7, 0.4), result("c", 0.7, 0.3)]
    assert choose(results, select).trial.name == chosen
    assert choose(results[::-1], select).trial.name == chosen


def test_of_equal_ones_the_first_is_chosen() -> None:
    results = [result(name, 0.5, 0.1) for name in "abc"]
    assert choose(results, "validation_dice").trial.name == "a"


def test_nothing_is_chosen_where_nothing_came_to_an_end() -> None:
    with pytest.raises(RunError, match=r"none of the 2 trainings .* the loss is nan"):
        choose([DIVERGED, DIVERGED], "validation_dice")


def pretended(scores: Sequence[float | Exception]) -> Callable[[Recipe, Path], None]:
    """A training that only writes what the next of `scores` says."""
    left = iter(scores)

    def train(recipe: Recipe, folder: Path) -> None:
        score = next(left)
        if isinstance(score, Exception):
            raise score
        folder.mkdir(parents=True)
        best = {"epoch": 1, "validation_dice": score, "validation_loss": 1 - score}
        known = {"schema": 1, **PROVENANCE, "recipe_sha256": recipe_sha256(recipe), "best": best}
        (folder / "run.json").write_text(json.dumps(known))

    return train


PLANNED = [(trial, load_recipe("demo", trial.settings)) for trial in make_trials(["lr=1,2,3"])]


def test_a_training_that_diverges_is_a_result_and_others_go_on(tmp_path: Path) -> None:
    train = pretended([0.5, DivergedError("the loss is nan"), 0.6])
    results = run_trials(PLANNED, tmp_path, train)
    content = sweep_content(
        results,
        choose(results, "validation_dice"),
        "validation_dice",
        ("simplified_unet", ["epochs=1"]),
    )
    assert content["chosen"] == "lr=3"
    assert content["settings"] == ["epochs=1"]
    assert [run["failure"] for run in content["runs"]] == ["", "the loss is nan", ""]
    bests: list[Any] = [run["best"] for run in content["runs"]]
    assert bests[1] is None
    assert [bests[0]["validation_dice"], bests[2]["validation_dice"]] == [0.5, 0.6]


def test_other_errors_end_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="full"):
        run_trials(PLANNED, tmp_path, pretended([0.5, RunError("full"), 0.6]))


def test_only_a_run_of_the_same_recipe_and_split_is_finished(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert not is_finished(folder, RECIPE, PROVENANCE)
    pretended([0.5])(RECIPE, folder)
    assert is_finished(folder, RECIPE, PROVENANCE)
    for recipe, provenance, word in (
        (replace(RECIPE, lr=1.0), PROVENANCE, "recipe"),
        (RECIPE, PROVENANCE | {"split_sha256": "b" * 64}, "split"),
        (RECIPE, PROVENANCE | {"fold": 1}, "fold"),
    ):
        with pytest.raises(RunError, match=f"trained with another {word}"):
            is_finished(folder, recipe, provenance)
    (folder / "run.json").write_text("[]")
    with pytest.raises(RunError, match="expected a finished run"):
        is_finished(folder, RECIPE, PROVENANCE)

"""One recipe under several settings: which runs there are, and which of them validates best."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from featherseg.errors import DivergedError, RecipeError, RunError
from featherseg.storage import sha256_bytes
from featherseg.train.commented import one_line
from featherseg.train.files import RUN_FILE
from featherseg.train.recipe import Recipe, recipe_sha256
from featherseg.train.run import read_run
from featherseg.train.validate import rank

SWEEP_FILE = "sweep.json"
SCHEMA = 1
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,=+-]*")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.,=+-]+")
_LONGEST_NAME, _KEPT_OF_NAME, _DIGITS = 100, 80, 8


@dataclass(frozen=True)
class Trial:
    """One run of a sweep: its folder's name and its settings ("key=value")."""

    name: str
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What became of a trial.

    ``best`` is the entry of the epoch whose weights were kept: `epoch`, `validation_dice` and
    `validation_loss`. It is None where the loss stopped being finite, as ``failure`` says.
    """

    trial: Trial
    best: Mapping[str, Any] | None
    failure: str = ""


def make_trials(sweeps: Sequence[str]) -> tuple[Trial, ...]:
    """Every combination of the values of each "KEY=V1,V2,...", the last key's changing fastest.

    Values are YAML and keep their commas within brackets. Raises RecipeError for anything else,
    a key or a value that comes twice, and a key with a single value.
    """
    axes = [_axis(sweep) for sweep in sweeps]
    keys = [axis[0].partition("=")[0] for axis in axes]
    for key in keys:
        if keys.count(key) > 1:
            raise RecipeError(f"--sweep {key} is given twice; name all of its values in one")
    return tuple(Trial(_folder_name(each), each) for each in itertools.product(*axes))


def check_comparable(recipes: Sequence[Recipe]) -> None:
    """Raise RecipeError where the validation scores of these recipes' runs mean different things.

    That is so where runs select by different rules or validate on images of different classes,
    and for the loss where it is not the same.
    """
    for key in ("select", "classes"):
        if any(getattr(recipe, key) != getattr(recipes[0], key) for recipe in recipes):
            raise RecipeError(
                f"a sweep of {key} has no common score to choose by; "
                "train each by itself and use: featherseg compare"
            )
    losses = {recipe.loss for recipe in recipes}
    if len(losses) > 1 and recipes[0].select == "validation_loss":
        raise RecipeError(
            f"the losses {', '.join(sorted(losses))} cannot be compared by the validation loss; "
            "add --set select=validation_dice"
        )


def run_trials(
    planned: Sequence[tuple[Trial, Recipe]], out: Path, train: Callable[[Recipe, Path], object]
) -> list[Result]:
    """Train each recipe into its trial's folder in `out`, one after the other.

    A training whose loss stops being finite is a result like others; all other errors end it.
    """
    results = []
    for trial, recipe in planned:
        folder = out / trial.name
        try:
            train(recipe, folder)
        except DivergedError as error:
            results.append(Result(trial, None, str(error)))
        else:
            results.append(Result(trial, read_run(folder)["best"]))
    return results


def is_finished(folder: Path, recipe: Recipe, provenance: Mapping[str, Any]) -> bool:
    """Whether `folder` holds a finished run of this recipe, split and fold.

    Raises RunError where it holds one of others.
    """
    if not (folder / RUN_FILE).is_file():
        return False
    content = read_run(folder)
    expected = {
        "recipe_sha256": recipe_sha256(recipe),
        "split_sha256": provenance["split_sha256"],
        "fold": provenance["fold"],
    }
    for name, value in expected.items():
        if content.get(name) != value:
            raise RunError(
                f"{folder}: this run was trained with another {name.removesuffix('_sha256')}; "
                "choose another --out"
            )
    return True


def choose(results: Sequence[Result], select: str) -> Result:
    """The result that validates best by the recipe's rule (`rank`); the first one where several do.

    Raises RunError where no training came to an end.
    """
    finished = [result for result in results if result.best is not None]
    if not finished:
        raise RunError(
            f"none of the {len(results)} trainings of the sweep came to an end; the first one: "
            f"{results[0].failure}"
        )
    return max(finished, key=lambda result: rank(result.best or {}, select))


def sweep_content(
    results: Sequence[Result], chosen: Result, select: str, begun: tuple[str, Sequence[str]]
) -> dict[str, Any]:
    """What sweep.json holds; `begun` is the recipe and the settings that all trials began with."""
    recipe, settings = begun
    return {
        "schema": SCHEMA,
        "recipe": recipe,
        "settings": list(settings),
        "chosen_by": "validation_loss" if select == "validation_loss" else "validation_dice",
        "chosen": chosen.trial.name,
        "runs": [
            {
                "folder": result.trial.name,
                "settings": list(result.trial.settings),
                "best": result.best and dict(result.best),
                "failure": result.failure,
            }
            for result in results
        ],
    }


def _axis(sweep: str) -> tuple[str, ...]:
    """The settings "KEY=V1", "KEY=V2", ... of one "KEY=V1,V2,..."."""
    key, _, text = sweep.partition("=")
    try:
        values = yaml.safe_load(f"[{text}]")
    except yaml.YAMLError:
        values = None
    if not key or not isinstance(values, list) or len(values) < 2:
        raise RecipeError(
            f"expected --sweep KEY=V1,V2,... with two values or more, got '{sweep}'; "
            "one value is given by --set"
        )
    settings = tuple(f"{key}={one_line(value)}" for value in values)
    if len(set(settings)) < len(settings):
        raise RecipeError(f"expected different values, got --sweep '{sweep}'")
    return settings


def _folder_name(settings: Sequence[str]) -> str:
    """The settings as they are where a folder can be called so, else with a hash of them."""
    name = ",".join(settings)
    if len(name) <= _LONGEST_NAME and _SAFE_NAME.fullmatch(name):
        return name
    safe = _UNSAFE.sub("_", name)[:_KEPT_OF_NAME].lstrip(".,-+=") or "_"
    return f"{safe}-{sha256_bytes(name.encode())[:_DIGITS]}"

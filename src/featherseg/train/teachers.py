"""Teachers: finished runs that a student learns from, found and checked before they are asked.

A teacher is one run, or several (the folds of a cross-validation) whose answers are averaged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from featherseg.datasets.layout import load_json, named
from featherseg.datasets.pack import Packed
from featherseg.errors import DataError, RecipeError, RunError
from featherseg.losses import LOSSES, Loss
from featherseg.networks.names import did_you_mean
from featherseg.splits import Split, subset
from featherseg.storage import sha256_file
from featherseg.train.files import BEST, SPLIT_FILE
from featherseg.train.recipe import Recipe
from featherseg.train.run import load_run, read_run

Folders = Mapping[str, Sequence[Path]]


@dataclass(frozen=True, eq=False)
class Student:
    """What a teacher must fit: a recipe, the labels and images, and `fit`'s provenance."""

    recipe: Recipe
    labels: tuple[str, ...]
    images_sha256: str
    provenance: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The networks of one teacher, in evaluation mode, and the loss that each was trained by."""

    name: str
    networks: tuple[nn.Module, ...]
    losses: tuple[Loss, ...]


def teacher_folders(recipe: Recipe, given: Folders | None = None) -> dict[str, tuple[Path, ...]]:
    """The run folders of each teacher of a recipe, in its order; empty without `distill`.

    `given` stands before the runs that the recipe names. Raises RecipeError for a teacher that
    has no run yet, and for a given one that the recipe does not know.
    """
    teachers = recipe.distill.teachers if recipe.distill else ()
    names = [teacher.name for teacher in teachers]
    for name in given or {}:
        if name not in names:
            known = f"expected one of {', '.join(names)}" if names else "the recipe has no teachers"
            raise RecipeError(f"unknown teacher '{name}'; {known}{did_you_mean(name, names)}")
    found = {}
    for teacher in teachers:
        folders = (given or {}).get(teacher.name) or tuple(map(Path, teacher.runs))
        if not folders:
            raise RecipeError(
                f"the teacher '{teacher.name}' is yet to be trained (recipe {teacher.recipe}); "
                "train teachers and student with: featherseg distill"
            )
        found[teacher.name] = tuple(folders)
    return found


def check_teachers(
    recipe: Recipe, given: Folders | None, data: Packed, provenance: Mapping[str, Any]
) -> None:
    """Refuse teachers that cannot teach a student of this recipe and data, or must not.

    `provenance` is the student's, as `fit` takes it. Raises RecipeError, RunError or DataError;
    see `check_runs`.
    """
    if recipe.distill and recipe.distill.finetune and recipe.distill.view == "original":
        raise RecipeError(
            "distill: teachers that are fine-tuned see the images as the student does; "
            "set distill.view=augmented, or distill.finetune=false"
        )
    student = Student(recipe, data.labels, data.images_sha256, provenance)
    for name, folders in teacher_folders(recipe, given).items():
        check_runs(name, folders, student)


def check_runs(name: str, folders: Sequence[Path], student: Student) -> None:
    """Refuse a teacher's runs that do not fit a student, or that would leak.

    They must be finished, have the student's input size, channels and labels, and must not have
    been trained or chosen on images that the student is tested on: what they learned there would
    reach the student.
    """
    for folder in folders:
        where = f"teacher '{name}' ({folder})"
        content = read_run(folder)
        _check_fit(content, student, where)
        if content.get("images_sha256") == student.images_sha256:
            check_unseen(folder, content, student.provenance, where)


def load_teachers(
    recipe: Recipe, given: Folders | None, device: torch.device
) -> tuple[Ensemble, ...]:
    """The teachers' networks with their best weights, on `device`, in the recipe's order."""
    ensembles = []
    for name, folders in teacher_folders(recipe, given).items():
        runs = [load_run(folder) for folder in folders]
        networks = tuple(run.network.to(device) for run in runs)
        ensembles.append(Ensemble(name, networks, tuple(LOSSES[run.recipe.loss] for run in runs)))
    return tuple(ensembles)


def describe_teachers(recipe: Recipe, given: Folders | None) -> list[dict[str, Any]]:
    """What names the teachers' runs: teacher, network, SHA-256 of weights; one entry a run."""
    return [
        {
            "name": name,
            "network": read_run(folder)["network"]["name"],
            "sha256": sha256_file(folder / BEST),
        }
        for name, folders in teacher_folders(recipe, given).items()
        for folder in folders
    ]


def _check_fit(content: Mapping[str, Any], student: Student, where: str) -> None:
    expected, recipe = content["preprocessing"], student.recipe
    size, channels = tuple(expected["input_size"]), expected["channels"]
    if (size, channels) != (recipe.input_size, recipe.in_channels):
        raise RecipeError(
            f"{where}: expected a network for {_shape(recipe.input_size, recipe.in_channels)}, as "
            f"the student's, got one for {_shape(size, channels)}; train both at one size"
        )
    labels = tuple(content["labels"])
    # A single label may be called anything, as everywhere.
    if labels != student.labels and not len(labels) == len(student.labels) == 1:
        raise DataError(
            f"{where}: expected the labels {', '.join(student.labels)} of the student's data, "
            f"got {', '.join(labels)}; choose a teacher of these labels"
        )


def check_unseen(
    folder: Path, content: Mapping[str, Any], provenance: Mapping[str, Any], where: str
) -> None:
    """RunError where a run knows images that a new one is tested on.

    `content` is its run.json, of the same images; `provenance` is the new run's, as `fit` takes
    it; `where` stands in the message.
    """
    known = (content.get("split_sha256", ""), content.get("fold"))
    if known == (provenance.get("split_sha256", ""), provenance.get("fold")):
        return
    tested = _cases(provenance.get("split"), ("test",), provenance.get("fold"))
    if not tested:
        return
    path = folder / SPLIT_FILE
    if not path.is_file():
        raise RunError(
            f"{where}: it was trained with another split of these images and keeps no "
            f"{SPLIT_FILE} to say which, so it may know this training's test images; train it anew"
        )
    seen = _cases(load_json(path), ("train", "validation"), content.get("fold"))
    shared = sorted(seen & tested)
    if shared:
        raise RunError(
            f"{where}: it was trained with {len(shared)} of this training's test images "
            f"({named(shared)}), which would leak into the scores; train it with this "
            "training's split and fold"
        )


def _cases(content: Any, parts: Sequence[str], fold: int | None) -> set[str]:
    """The cases of some subsets of a split file's content; of no fold, all train."""
    if not isinstance(content, dict):
        return set()
    known: dict[str, Any] = {field.name: content.get(field.name) for field in fields(Split)}
    split = Split(**known)
    if split.folds is not None and fold is None:
        return {case for ids in split.folds for case in ids} if "train" in parts else set()
    return {case for part in parts for case in subset(split, part, fold)}


def _shape(size: Sequence[int], channels: int) -> str:
    return f"{size[0]}x{size[1]} pixels with {channels} channel(s)"

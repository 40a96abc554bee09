"""The recipe `auto`, which is chosen from the data: for `train` and `recipes`."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from featherseg.splits import Split
    from featherseg.train.recipe import Recipe


def choose_recipe(
    data: Path,
    layout: str | None,
    split: "Split",
    *,
    fold: int | None,
    settings: "Sequence[str]",
) -> "tuple[Recipe, str]":
    """The recipe for these data on this machine, changed by `settings`, and its commented YAML."""
    from featherseg.cli.console import tracked
    from featherseg.train.auto import auto_recipe
    from featherseg.train.commented import commented_yaml
    from featherseg.train.fingerprint import fingerprint_of
    from featherseg.train.machine import this_machine
    from featherseg.train.recipe import with_settings

    machine = this_machine()
    found = fingerprint_of(
        data, layout, split, fold=fold, progress=lambda cases: tracked(cases, "measuring")
    )
    chosen, reasons = auto_recipe(found, machine)
    recipe = with_settings(chosen, settings)
    device = {"cpu": "a processor", "cuda": "a GPU"}[machine.device]
    head = f"# Chosen by `auto` from {found.images} training images ({split.layout}) for {device}\n"
    return recipe, head + commented_yaml(recipe, chosen, reasons)

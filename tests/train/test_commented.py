"""Recipes with a comment behind every line, and what is read back from them."""

from dataclasses import fields
from pathlib import Path

import pytest

from featherseg.train.auto import auto_recipe
from featherseg.train.commented import commented_yaml
from featherseg.train.fingerprint import Fingerprint
from featherseg.train.machine import Machine
from featherseg.train.recipe import Recipe, load_recipe, with_settings
from featherseg.train.sections import Augment

FOUND = Fingerprint(400, (600, 600), 3, 1, 0.1, 0.06, 0.05)
MACHINE = Machine("cuda", 16 * 10**9)


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("augment.scale=0.3", "lr=1e-5"),
        ("schedule={patience: 3, factor: 0.5}", "early_stop={patience: 4}"),
        ("schedule=null", "network=laednet_s", "network_options={pretrained: false}"),
        ("classes=[benign, 'a # b']",),
        (
            "distill.teachers=[{name: a, runs: [x, y]}]",
            "distill.weights=[0.7]",
        ),
    ],
)
def test_every_line_has_its_reason_and_is_read_back_equal(
    settings: tuple[str, ...], tmp_path: Path
) -> None:
    recipe, reasons = auto_recipe(FOUND, MACHINE)
    changed = with_settings(recipe, settings)
    text = commented_yaml(changed, recipe, reasons)
    path = tmp_path / "auto.yaml"
    path.write_text(text)
    assert load_recipe(path) == changed
    lines = text.splitlines()
    assert all(line.partition("  # ")[2].strip() for line in lines)
    keys = {line.split(":")[0].strip() for line in lines}
    assert {field.name for field in fields(Recipe)} <= keys
    assert {field.name for field in fields(Augment)} <= keys
    by_hand = {line.split(":")[0].strip() for line in lines if "given with --set" in line}
    named = {setting.split("=")[0].split(".")[-1] for setting in settings}
    assert named & keys <= by_hand
    assert not by_hand or settings


def test_reasons_are_given_for_nothing_else() -> None:
    recipe, reasons = auto_recipe(FOUND, MACHINE)
    text = commented_yaml(recipe, recipe, reasons)
    assert len(reasons) == len(text.splitlines())
    assert all(reason in text for reason in reasons.values())

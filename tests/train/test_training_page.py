"""docs/training.md: its commands exist with their options, and its settings can be given."""

import re
import shlex
from typing import Any

import pytest
import typer

from featherseg.cli import app
from featherseg.train.recipe import load_recipe
from featherseg.train.sweep import make_trials
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "training.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if "featherseg " in line]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_exists_with_its_options(line: str) -> None:
    _, _, call = line.rpartition("featherseg ")
    command: Any = typer.main.get_command(app)
    words = shlex.split(call)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    used = {word for word in words if word.startswith("--")}
    assert used <= known


def test_every_setting_can_be_given() -> None:
    quoted = re.findall(r'--set (?:"([^"]+)"|([a-z_.]+=[^\s`"]+))', PAGE)
    settings = [one or other for one, other in quoted]
    assert len(settings) >= 6
    for setting in settings:
        load_recipe("simplified_unet", [setting])
    schedules = re.findall(r"`(\{[^}]+\}|null)`", PAGE)
    assert len(schedules) == 3
    for schedule in schedules:
        load_recipe("simplified_unet", [f"schedule={schedule}"])


def test_every_sweep_can_be_given() -> None:
    quoted = re.findall(r'--sweep (?:"([^"]+)"|([a-z_]+=[^\s`"]+))', PAGE)
    sweeps = [one or other for one, other in quoted]
    assert len(sweeps) >= 4
    for sweep in sweeps:
        for trial in make_trials([sweep]):
            load_recipe("simplified_unet", trial.settings)

"""The table of extras is pyproject's, and a missing one is one clear line."""

import re
import tomllib
from pathlib import Path

import pytest

from featherseg import extras
from featherseg.errors import MissingExtraError

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def test_the_table_is_that_of_pyproject() -> None:
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    names = {
        extra: {
            match.group()
            for line in lines
            if not line.startswith("featherseg[") and (match := re.match(r"[A-Za-z0-9-]+", line))
        }
        for extra, lines in declared.items()
    }
    assert names == {extra: set(packages) for extra, packages in extras.EXTRAS.items()}


def test_what_is_installed_passes() -> None:
    extras.require("evaluate", "train")


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "installed_version", lambda package: None)
    with pytest.raises(MissingExtraError, match=r"'jinja2'.*pip install 'featherseg\[evaluate\]'"):
        extras.require("evaluate")

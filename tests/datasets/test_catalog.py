"""The table of layouts, as the command line and the documentation tell it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from featherseg.datasets import DATASETS
from tests.conftest import Called

Cli = Callable[..., Called]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "datasets.md"


def test_every_layout_says_what_it_is() -> None:
    for name, layout in DATASETS.items():
        assert layout.about, name
        assert layout.groups, name
        assert layout.license, name
        if layout.expected:
            assert "doi:" in layout.citation or "https://" in layout.citation, name


def test_the_document_says_the_same() -> None:
    text = DOCUMENT.read_text()
    for name, layout in DATASETS.items():
        assert f"`{name}`" in text, name
        if layout.expected:
            for fact in (layout.license, layout.citation, layout.groups):
                assert fact in text, (name, fact)


def test_the_list_as_json(cli: Cli) -> None:
    called = cli("data", "layouts", "--json")
    assert (called.code, called.err) == (0, "")
    known = {each["name"]: each for each in json.loads(called.out)}
    assert list(known) == list(DATASETS)
    assert known["busi"]["expected"] == {"benign": 437, "malignant": 210, "normal": 133}
    assert known["bp"]["groups"] == "subject (1 in 1_23)"
    assert known["folder"]["expected"] is None
    assert known["hc18"]["license"] == "CC BY 4.0"
    assert "0200412" in known["hc18"]["citation"]


def test_the_list_for_people(cli: Cli) -> None:
    called = cli("data", "layouts")
    assert called.code == 0
    lines = [line.strip() for line in called.out.splitlines()]
    for name, layout in DATASETS.items():
        assert f"{name}  {layout.about}" in lines
    assert any(line.split() == ["images", "5635"] for line in lines)


@pytest.mark.parametrize(
    "verb", [("data", "audit"), ("data", "split"), ("data", "pack"), ("evaluate",)]
)
def test_help_points_to_the_list(cli: Cli, verb: tuple[str, ...]) -> None:
    assert "featherseg data layouts" in " ".join(cli(*verb, "--help").out.split())

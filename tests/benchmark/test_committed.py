"""benchmarks/README.md shows the run that is committed."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from featherseg.benchmark.table import markdown
from tests.benchmark.test_table import content
from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "benchmarks" / "last_run.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("last_run", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_that_of_the_committed_run(script: ModuleType) -> None:
    text = script.README.read_text()
    assert script.START in text
    assert script.with_last_run(text) == text, "run: python benchmarks/last_run.py"


def test_a_run_is_shown_between_the_markers_alone(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "FULL", tmp_path)
    before = f"head\n{script.START}\nold\n{script.END}\ntail\n"
    assert script.NONE in script.with_last_run(before)
    (tmp_path / "benchmark.json").write_text(json.dumps(content()))
    shown = script.with_last_run(before)
    assert shown == f"head\n{script.START}\n{markdown(content()).strip()}\n{script.END}\ntail\n"
    (tmp_path / "accuracy_latency.svg").write_text("<svg/>")
    assert "](full/accuracy_latency.svg)" in script.with_last_run(before)
    assert script.with_last_run(shown) == script.with_last_run(before)

"""What the documents say can be done is done here."""

import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import typer

from featherseg.cli import app
from featherseg.datasets.phantom import write_phantom
from featherseg.storage import sha256_bytes
from tests.conftest import REPOSITORY
from tests.tiny import write_tiny_bundle

README = (REPOSITORY / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line.split("#")[0].strip() for line in lines if line.startswith("featherseg ")]


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = blocks("python")
    write_tiny_bundle(tmp_path / "demo" / "bundle")
    write_phantom(tmp_path / "demo" / "fresh", 1, seed=1, size=(64, 64))
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.startswith("tiny ('lesion',)")
    assert "foreground pixels" in printed


@pytest.mark.parametrize("line", commands())
def test_every_command_in_the_readme_exists_with_its_options(line: str) -> None:
    command: Any = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    used = {word for word in words if word.startswith("--")}
    assert used <= known


def script(path: str) -> ModuleType:
    """A script of the repository, as a module; it finds those beside it, as when it is run."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, REPOSITORY / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.object(sys, "path", [str((REPOSITORY / path).parent), *sys.path]):
        spec.loader.exec_module(module)
    return module


def test_the_score_table_is_made_from_the_committed_cases() -> None:
    made = script("results/make_tables.py")
    assert made.with_table(README) == README, "run: python results/make_tables.py"
    for name, summary in made.summaries().items():
        table = (REPOSITORY / "results" / name / "cases.csv").read_bytes()
        assert summary["cases_sha256"] == sha256_bytes(table)
        assert f"({summary['n_lesion']} with a lesion)" in README


def test_the_page_of_gates_is_made_from_the_committed_reports() -> None:
    made = script("results/int8_gates.py")
    assert made.page() == (made.FOLDER / "gates.md").read_text(), (
        "run: python results/int8_gates.py"
    )
    reports = [json.loads(path.read_text()) for path in made.FOLDER.glob("*.json")]
    assert len(reports) == 4
    assert all(report["passed"] for report in reports)
    assert made.page().count("| 0 | ") == 4  # nothing is newly missed


def test_the_networks_pages_are_those_of_the_cards() -> None:
    made = script("docs/networks/make_cards.py").pages()
    assert {path.name for path in made} == {
        path.name for path in (REPOSITORY / "docs" / "networks").glob("*.md")
    }
    for path, text in made.items():
        assert path.read_text() == text, "run: python docs/networks/make_cards.py"


def test_every_file_of_the_package_is_within_the_limits_of_the_house() -> None:
    files = sorted((REPOSITORY / "src").rglob("*.py"))
    long = {
        path.name: count for path in files if (count := len(path.read_text().splitlines())) > 400
    }
    assert not long


def test_the_benchmark_table_is_that_of_the_committed_outputs() -> None:
    folder = REPOSITORY / "benchmarks"
    table = (folder / "README.md").read_text()

    def shows(value: str, name: str) -> bool:
        return f"| {value} | `{name}.json` |" in table

    def stored(name: str) -> Any:
        return json.loads((folder / "results" / f"{name}.json").read_text())

    for name in ("openvino-avx2", "onnxruntime-avx2", "openvino-avx512"):
        start = stored(f"startup-{name}")
        seconds, mb = start["wall_s"]["median"], start["peak_mb"]["median"]
        assert shows(f"{seconds:.2f} s, {mb:.0f} MB", f"startup-{name}")
    for name, precision in (("training-avx2", "32-true"), ("training-avx512", "bf16-mixed")):
        step = stored(name)["results"][f"loop ({precision})"]["times_eager_f32"]
        assert shows(f"{step:.1f} times", name)
    assert shows(
        f"{stored('training-avx512')['with_data_times_fixed_batch']:.2f} times", "training-avx512"
    )
    compiled = stored("training-avx512")["results"]["compiled loop (bf16-mixed)"]
    assert shows(f"{compiled['times_eager_f32']:.1f} times", "training-avx512")
    for network in ("simplified_unet", "feathernet_s"):
        name = f"training-128-{network}-avx512"
        trained = stored(name)["results"]["loop with data (bf16-mixed)"]["images_per_s"]
        assert shows(f"{trained:.0f} images/s", name)
    for name in ("pipeline-256-avx512", "pipeline-512-avx512"):
        measured = stored(name)
        rate = measured["frames_per_s"]["2 streams, 3 begun"]["median"]
        assert shows(f"{measured['steps_ms']['pre- and post-processing']:.2f} ms", name)
        assert shows(f"{rate:.0f} frames/s", name)
    growth = stored("stream-avx512")["growth_mb_per_10000_frames"]
    assert growth < 1
    assert shows(f"{growth:.2f} MB", "stream-avx512")


def test_the_speeds_in_words_are_those_of_the_committed_run() -> None:
    run = json.loads((REPOSITORY / "benchmarks" / "full" / "benchmark.json").read_text())
    ms = {
        (subject["name"], way["runtime"], way["precision"]): way["latency"]["p50_ms"]
        for subject in run["subjects"]
        for way in subject["contenders"]
        if way["note"] != "not fused"
    }
    eager = ms["simplified_unet", "torch", "f32"]
    theirs = ms["simplified_unet", "openvino", "int8"]
    ours = ms["feathernet_s", "openvino", "int8"]
    for text in (README, (REPOSITORY / "docs" / "feathernet.md").read_text()):
        words = " ".join(text.split())
        for value in (eager, theirs, ours):
            assert f"{value:.1f} ms" in words
    assert f"{eager / ours:.0f} times as long" in words
    assert f"{theirs / ours:.1f} times as long" in words
    for name in ("feathernet_s", "laednet_s", "simplified_unet", "alnet", "lighter_unet_16"):
        assert f"{ms[name, 'onnxruntime', 'f32']:.1f}" in words

"""`featherseg export`: which precision a bundle gets, and what does not go together."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import featherseg.export as floats
import featherseg.export.images as choosing
import featherseg.export.int8 as integers
import featherseg.export.trained as reading
import featherseg.train.run as runs
from featherseg.bundle import load_bundle
from featherseg.compress.gate import GateCase
from featherseg.export import Trained
from featherseg.export.images import QuantizingImages
from featherseg.preprocess import Preprocessing, normalize
from featherseg.runtime import cpu
from featherseg.types import Image
from tests.conftest import Cli
from tests.tiny import SIZE, blob_images, tiny_facts, tiny_logits, tiny_onnx


class Tiny(nn.Module):
    """The network of `tiny_onnx`, in torch."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(0.0))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(tiny_logits(batch.detach().numpy(), 1)) + self.shift


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that is read, exported and quantized without its slow parts."""

    def write(network: nn.Module, preprocessing: Any, path: Path) -> None:
        onnx.save(tiny_onnx(1, 3), path)

    gray, masks = blob_images(8, seed=2)
    images = np.repeat(gray[..., np.newaxis], 3, axis=3)
    trained = Trained(Tiny(), images, masks, tiny_facts(("lesion",), 3, gray))
    cases = [
        GateCase(Image(pixels, None, "memory"), mask, str(at))
        for at, (pixels, mask) in enumerate(zip(gray, masks, strict=True))
    ]
    batch = normalize(images, Preprocessing(SIZE))
    chosen = QuantizingImages(batch, lambda: iter(cases), len(cases), "validation")
    for module in (floats, integers):
        monkeypatch.setattr(module, "write_onnx", write)
    monkeypatch.setattr(floats, "read_trained", lambda folder: trained)
    monkeypatch.setattr(reading, "trained_of", lambda run: trained)
    monkeypatch.setattr(runs, "load_run", lambda folder: None)
    monkeypatch.setattr(choosing, "quantizing_images", lambda *given: chosen)
    return tmp_path / "run"


def has(monkeypatch: pytest.MonkeyPatch, **units: bool) -> None:
    """Pretend that the processor has these vector units and none of the others."""
    none: dict[str, Any] = dict.fromkeys(("vnni", "amx_bf16", "amx_int8"), False)
    able = replace(cpu.capabilities(), **{**none, **units})
    monkeypatch.setattr(cpu, "capabilities", lambda: able)


def shut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featherseg.compress.gate.LARGEST_FALL", -1.0)
    monkeypatch.setattr(integers, "KEPT_SHARES", (0.5,))


def test_auto_is_int8_where_the_data_are_given_and_the_processor_has_it(
    run: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(monkeypatch, vnni=True)
    report = tmp_path / "gate.json"
    ended = cli("export", run, "--out", tmp_path / "b", "--data", tmp_path, "--report", report)
    assert ended.code == 0, ended.err
    assert load_bundle(tmp_path / "b").manifest.precision == "int8"
    assert "gate passed" in ended.err
    content = json.loads(report.read_text())
    assert (content["run"], content["passed"], len(content["tried"])) == ("run", True, 1)


@pytest.mark.parametrize(
    ("units", "options", "reason"),
    [
        ({"vnni": True}, (), "int8 would need --data"),
        ({}, ("--data", "D"), "no int8 instructions"),
        ({"vnni": True}, ("--data", "D", "--weights", "fp16"), "--weights fp16 was asked for"),
    ],
)
def test_auto_says_why_it_is_not_int8(
    run: Path,
    tmp_path: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    units: dict[str, bool],
    options: tuple[str, ...],
    reason: str,
) -> None:
    has(monkeypatch, **units)
    ended = cli("export", run, "--out", tmp_path / "b", *options)
    assert ended.code == 0, ended.err
    assert reason in ended.err
    assert "(here: f32)" in ended.err
    assert load_bundle(tmp_path / "b").manifest.precision == "auto"


def test_a_shut_gate_sends_auto_back_to_floats(
    run: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(monkeypatch, amx_int8=True)
    shut(monkeypatch)
    report = tmp_path / "gate.json"
    ended = cli("export", run, "--out", tmp_path / "b", "--data", tmp_path, "--report", report)
    assert ended.code == 0, ended.err
    assert "int8 did not pass its gate" in ended.err
    manifest = load_bundle(tmp_path / "b").manifest
    assert (manifest.precision, manifest.gate) == ("auto", None)
    content = json.loads(report.read_text())
    assert content["passed"] is False
    assert len(content["tried"]) == ended.err.count("gate shut") == 5


def test_a_shut_gate_refuses_int8_with_its_figures(
    run: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut(monkeypatch)
    out = tmp_path / "b"
    ended = cli("export", run, "--out", out, "--precision", "int8", "--data", tmp_path)
    assert ended.code == 2
    last = ended.err.strip().splitlines()[-1]
    assert "no bundle was written" in last
    assert "95 % interval" in last
    assert not out.exists()


@pytest.mark.parametrize(("asked", "stored"), [("fp32", "f32"), ("bf16", "bf16")])
def test_floats_that_are_asked_for(
    run: Path,
    tmp_path: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    stored: str,
) -> None:
    has(monkeypatch, vnni=True)
    ended = cli("export", run, "--out", tmp_path / "b", "--precision", asked)
    assert ended.code == 0, ended.err
    assert load_bundle(tmp_path / "b").manifest.precision == stored
    assert ("slower than f32" in ended.err) is (asked == "bf16")
    assert f"* Precision: {stored}" in (tmp_path / "b" / "README.md").read_text()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--precision", "int8"), "name their folder or pack with --data"),
        (("--precision", "int8", "--data", "D", "--weights", "fp16"), "not for int8"),
        (("other", "--precision", "int8", "--data", "D"), "is for one run, got 2"),
        (("--precision", "fp32", "--data", "D"), "fp32 needs none"),
        (("--report", "gate.json"), "needs --data"),
    ],
)
def test_what_does_not_go_together(
    run: Path, tmp_path: Path, cli: Cli, options: tuple[str, ...], reason: str
) -> None:
    ended = cli("export", run, "--out", tmp_path / "b", *options)
    assert ended.code == 2
    assert reason in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "b").exists()


def test_a_report_is_not_overwritten_unasked(run: Path, tmp_path: Path, cli: Cli) -> None:
    report = tmp_path / "gate.json"
    report.write_text("mine")
    how = ("--data", tmp_path, "--precision", "int8", "--report", report)
    ended = cli("export", run, "--out", tmp_path / "b", *how)
    assert (ended.code, report.read_text()) == (2, "mine")
    assert "add --overwrite" in ended.err

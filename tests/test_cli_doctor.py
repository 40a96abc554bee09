"""`featherseg doctor`: what it says, and that missing extras are named with their remedy."""

import json

import pytest

from featherseg.cli.doctor import diagnose
from tests.conftest import Cli


def test_json(cli: Cli) -> None:
    ended = cli("doctor", "--json")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    assert found["versions"]["numpy"]
    assert found["cpu"]["cores"] >= 1
    assert {"avx2", "avx512", "vnni", "amx_bf16", "amx_int8"} <= found["cpu"].keys()
    assert "CPU" in found["devices"]
    assert found["precision"] in ("f32", "bf16")
    assert set(found["extras"]) >= {"evaluate", "train", "export"}


def test_missing_extras(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_torch(package: str) -> str | None:
        return None if package == "torch" else "1.0"

    monkeypatch.setattr("featherseg.extras.installed_version", without_torch)
    extras = diagnose()["extras"]
    assert extras["train"]["missing"] == ["torch"]
    assert extras["evaluate"]["missing"] == []
    text = cli("doctor").out
    assert "missing torch; pip install 'featherseg[train]'" in text
    assert "not installed" in text

"""Every network small enough for modest hardware: trained, exported and verified at full size."""

import json
from pathlib import Path

import pytest

from featherseg.datasets.phantom import write_phantom
from tests.conftest import Cli
from tests.contract.entries import ENTRIES

LARGEST = 12_000_000
SIDE = 96
CASES = 16
FRACTIONS = ("--fractions", 0.6, 0.2, 0.2, "--seed", 1)

SMALL = [name for name, entry in ENTRIES.items() if entry.parameters <= LARGEST]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantom(folder, CASES, seed=3, size=(SIDE, SIDE))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_two_epochs_become_a_verified_bundle(
    name: str, cli: Cli, phantoms: Path, tmp_path: Path
) -> None:
    split = tmp_path / "split.json"
    data = ("--data", phantoms, "--layout", "phantom", "--split", split)
    settings = (f"network={name}", f"input_size={SIDE}", "epochs=2", "batch_size=4")
    steps: tuple[tuple[object, ...], ...] = (
        ("data", "split", phantoms, "--layout", "phantom", *FRACTIONS, "--out", split),
        (
            *("train", "simplified_unet", *data, "--out", tmp_path / "run"),
            *(word for setting in settings for word in ("--set", setting)),
        ),
        ("export", tmp_path / "run", "--out", tmp_path / "bundle"),
        ("verify", tmp_path / "bundle"),
    )
    for step in steps:
        done = cli(*step)
        assert done.code == 0, (step, done.err)
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert manifest["network"]["name"] == name
    assert manifest["parameters"] == ENTRIES[name].parameters
    assert manifest["training"]["initial_weights"] == "from scratch"
    assert {check["runtime"] for check in manifest["checks"]} == {"openvino", "onnxruntime"}

"""A training that begins with weights of a file, and what is left of that file afterwards."""

import json
from pathlib import Path

import safetensors.torch
import timm
import torch

from featherseg.datasets.phantom import write_phantom
from tests.conftest import Cli

ENCODER = "test_efficientnet"


def test_a_run_needs_its_initial_weights_no_more(cli: Cli, tmp_path: Path) -> None:
    data, split, run = tmp_path / "data", tmp_path / "split.json", tmp_path / "run"
    write_phantom(data, 10, seed=3, size=(64, 64))
    weights = tmp_path / "private" / "initial.safetensors"
    weights.parent.mkdir()
    torch.manual_seed(1)
    safetensors.torch.save_file(timm.create_model(ENCODER).state_dict(), weights)
    given = ("--data", data, "--layout", "phantom", "--split", split)
    fractions = ("--fractions", 0.6, 0.2, 0.2, "--seed", 1)
    options = {"encoder": ENCODER, "pretrained": weights}
    settings = [
        *("network=laednet_s", "input_size=64", "epochs=1", "batch_size=4"),
        *(f"network_options.{name}={value}" for name, value in options.items()),
    ]
    train = ("train", "simplified_unet", *given, "--out", run)
    steps: tuple[tuple[object, ...], ...] = (
        ("data", "split", data, "--layout", "phantom", *fractions, "--out", split),
        (*train, *(word for setting in settings for word in ("--set", setting))),
    )
    for step in steps:
        done = cli(*step)
        assert done.code == 0, (step, done.err)
    weights.unlink()
    about = json.loads((run / "run.json").read_text())
    assert about["initial_weights"] == "initial.safetensors"
    assert "pretrained" not in about["network"]["options"]
    done = cli("evaluate", run, *given, "--subset", "test", "--out", tmp_path / "scores")
    assert done.code == 0, done.err
    summary = json.loads((tmp_path / "scores" / "summary.json").read_text())
    assert summary["model"]["weights"] == "initial.safetensors"

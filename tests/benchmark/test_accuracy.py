"""Committed results, matched to what is compared."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from featherseg.benchmark.accuracy import accuracy_of, read_accuracies
from featherseg.errors import DataError
from tests.conftest import REPOSITORY


def write_summary(folder: Path, network: str, split: str, mean: float, **model: str) -> None:
    folder.mkdir(parents=True)
    dice = {"mean": mean, "ci_low": mean - 0.1, "ci_high": mean + 0.1, "n": 8}
    content = {
        "schema": "featherseg.summary/1",
        "n": 10,
        "n_lesion": 8,
        "split_sha256": split,
        "model": {"network": network, **model},
        "dice_lesion": dice,
        "iou_lesion": {**dice, "mean": mean / 2},
        "presence": {"missed": 1},
    }
    (folder / "summary.json").write_text(json.dumps(content))


def subject(kind: str, name: str, identity: str = "", checkpoint: str = "") -> Any:
    sources = SimpleNamespace(checkpoint_sha256=checkpoint)
    bundle = SimpleNamespace(id=identity, manifest=SimpleNamespace(sources=sources))
    return SimpleNamespace(kind=kind, name=name, bundle=bundle)


def test_only_results_on_the_most_common_split_are_taken(tmp_path: Path) -> None:
    write_summary(tmp_path / "a", "unet", "leaky", 0.9)
    write_summary(tmp_path / "b", "unet", "safe", 0.6)
    write_summary(tmp_path / "c" / "d", "alnet", "safe", 0.7)
    found = read_accuracies(tmp_path, "iou_lesion")
    assert [(each.result, each.mean) for each in found] == [("b", 0.3), ("c/d", 0.35)]
    assert found[0].over == "10 images, 8 with a lesion"


def test_a_network_has_the_first_result_of_its_name(tmp_path: Path) -> None:
    write_summary(tmp_path / "a", "unet", "safe", 0.6)
    write_summary(tmp_path / "b", "unet", "safe", 0.7)
    found = read_accuracies(tmp_path)
    match = accuracy_of(found, subject("network", "unet"))
    assert match is not None
    assert match.result == "a"
    assert accuracy_of(found, subject("network", "alnet")) is None
    assert accuracy_of(found, subject("peer", "unet")) is None


def test_a_bundle_has_only_its_own_result(tmp_path: Path) -> None:
    write_summary(tmp_path / "a", "unet", "safe", 0.6, id="aaa", checkpoint_sha256="c1")
    found = read_accuracies(tmp_path)
    for own in (subject("bundle", "x", "aaa", "c9"), subject("bundle", "x", "zzz", "c1")):
        assert accuracy_of(found, own) == found[0]
    assert accuracy_of(found, subject("bundle", "unet", "zzz", "c9")) is None


def test_the_committed_results_can_be_read() -> None:
    found = read_accuracies(REPOSITORY / "results")
    assert {each.model["network"] for each in found} >= {"simplified_unet", "laednet_s"}
    assert "busi_laednet_s_leaky" not in {each.result for each in found}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected folders with summary\.json"):
        read_accuracies(tmp_path)
    write_summary(tmp_path / "a", "unet", "safe", 0.6)
    with pytest.raises(DataError, match=r"no mean 'dice_lesions'; did you mean dice_lesion"):
        read_accuracies(tmp_path, "dice_lesions")
    (tmp_path / "a" / "summary.json").write_text("{}")
    with pytest.raises(DataError, match="expected a summary of schema"):
        read_accuracies(tmp_path)
    (tmp_path / "a" / "summary.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        read_accuracies(tmp_path)

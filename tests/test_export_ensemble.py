"""Several runs as one bundle: the mean of their probabilities, at the median of their points."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import featherseg.export as exporting
from featherseg.bundle import load_bundle, read_check
from featherseg.errors import RunError
from featherseg.export import Trained, torch_logits
from featherseg.export.ensemble import Ensemble, joined
from featherseg.export.models import write_onnx
from featherseg.postprocess import class_probabilities
from featherseg.preprocess import Preprocessing, normalize
from featherseg.runtime import RUNTIMES, open_session
from featherseg.runtime.flips import mean_as_logits
from featherseg.runtime.onnxruntime import open_onnxruntime
from featherseg.runtime.openvino import open_openvino
from featherseg.train.loop import fit
from featherseg.train.recipe import load_recipe
from featherseg.train.run import load_run
from featherseg.verify import verify_bundle
from tests.conftest import Cli
from tests.tiny import blob_images, tiny_facts
from tests.train.blobs import SETTINGS, blob_pack


class Constant(nn.Module):
    """The same logits for every pixel, one a channel."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits).view(1, -1, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(images), -1, *images.shape[2:])


def answered(*members: nn.Module) -> Any:
    return torch_logits(Ensemble(members), np.zeros((2, 3, 4, 5), np.float32))


def test_probabilities_are_averaged_not_logits() -> None:
    found = answered(Constant(0.0), Constant(100.0))
    assert found.shape == (2, 1, 4, 5)
    # The mean of 1/2 and 1; that of the logits would be a probability of 1.
    np.testing.assert_allclose(found, np.log(0.75 / 0.25), rtol=1e-6)
    found = answered(Constant(0.0, 0.0, 0.0), Constant(0.0, 100.0, 0.0))
    probabilities = class_probabilities(found[0])[:, 0, 0]
    np.testing.assert_allclose(probabilities, [1 / 6, 4 / 6, 1 / 6], rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_mean_of_flips_of_an_image(channels: int) -> None:
    answers = np.random.default_rng(0).normal(0, 30, (4, 1, channels, 1, 1)).astype(np.float32)
    members = [Constant(*answer.ravel().tolist()) for answer in answers]
    expected = np.broadcast_to(mean_as_logits(answers), (2, channels, 4, 5))
    np.testing.assert_allclose(answered(*members), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [-500.0, -60.0, -20.0, 0.0, 20.0, 60.0, 500.0])
def test_sure_members_stay_sure_and_finite(value: float) -> None:
    found = answered(Constant(value), Constant(value))
    assert found[0, 0, 0, 0] == pytest.approx(value, rel=1e-5, abs=1e-6)


def member(number: int, **changes: Any) -> Trained:
    """A member that differs from the others in what a training changes."""
    gray, masks = blob_images(4, seed=number)
    facts = tiny_facts(("lesion",), 3, gray)
    facts["sources"] |= {"checkpoint_sha256": f"{number}" * 64, "fold": 0}
    facts["operating_point"] = {
        "threshold": 0.3 + 0.1 * number,
        "smallest_area": 0.001 * number**2,
        "components": "largest",
    }
    facts["training"] |= {"epochs": 10 + number, "validation": {"dice": 0.1 * number}}
    images = np.repeat(gray[..., np.newaxis], 3, axis=3)
    return Trained(Constant(float(number)), images, masks, {**facts, **changes})


def members(*made: Trained) -> dict[str, Trained]:
    return {f"run{number}": each for number, each in enumerate(made)}


def test_the_operating_point_is_the_median_of_theirs() -> None:
    ensemble = joined(members(member(1), member(2), member(4)))
    point = ensemble.facts["operating_point"]
    assert point == {
        "threshold": pytest.approx(0.5),
        "smallest_area": pytest.approx(0.004),
        "components": "largest",
    }
    loose = replace(member(3), facts={**member(3).facts, "operating_point": dict(point)})
    loose.facts["operating_point"]["components"] = "all"
    ensemble = joined(members(member(1), loose))
    assert ensemble.facts["operating_point"]["components"] == "all"


def test_what_an_ensemble_says_of_its_making() -> None:
    made = (member(1), member(2))
    ensemble = joined(members(*made))
    assert ensemble.facts["members"] == 2
    assert ensemble.images.shape[0] == ensemble.masks.shape[0] == 8
    assert ensemble.facts["training"]["epochs"] == 12
    assert ensemble.facts["training"]["validation"] == {"dice": pytest.approx(0.15)}
    means = [each.facts["statistics"]["mean"]["q50"] for each in made]
    assert ensemble.facts["statistics"]["mean"]["q50"] == pytest.approx(np.mean(means))
    assert ensemble.facts["sources"]["split_sha256"] == "1" * 64
    digest = ensemble.facts["sources"]["checkpoint_sha256"]
    assert len(digest) == 64
    assert digest not in {each.facts["sources"]["checkpoint_sha256"] for each in made}


@pytest.mark.parametrize("change", [{"fold": 1}, {"split_sha256": "9" * 64}])
def test_members_of_several_splits_leave_no_unseen_image(change: dict[str, Any]) -> None:
    other = member(2)
    other.facts["sources"] |= change
    sources = joined(members(member(1), other)).facts["sources"]
    assert (sources["split_sha256"], sources["fold"]) == ("", None)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("network", {"name": "tiny", "options": {"width": 2}}),
        ("labels", ("nerve",)),
        ("preprocessing", {"input_size": [64, 64], "channels": 3, "mean": 0.0, "std": 1.0}),
    ],
)
def test_runs_that_differ(entry: str, value: Any) -> None:
    with pytest.raises(RunError, match=f"run1: expected the {entry} of run0"):
        joined(members(member(1), member(2, **{entry: value})))


def test_runs_of_other_images_and_one_run_twice() -> None:
    other = member(2)
    other.facts["sources"]["images_sha256"] = "8" * 64
    with pytest.raises(RunError, match="expected the images_sha256 of run0"):
        joined(members(member(1), other))
    with pytest.raises(RunError, match="the same weights twice"):
        joined(members(member(1), member(2), member(1)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Two finished runs of a narrow network, and one of a wider."""
    pack = blob_pack(12)
    subsets = {"train": pack.ids[:6], "validation": pack.ids[6:]}
    folder = tmp_path_factory.mktemp("ensemble")
    given = {"a": ["seed=1"], "b": ["seed=2"], "wide": ["network_options.width=6"]}
    return tuple(
        fit(
            load_recipe("simplified_unet", [*SETTINGS, "epochs=1", *settings]),
            pack,
            subsets,
            folder / name,
        )
        for name, settings in given.items()
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_every_runtime_keeps_the_tails(tmp_path: Path, channels: int) -> None:
    """Sure members: a runtime that rounds their probabilities to 0 or 1 would be far off."""
    layers = [nn.Conv2d(1, channels, 1, bias=False) for _ in range(3)]
    with torch.no_grad():
        for steepness, layer in zip((0.9, 1.0, 1.1), layers, strict=True):
            gains = steepness * torch.arange(1, channels + 1)
            layer.weight.copy_(gains.view(channels, 1, 1, 1))
    ensemble = Ensemble(layers).eval()
    write_onnx(ensemble, Preprocessing((16, 16), 1), tmp_path / "model.onnx")
    values = np.linspace(-60, 60, 256, dtype=np.float32).reshape(1, 1, 16, 16)
    expected = torch_logits(ensemble, values)
    for session in (
        open_onnxruntime(tmp_path / "model.onnx"),
        open_openvino(tmp_path / "model.onnx", (1, 16, 16), "f32"),
    ):
        np.testing.assert_allclose(session.logits(values), expected, atol=1e-4)


@pytest.mark.slow
def test_an_exported_ensemble_runs_everywhere(
    runs: tuple[Path, ...], tmp_path: Path, cli: Cli
) -> None:
    out = tmp_path / "bundle"
    ended = cli("export", runs[0], runs[1], "--out", out, "--weights", "fp16")
    assert ended.code == 0, ended.err
    bundle = load_bundle(out)
    assert bundle.manifest.members == 2
    single = sum(each.numel() for each in load_run(runs[0]).network.parameters())
    assert bundle.manifest.parameters == 2 * single
    assert "An ensemble of 2 networks" in (out / "README.md").read_text()
    assert verify_bundle(bundle).findings == ()
    batch = normalize(read_check(bundle).images, bundle.preprocessing)
    answers = np.stack([torch_logits(load_run(run).network, batch) for run in runs[:2]])
    for runtime in RUNTIMES:
        found = open_session(bundle, runtime, "f32").logits(batch)
        np.testing.assert_allclose(found, mean_as_logits(answers), atol=1e-3)


def test_the_verb_refuses_runs_that_differ(
    runs: tuple[Path, ...], tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = cli("export", runs[0], runs[2], "--out", tmp_path / "bundle")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "expected the network of" in ended.err
    assert not (tmp_path / "bundle").exists()
    about = json.loads((runs[0] / "run.json").read_text())
    made = exporting.read_trained(runs[0])
    assert made.facts["operating_point"] == about["operating_point"]

"""Flips against a loop by hand, and answers that do not change."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from featherseg.postprocess import class_probabilities
from featherseg.runtime.flips import FlippedSession, Flips, mean_as_logits
from featherseg.types import Floats
from tests.conftest import Cli
from tests.tiny import blob_images, write_tiny_bundle


@dataclass(frozen=True)
class Fake:
    """Logits of `outputs` channels; position-dependent ones see where a pixel stands."""

    outputs: int
    sees_position: bool = True
    runtime: str = "fake"
    precision: str = "f32"

    def logits(self, batch: Floats) -> Floats:
        level = batch.mean(axis=1, keepdims=True)
        if self.sees_position:
            level = level + np.linspace(-2, 2, level[0, 0].size).reshape(level.shape[2:])
        return np.asarray(level * np.arange(1, self.outputs + 1).reshape(-1, 1, 1), np.float32)


def batch() -> Floats:
    return np.random.default_rng(0).normal(size=(2, 3, 5, 7)).astype(np.float32)


def turned(pixels: Floats, name: str) -> Floats:
    """A view and the way back from it, written without axes."""
    return {
        "none": pixels,
        "left-right": pixels[..., ::-1],
        "up-down": pixels[..., ::-1, :],
        "turned": pixels[..., ::-1, ::-1],
    }[name]


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(
    ("flips", "views"),
    [
        ("horizontal", ["none", "left-right"]),
        ("both", ["none", "left-right", "up-down", "turned"]),
    ],
)
def test_the_mean_is_that_of_a_loop_by_hand(flips: Flips, views: list[str], outputs: int) -> None:
    session = Fake(outputs)
    mean = np.zeros((2, outputs, 5, 7))
    for view in views:
        answer = turned(session.logits(turned(batch(), view)), view)
        mean += np.stack([class_probabilities(each) for each in answer]) / len(views)
    found = FlippedSession(session, flips).logits(batch())
    assert found.dtype == np.float32
    probabilities = np.stack([class_probabilities(each) for each in found])
    np.testing.assert_allclose(probabilities, mean, atol=1e-6)
    # The views really differ: none of them alone is the mean.
    alone = np.stack([class_probabilities(each) for each in session.logits(batch())])
    assert np.abs(alone - mean).max() > 0.05


@pytest.mark.parametrize("flips", ["horizontal", "both"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_network_that_does_not_care_is_unchanged(flips: Flips, outputs: int) -> None:
    session = Fake(outputs, sees_position=False)
    expected = session.logits(batch())
    found = FlippedSession(session, flips).logits(batch())
    if outputs == 1:
        np.testing.assert_allclose(found, expected, atol=1e-5)
    for before, after in zip(expected, found, strict=True):
        np.testing.assert_allclose(
            class_probabilities(after), class_probabilities(before), atol=1e-6
        )


def test_what_it_says_of_itself() -> None:
    session = FlippedSession(Fake(1), "both")
    assert (session.runtime, session.precision) == ("fake", "f32")


@given(arrays(np.float32, (3, 1, 1, 2, 2), elements=st.floats(-1000, 1000, width=32)))
def test_the_mean_lies_between_and_is_always_finite(answers: Floats) -> None:
    mean = mean_as_logits(answers)
    assert np.isfinite(mean).all()
    slack = 1e-4 * np.abs(answers).max() + 1e-5
    assert (mean >= answers.min(axis=0) - slack).all()
    assert (mean <= answers.max(axis=0) + slack).all()


@pytest.mark.parametrize("value", [-500.0, -60.0, -20.0, -1e-3, 0.0, 3.0, 20.0, 500.0])
def test_sure_answers_keep_their_logits(value: float) -> None:
    same = np.full((4, 1, 1, 1, 1), value, np.float32)
    assert mean_as_logits(same)[0, 0, 0, 0] == pytest.approx(value, rel=1e-5, abs=1e-6)


def test_several_classes_stay_finite_where_one_is_ruled_out() -> None:
    answers = np.zeros((2, 1, 3, 1, 1), np.float32)
    answers[:, :, 0] = 500.0
    answers[1, :, 1] = -500.0
    mean = mean_as_logits(answers)
    assert np.isfinite(mean).all()
    np.testing.assert_allclose(class_probabilities(mean[0])[:, 0, 0], [1, 0, 0], atol=1e-6)


def test_predict_and_evaluate_record_the_flips(tmp_path: Path, cli: Cli) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    pixels, truths = blob_images(2, seed=4, size=(60, 80))
    for name, pictures in (("images", pixels), ("masks", truths * 255)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            PIL.Image.fromarray(picture).save(tmp_path / "data" / name / f"{number}.png")
    images = tmp_path / "data" / "images"
    for flips in (None, "horizontal", "both"):
        out = tmp_path / f"masks {flips}"
        given_flips = ["--flips", flips] if flips else []
        assert cli("predict", bundle.folder, images, "--out", out, *given_flips).code == 0
        assert json.loads((out / "predictions.json").read_text())["flips"] == flips
    where = ["--data", tmp_path / "data", "--layout", "folder", "--subset", "all"]
    scores = ["--out", tmp_path / "scores", "--flips", "both"]
    ended = cli("evaluate", bundle.folder, *where, *scores)
    assert ended.code == 0, ended.err
    assert "flips both" in " ".join(ended.out.split())
    summary = json.loads((tmp_path / "scores" / "summary.json").read_text())
    assert summary["model"]["flips"] == "both"
    assert "Test-time flips" in (tmp_path / "scores" / "report.html").read_text()
    assert cli("predict", bundle.folder, images, "--out", tmp_path / "x", "--flips", "up").code == 2

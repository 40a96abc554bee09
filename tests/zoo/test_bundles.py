"""The bundles that come with the package: small, whole, cross-validated, and ready to use."""

import json
import re
from pathlib import Path

import PIL.Image
import pytest

from featherseg.bundle import Bundle, load_bundle
from featherseg.compress.gate import LARGEST_FALL
from featherseg.summary import summarize_cases
from featherseg.verify import verify_bundle
from featherseg.zoo import ZOO, zoo_bundle
from tests.conftest import REPOSITORY, Cli
from tests.tiny import blob_images

RESULTS = REPOSITORY / "results" / "zoo"
_MOST_MB = 3.0
# Far below what the cards show: below these something is broken.
_LEAST_DICE = {"fetal-head": 0.9, "breast-lesion": 0.5}


@pytest.fixture(params=list(ZOO))
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return load_bundle(zoo_bundle(request.param))


def name_of(bundle: Bundle) -> str:
    return bundle.folder.name.replace("_", "-")


def test_it_is_small_and_passed_the_gate_of_int8(bundle: Bundle) -> None:
    assert bundle.size_mb < _MOST_MB
    assert (bundle.manifest.weights, bundle.manifest.precision) == ("int8", "int8")
    gate = bundle.manifest.gate
    assert gate is not None
    assert gate.passed
    assert gate.newly_missed == 0
    assert gate.difference.mean >= -LARGEST_FALL
    report = json.loads((RESULTS / bundle.folder.name / "gate.json").read_text())
    assert report["tried"][-1] == json.loads(gate.model_dump_json())
    listed = {*bundle.manifest.files, "manifest.json"}
    assert {path.name for path in bundle.folder.iterdir()} == listed


def test_every_runtime_here_agrees_with_torch(bundle: Bundle) -> None:
    assert verify_bundle(bundle).findings == ()


def test_it_was_trained_on_all_images_and_scored_by_cross_validation(bundle: Bundle) -> None:
    manifest = bundle.manifest
    entry = manifest.cross_validation
    assert entry is not None
    assert entry.protocol == "safe"
    assert manifest.training.validation_images == 0
    assert manifest.operating_point_chosen_on == f"the test images of {entry.folds} folds"
    dice = entry.scores["dice_lesion"]
    assert dice.mean > _LEAST_DICE[name_of(bundle)]
    assert dice.low is not None
    assert dice.high is not None
    assert dice.low < dice.mean < dice.high


def test_its_score_is_that_of_the_committed_cases(bundle: Bundle) -> None:
    entry = bundle.manifest.cross_validation
    assert entry is not None
    summary = summarize_cases(RESULTS / bundle.folder.name / "cases.csv")
    assert entry.images == summary["n"]
    assert entry.split_sha256 == summary["split_sha256"]
    for name in ("dice_lesion", "dice_all", "hd95"):
        score, figure = entry.scores[name], summary[name]
        assert (score.mean, score.low, score.high) == (
            figure["mean"],
            figure["ci_low"],
            figure["ci_high"],
        )


def test_its_card_shows_score_license_and_citation(bundle: Bundle) -> None:
    card = (bundle.folder / "README.md").read_text()
    data, entry = bundle.manifest.data, bundle.manifest.cross_validation
    assert data is not None
    assert entry is not None
    assert ZOO[name_of(bundle)].citation == data.citation
    assert data.citation in card
    assert f"| Dice | {entry.scores['dice_lesion'].mean:.3f} |" in card
    assert "not a medical device" in card
    assert not re.search(r"/(home|work|tmp|root)/", card)


def test_it_predicts(bundle: Bundle, tmp_path: Path, cli: Cli) -> None:
    (pixels,), _ = blob_images(1, seed=5, size=(200, 300))
    PIL.Image.fromarray(pixels).save(tmp_path / "image.png")
    out = tmp_path / "masks"
    ended = cli("predict", "--zoo", name_of(bundle), tmp_path / "image.png", "--out", out)
    assert ended.code == 0, ended.err
    assert json.loads((out / "predictions.json").read_text())["bundle"] == bundle.id


def test_the_list_has_both_with_their_scores(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    table = cli("zoo").out
    for name in ZOO:
        assert name in table
    assert "not installed" not in table

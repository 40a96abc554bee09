"""Doubt about images of another kind: AUROC against scikit-learn, and the flag's own threshold."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from featherseg.datasets import load_dataset
from featherseg.errors import DataError
from featherseg.likeness import image_statistics, reference_statistics, unlike, unlikeness
from featherseg.segment import Segmenter
from featherseg.stress import Doubt, compare_domains, doubts
from tests.tiny import blob_images, write_tiny_bundle


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8), st.floats(-1.0, 2.0))
@settings(max_examples=60, deadline=None)
def test_an_image_is_flagged_where_its_unlikeness_is_above_one(
    known: list[float], value: float
) -> None:
    reference = reference_statistics([{"mean": each} for each in known])
    assert bool(unlike({"mean": value}, reference)) == (unlikeness({"mean": value}, reference) > 1)


def test_unlikeness_counts_margins_from_the_nearer_end() -> None:
    reference = {"mean": {"q01": 0.2, "q99": 0.6}}
    for value, expected in (
        (0.2, 0.0),
        (0.6, 0.0),
        (0.4, -1.0),
        (0.8, 1.0),
        (0.0, 1.0),
        (1.0, 2.0),
    ):
        assert unlikeness({"mean": value}, reference) == pytest.approx(expected)
    assert unlikeness({"sd": 9.0}, reference) == 0.0


def test_auroc_is_that_of_scikit_learn_and_counts_flags() -> None:
    random = np.random.default_rng(0)
    inside = [Doubt(f"i{n % 15}", *random.normal(0.0, 1.0, 2).round(1)) for n in range(30)]
    outside = [Doubt(f"o{n}", *random.normal(0.7, 1.0, 2).round(1)) for n in range(20)]
    found = compare_domains(inside, outside)
    truth = [0] * 30 + [1] * 20
    both = [*inside, *outside]
    for name, attribute in (("likeness", "unlikeness"), ("confidence", "unsure")):
        expected = roc_auc_score(truth, [getattr(doubt, attribute) for doubt in both])
        assert found[name]["value"] == pytest.approx(expected, abs=1e-6)
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
    assert found["n"] == {"inside": 30, "outside": 20}
    assert found["flagged"]["outside"] == sum(doubt.unlikeness > 1 for doubt in outside)
    assert compare_domains(inside, outside) == found


def test_one_group_has_no_interval_and_no_image_no_auroc() -> None:
    one = [Doubt("a", 0.0, 0.2), Doubt("a", 0.5, 0.1)]
    found = compare_domains(one, [Doubt("b", 2.0, 0.3)])
    assert found["likeness"] == {"value": 1.0, "low": None, "high": None}
    assert compare_domains(one, [])["likeness"]["value"] is None


def test_doubts_of_a_bundle_tell_white_images_from_its_own(tmp_path: Path) -> None:
    for name, images in (
        ("own", blob_images(4, seed=5)[0]),
        ("white", np.full((3, 32, 48), 250, np.uint8)),
    ):
        for folder in ("images", "masks"):
            (tmp_path / name / folder).mkdir(parents=True)
            for number, pixels in enumerate(images):
                shown = pixels if folder == "images" else np.zeros_like(pixels)
                PIL.Image.fromarray(shown).save(tmp_path / name / folder / f"c{number}.png")
    segmenter = Segmenter.from_bundle(write_tiny_bundle(tmp_path / "bundle"))
    own, white = (load_dataset(tmp_path / name, "folder") for name in ("own", "white"))
    found = compare_domains(
        doubts(segmenter, own, own.cases), doubts(segmenter, white, white.cases)
    )
    assert found["flagged"]["outside"] == 3
    assert found["likeness"]["value"] == 1.0
    first = doubts(segmenter, own, own.cases[:1])[0]
    pixels = np.asarray(PIL.Image.open(own.cases[0].image))
    assert first.unlikeness == unlikeness(image_statistics(pixels), segmenter.reference)
    with pytest.raises(DataError, match="statistics of its training images"):
        doubts(replace(segmenter, reference={}), own, own.cases)

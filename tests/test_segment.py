"""The segmenter: the parts in the right order, on the image's own grid."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featherseg.bundle import Bundle, load_bundle
from featherseg.evaluation import Scoring
from featherseg.preprocess import preprocess
from featherseg.runtime import RUNTIMES
from featherseg.segment import Segmenter, with_flips
from featherseg.types import Image
from tests.tiny import SIZE, blob_images, tiny_logits, write_tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(write_tiny_bundle(tmp_path_factory.mktemp("segment") / "bundle").folder)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_blobs_are_found_on_the_image_grid(bundle: Bundle, runtime: str) -> None:
    segmenter = Segmenter.from_bundle(bundle, runtime)
    images, masks = blob_images(4, seed=9, size=(120, 100))
    for pixels, truth in zip(images, masks, strict=True):
        found = segmenter(Image(pixels, None, "made"))
        assert found.mask.shape == found.probability.shape == truth.shape
        assert found.model_id == bundle.id
        overlap = 2 * int((found.mask & truth).sum()) / (int(found.mask.sum()) + int(truth.sum()))
        assert overlap > 0.9


def test_probabilities_at_the_input_size_are_those_of_numpy(bundle: Bundle) -> None:
    segmenter = Segmenter.from_bundle(bundle)
    image = Image(blob_images(1, seed=3)[0][0], None, "made")
    batch, _ = preprocess(image.pixels, segmenter.preprocessing)
    expected = 1.0 / (1.0 + np.exp(-tiny_logits(batch, labels=1)[0]))
    np.testing.assert_allclose(segmenter.probabilities(image), expected, atol=1e-5)
    found = segmenter(image)
    np.testing.assert_allclose(found.probability, expected[0], atol=1e-5)
    assert found.image is image


def test_several_labels(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle", ("faint", "bright"), channels=1)
    segmenter = Segmenter.from_bundle(bundle)
    image = Image(blob_images(1, seed=3)[0][0], None, "made")
    maps = segmenter.probabilities(image)
    assert maps.shape == (3, *SIZE)
    np.testing.assert_allclose(maps.sum(axis=0), 1.0, atol=1e-5)
    found = segmenter(image)
    assert found.labels == ("faint", "bright")
    # Between dark and bright there is a rim where the label between is likeliest.
    assert set(np.unique(found.mask)) == {0, 1, 2}
    np.testing.assert_array_equal(found.mask[maps[0] > 0.5], 0)
    np.testing.assert_array_equal(found.mask[maps[2] > 0.5], 2)
    np.testing.assert_allclose(found.probability, 1.0 - maps[0], atol=1e-6)


def test_a_segmenter_tells_images_unlike_its_training(bundle: Bundle) -> None:
    segmenter = Segmenter.from_bundle(bundle)
    dark = Image(np.zeros((*SIZE, 3), np.uint8), None, "made")
    assert any(sentence.startswith("mean is 0.00") for sentence in segmenter.unlike(dark))
    usual = Image(blob_images(1, seed=3)[0][0], None, "made")
    assert segmenter.unlike(usual) == []
    assert Scoring.of(segmenter).unlike == segmenter.unlike
    unknown = replace(segmenter, reference={})
    assert Scoring.of(unknown).unlike is None


@pytest.mark.parametrize("labels", [("lesion",), ("faint", "bright")])
def test_the_fast_mask_is_the_small_one_enlarged(labels: tuple[str, ...], tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle", labels)
    segmenter = Segmenter.from_bundle(bundle)
    # Flips have no masks of their own: numpy then thresholds the mean of the answers.
    flipped = with_flips(segmenter, "horizontal")
    pixels, _ = blob_images(1, seed=4, size=SIZE)
    same_size = Image(pixels[0], None, "made")
    for each in (segmenter, flipped):
        np.testing.assert_array_equal(each.fast_mask(same_size), each(same_size).mask)
    image = Image(blob_images(1, seed=4, size=(90, 140))[0][0], None, "made")
    slow, fast = segmenter(image).mask, segmenter.fast_mask(image)
    assert fast.shape == slow.shape
    assert fast.dtype == np.uint8
    assert 0 < (fast != slow).mean() < 0.1

"""A presence head in training: its loss beside the others, and its threshold."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from featherseg.errors import RecipeError
from featherseg.losses import LOSSES, presence_bce
from featherseg.networks import build_network
from featherseg.networks.feathernet import FeatherNet
from featherseg.operating_point import LEAST_SENSITIVITY
from featherseg.preprocess import normalize
from featherseg.train.loader import to_samples
from featherseg.train.loop import fit
from featherseg.train.objective import Batch, make_objective
from featherseg.train.outcome import predict
from featherseg.train.recipe import Recipe, load_recipe, recipe_sha256, with_settings
from featherseg.train.run import TorchSession, load_run, run_segmenter
from featherseg.types import Image
from tests.train.blobs import SETTINGS, blob_pack, halves

CPU = torch.device("cpu")
PACK = blob_pack(12, (64, 64))
WEIGHTED = ("presence_weight=0.5", "loss=dice_bce")


def recipe(*settings: str, network: str = "feathernet_s") -> Recipe:
    given = [*SETTINGS, "input_size=64", f"network={network}", *WEIGHTED, *settings]
    return load_recipe("simplified_unet", given)


def student() -> FeatherNet:
    torch.manual_seed(0)
    network = build_network("feathernet_s", width=4).eval()
    assert isinstance(network, FeatherNet)
    return network


def batch() -> Batch:
    return Batch(*to_samples(PACK, CPU).batch(np.arange(5)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("presence") / "run"
    return fit(recipe("epochs=2", "precision=32-true"), PACK, halves(PACK), out)


def test_the_weighted_loss_stands_beside_that_of_the_masks() -> None:
    network, found = student(), batch()
    with torch.no_grad():
        logits, presence = network.forward_with_presence(found.images)
        masks = LOSSES["dice_bce"](logits, found.masks)
        there = presence_bce(presence, found.masks)
        for weight in (0, 0.5, 2):
            made = make_objective(recipe(f"presence_weight={weight}"), None, PACK, CPU)
            expected = float(masks + weight * there)
            assert float(made.loss(network, found)) == pytest.approx(expected, rel=1e-6)


def test_only_a_weight_teaches_the_head() -> None:
    for weight, is_taught in ((0, False), (0.5, True)):
        network = student()
        made = make_objective(recipe(f"presence_weight={weight}"), None, PACK, CPU)
        torch.autograd.backward(made.loss(network, batch()))
        assert (network.presence.classify.weight.grad is not None) == is_taught
        assert network.head.weight.grad is not None


def test_teachers_teach_logits_and_masks_teach_presence(run: Path) -> None:
    taught = f"distill={{teachers: [{{name: mine, runs: ['{run}']}}], weights: [0.7], hard: 0.3}}"
    network, found = student(), batch()
    losses = []
    for weight in (0, 0.5):
        settings = (taught, f"presence_weight={weight}", "distill.view=augmented")
        made = make_objective(recipe(*settings, "augment.horizontal_flip=1"), None, PACK, CPU)
        with torch.no_grad():
            losses.append(float(made.loss(network, found)))
    with torch.no_grad():
        there = presence_bce(network.forward_with_presence(found.images)[1], found.masks)
    assert losses[1] - losses[0] == pytest.approx(0.5 * float(there), rel=1e-4)


def test_a_network_without_the_head_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    settings = recipe(network="simplified_unet")
    with pytest.raises(RecipeError, match="simplified_unet has none; train feathernet_s"):
        fit(settings, PACK, halves(PACK), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_keeps_a_threshold_that_leaves_the_lesions(run: Path) -> None:
    content = json.loads((run / "run.json").read_text())
    point = content["operating_point"]
    assert "presence_threshold" in point
    if point["presence_threshold"] is not None:
        validation = PACK.select(halves(PACK)["validation"])
        said = predict(load_run(run).network, validation.images, load_run(run).recipe)
        assert said.presence is not None
        probability = 1 / (1 + np.exp(-said.presence[:, 0]))
        is_there = validation.masks.any(axis=(1, 2))
        seen = (probability > point["presence_threshold"])[is_there].mean()
        assert seen >= LEAST_SENSITIVITY


def test_presence_is_predicted_where_it_was_trained(run: Path) -> None:
    network = load_run(run).network
    said = predict(network, PACK.images, recipe())
    untrained = predict(network, PACK.images, recipe("presence_weight=0"))
    assert untrained.presence is None
    np.testing.assert_array_equal(said.logits, untrained.logits)
    assert said.presence is not None
    assert said.presence.shape == (12, 1)
    pixels = normalize(PACK.images[:3], load_run(run).preprocessing)
    answer = TorchSession(network).answer(pixels)
    assert answer.presence is not None
    np.testing.assert_allclose(answer.presence, said.presence[:3], atol=1e-4)
    np.testing.assert_allclose(answer.logits, said.logits[:3], atol=1e-4)


def test_a_run_that_asks_for_presence_empties_masks(run: Path, tmp_path: Path) -> None:
    segmenter = run_segmenter(run)
    images = [Image(pixels, None, f"{place}") for place, pixels in enumerate(PACK.images)]
    plain = [segmenter(image).mask.any() for image in images]
    gated = run / "run.json"
    content = json.loads(gated.read_text())
    before = content["operating_point"]
    try:
        for threshold, expected in ((1.0, [False] * 12), (0.0, plain)):
            content["operating_point"] = {**before, "presence_threshold": threshold}
            gated.write_text(json.dumps(content))
            asked = run_segmenter(run)
            assert [asked(image).mask.any() for image in images] == expected
    finally:
        content["operating_point"] = before
        gated.write_text(json.dumps(content))


def test_recipes_from_before_keep_their_names() -> None:
    plain = load_recipe("simplified_unet")
    assert recipe_sha256(plain) == recipe_sha256(with_settings(plain, ["presence_weight=0"]))
    assert recipe_sha256(plain) != recipe_sha256(with_settings(plain, ["presence_weight=0.1"]))
    # The name that the settings had before the key was there.
    known = "a2376c7848b418cacf083b9b834b1d069772e6133a8d83aa4e568e3ffd4facfe"
    assert recipe_sha256(plain) == known


def test_the_weight_cannot_be_negative() -> None:
    with pytest.raises(RecipeError, match="presence_weight"):
        recipe("presence_weight=-1")

"""What a recipe's settings do to a training: each against a computation of its own."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from featherseg.datasets.pack import Packed
from featherseg.errors import DataError, MissingExtraError, RecipeError, RunError
from featherseg.losses import LOSSES
from featherseg.networks import build_network
from featherseg.postprocess import OperatingPoint
from featherseg.train.average import averaged, update_average
from featherseg.train.loop import fit
from featherseg.train.objective import Batch, Objective
from featherseg.train.recipe import Recipe, load_recipe
from featherseg.train.run import load_run, run_segmenter
from featherseg.train.sampling import seed_network
from featherseg.train.training import Tick
from featherseg.types import Image
from tests.train.blobs import SETTINGS, blob_pack, halves

PACK = blob_pack(16)
KINDS = ("benign", "malignant", "normal", "benign")
CLASSED = replace(PACK, classes=tuple(KINDS[place % 4] for place in range(16)))
NO_VALIDATION = ("select=last_epoch", "schedule=null", "epochs=2")


def recipe(*settings: str) -> Recipe:
    return load_recipe("simplified_unet", [*SETTINGS, "epochs=2", *settings])


def log(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(path)


def train(out: Path, *settings: str, pack: Packed = PACK, **more: Any) -> Path:
    return fit(recipe(*settings), pack, halves(pack), out, **more)


class KillError(Exception):
    """What stands for a kill."""


def after(step: int) -> Callable[[Tick], None]:
    """A display that interrupts the training after some ticks."""
    left = iter(range(step))

    def tell(_: Tick) -> None:
        if next(left, None) is None:
            raise KillError

    return tell


def test_classes_limit_both_subsets(tmp_path: Path) -> None:
    out = train(tmp_path / "run", "classes=[benign, normal]", pack=CLASSED)
    assert load_run(out).content["images"] == {"train": 6, "validation": 6}
    with np.load(out / "check.npz") as check:
        shown = check["images"]
    ids = [case for case in halves(CLASSED)["validation"] if int(case.split()[1]) % 4 != 1]
    assert np.array_equal(shown, CLASSED.select(ids).images)


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        train(tmp_path / "run", "classes=[benign, cyst]", pack=CLASSED)
    assert str(caught.value) == (
        "the subset 'train' has no image of the class 'cyst'; its classes are 'benign' (4), "
        "'malignant' (2), 'normal' (2); change the recipe's classes or the split"
    )
    assert not (tmp_path / "run").exists()


def test_plain_descent_follows_its_gradient(tmp_path: Path) -> None:
    """A step of SGD, done by hand on the batch of all images."""
    settings = ("optimizer=sgd", "lr=0.1", "weight_decay=0.01", "batch_size=8", "augment={}")
    out = train(tmp_path / "run", *settings, "loss=bce", "epochs=1", "precision=32-true")
    seed_network(0, step=0)
    network = build_network("simplified_unet", in_channels=3, out_channels=1, width=4)
    images = torch.from_numpy(PACK.images[:8]).permute(0, 3, 1, 2).float() / 255
    masks = torch.from_numpy(PACK.masks[:8]).long()
    parameters = dict(network.named_parameters())
    loss = LOSSES["bce"](network(images), masks)
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    kept = weights(out / "last.safetensors")
    for (name, before), gradient in zip(parameters.items(), gradients, strict=True):
        value = before - 0.1 * (gradient + 0.01 * before)
        assert torch.allclose(kept[f"model.{name}"], value, atol=2e-6), name
        assert not torch.allclose(kept[f"model.{name}"], before, atol=1e-5), name


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    """With SGD a step is lr times the gradient: after one step, at most lr times the bound."""
    settings = ("optimizer=sgd", "lr=1", "weight_decay=0", "batch_size=8", "epochs=1")
    ends = {}
    for name, clip in (("free", "null"), ("clipped", "1e-3")):
        out = train(tmp_path / name, *settings, f"clip_norm={clip}")
        ends[name] = weights(out / "last.safetensors")
    seed_network(0, step=0)
    network = build_network("simplified_unet", in_channels=3, out_channels=1, width=4)
    moved = {
        name: sum(
            float((kept[f"model.{key}"] - value.detach()).square().sum())
            for key, value in network.named_parameters()
        )
        ** 0.5
        for name, kept in ends.items()
    }
    assert moved["free"] > 1e-2
    assert moved["clipped"] == pytest.approx(1e-3, rel=1e-2)


def test_a_gradient_that_is_not_finite_stops_before_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = LOSSES["weight_balance"]

    def steep(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return honest(logits, mask) + (logits * 0).abs().sum().sqrt()  # 0, but of slope infinity

    monkeypatch.setitem(LOSSES, "weight_balance", steep)
    with pytest.raises(RunError, match=r"the gradient's norm is (nan|inf) at step 1 \(epoch 1\)"):
        train(tmp_path / "run", "clip_norm=1")
    assert not (tmp_path / "run" / "last.safetensors").exists()


def test_the_average_follows_its_formula() -> None:
    network = torch.nn.BatchNorm1d(2)
    average = averaged(network)
    expected = torch.zeros(2)
    for step in range(1, 50):
        with torch.no_grad():
            network.running_mean.fill_(step)  # type: ignore[union-attr]
            network.num_batches_tracked.fill_(step)  # type: ignore[union-attr]
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        update_average(average, network, 0.5, step)
    assert torch.allclose(average.running_mean, expected)  # type: ignore[arg-type]
    assert int(average.num_batches_tracked) == 49  # type: ignore[arg-type]
    assert network.training
    assert not average.training


def test_the_average_is_what_is_validated_and_kept(tmp_path: Path) -> None:
    out = train(tmp_path / "run", "ema=0.9", "lr=1e-2")
    last, best = weights(out / "last.safetensors"), weights(out / "best.safetensors")
    if load_run(out).content["best"]["epoch"] == 2:
        assert all(torch.equal(last[f"average.{name}"], value) for name, value in best.items())
    assert any(not torch.equal(last[f"model.{name}"], value) for name, value in best.items())
    plain = train(tmp_path / "plain", "lr=1e-2")
    # Training does not see the average; validation sees nothing else.
    assert [each["train_loss"] for each in log(out)] == [each["train_loss"] for each in log(plain)]
    losses = [[each["validation_loss"] for each in log(run)] for run in (out, plain)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    "settings",
    [
        ("ema=0.9", "clip_norm=0.5", "augment.symmetries=8"),
        ("sampling=periodic_under_sampling", "optimizer=sgd", "select=last_epoch"),
    ],
)
def test_an_interrupted_run_ends_as_one_that_was_not(
    settings: tuple[str, ...], tmp_path: Path
) -> None:
    whole = train(tmp_path / "whole", *settings, "lr=1e-2")
    per_epoch = log(whole)[0]["step"]
    with pytest.raises(KillError):
        train(tmp_path / "run", *settings, "lr=1e-2", progress=after(per_epoch + 2))
    out = train(tmp_path / "run", *settings, "lr=1e-2", resume=True)
    for name in ("last.safetensors", "best.safetensors"):
        mine, theirs = weights(out / name), weights(whole / name)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert [each["train_loss"] for each in log(out)] == [each["train_loss"] for each in log(whole)]


def test_planes_come_with_their_images_and_move_with_the_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planes that are the masks must still be the masks after every draw, turn and flip."""
    seen: list[tuple[int, float]] = []

    def following(recipe: Recipe, _: Any, data: Packed, device: torch.device) -> Objective:
        planes = torch.from_numpy(data.masks > 0).unsqueeze(1).half()

        def loss(network: Any, batch: Batch) -> torch.Tensor:
            assert batch.planes is not None
            apart = (batch.planes[:, 0] - batch.masks).abs().max()
            seen.append((int(batch.masks.sum()), float(apart)))
            return LOSSES[recipe.loss](network(batch.images), batch.masks)

        return Objective(loss, planes=planes.to(device))

    monkeypatch.setattr("featherseg.train.training.make_objective", following)
    augment = "augment={horizontal_flip: 0.5, vertical_flip: 0.5, symmetries: 8}"
    train(tmp_path / "run", augment, "sampling=periodic_under_sampling", "epochs=1")
    assert len(seen) == 14
    assert sum(count for count, _ in seen) == 8 * int(PACK.masks[:8].sum())
    assert max(apart for _, apart in seen) < 1e-3


def test_teachers_that_learn_on_are_optimized_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tuned(recipe: Recipe, _: Any, data: Packed, device: torch.device) -> Objective:
        torch.manual_seed(5)
        teacher = build_network("simplified_unet", in_channels=3, out_channels=1, width=2)

        def loss(network: Any, batch: Batch) -> torch.Tensor:
            hard = LOSSES[recipe.loss]
            own = hard(teacher(batch.images), batch.masks)
            return hard(network(batch.images), batch.masks) + own

        return Objective(loss, trained=(teacher,))

    monkeypatch.setattr("featherseg.train.training.make_objective", tuned)
    whole = weights(train(tmp_path / "whole", "clip_norm=1") / "last.safetensors")
    torch.manual_seed(5)
    first = build_network("simplified_unet", in_channels=3, out_channels=1, width=2)
    for name, value in first.named_parameters():
        assert not torch.equal(whole[f"teacher.0.{name}"], value)
        assert f"optimizer.teacher.0.{name}.exp_avg" in whole
    with pytest.raises(KillError):
        train(tmp_path / "run", "clip_norm=1", progress=after(4))
    again = weights(train(tmp_path / "run", "clip_norm=1", resume=True) / "last.safetensors")
    assert again.keys() == whole.keys()
    assert all(torch.equal(again[name], value) for name, value in whole.items())


def test_steps_follow_from_what_an_epoch_shows(tmp_path: Path) -> None:
    # Six of the eight training images have a box: an epoch shows them and one of the others.
    assert int(PACK.masks[:8].any(axis=(1, 2)).sum()) == 6
    under = ["sampling=periodic_under_sampling", "batch_size=3", "epochs=1"]
    assert log(train(tmp_path / "pus", *under))[0]["step"] == 3
    eight = ["augment.symmetries=8", "batch_size=16", "epochs=1"]
    assert log(train(tmp_path / "eight", *eight))[0]["step"] == 4


def test_under_sampling_needs_an_image_with_a_label(tmp_path: Path) -> None:
    empty = replace(PACK, masks=np.zeros_like(PACK.masks))
    with pytest.raises(DataError, match="none of the 8 training images has a label"):
        train(tmp_path / "run", "sampling=periodic_under_sampling", pack=empty)


def test_the_last_epoch_can_be_what_is_kept(tmp_path: Path) -> None:
    out = train(tmp_path / "run", "select=last_epoch", "epochs=3", "lr=0.3")
    assert load_run(out).content["best"]["epoch"] == 3
    last = weights(out / "last.safetensors")
    best = weights(out / "best.safetensors")
    assert all(torch.equal(last[f"model.{name}"], value) for name, value in best.items())


def test_training_on_every_image(tmp_path: Path) -> None:
    subsets = {"train": PACK.ids, "validation": ()}
    point = OperatingPoint(0.4, 0.001, "largest")
    given = {
        "operating_point": asdict(point),
        "operating_point_chosen_on": "four folds",
        "operating_point_dice": 0.75,
    }
    out = fit(recipe(*NO_VALIDATION), PACK, subsets, tmp_path / "run", provenance=given)
    content = load_run(out).content
    assert load_run(out).operating_point == point
    assert content["operating_point_chosen_on"] == "four folds"
    assert content["operating_point_dice"] == 0.75
    assert content["images"] == {"train": 16, "validation": 0}
    assert content["best"] == {"epoch": 2, "validation_dice": None, "validation_loss": None}
    assert not {key for line in log(out) for key in line if key.startswith("validation")}
    with np.load(out / "check.npz") as check:
        assert len(check["images"]) == 16
    assert run_segmenter(out)(Image(PACK.images[1], None, "test")).mask.shape == (32, 32)
    plain = fit(recipe(*NO_VALIDATION), PACK, subsets, tmp_path / "plain")
    assert load_run(plain).operating_point == OperatingPoint()
    assert load_run(plain).content["operating_point_chosen_on"] == "nothing"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("schedule={patience: 2, factor: 0.5}", "add --set schedule=null"),
        ("early_stop={patience: 2}", "add --set early_stop=null"),
    ],
)
def test_rules_that_need_validation_are_refused_without(
    setting: str, words: str, tmp_path: Path
) -> None:
    subsets = {"train": PACK.ids, "validation": ()}
    with pytest.raises(RecipeError) as caught:
        fit(recipe(*NO_VALIDATION, setting), PACK, subsets, tmp_path / "run")
    assert "follows the validation loss, and the subset 'validation' is empty" in str(caught.value)
    assert words in str(caught.value)


def test_weights_that_are_not_finite_are_noticed_without_validation(tmp_path: Path) -> None:
    """The last step of an epoch overflows the weights; no loss after it would say so."""
    subsets = {"train": PACK.ids, "validation": ()}
    overflow = ("optimizer=sgd", "lr=1e38", "weight_decay=1e6", "batch_size=16")
    settings = recipe(*NO_VALIDATION, *overflow)
    with pytest.raises(RunError, match=r"the weights .* is (nan|inf) at .*epoch 1"):
        fit(settings, PACK, subsets, tmp_path / "run")
    assert not (tmp_path / "run" / "last.safetensors").exists()


def test_memory_and_speed_are_logged(tmp_path: Path) -> None:
    out = train(tmp_path / "run")
    lines = log(out)
    assert all(line["images_per_s"] > 0 for line in lines)
    # This process holds torch: some hundred megabytes, not kilobytes and not bytes.
    assert all(50 < line["peak_memory_mb"] < 50_000 for line in lines)
    peak = max(line["peak_memory_mb"] for line in lines)
    assert load_run(out).content["peak_memory_mb"] == peak


def test_event_files_hold_the_log_also_after_a_resume(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(KillError):
        train(out, "epochs=3", progress=after(4), tensorboard=True)
    train(out, "epochs=3", resume=True, tensorboard=True)
    events = EventAccumulator(str(out / "tensorboard")).Reload()
    for name, tag in (("train_loss", "loss/train"), ("validation_dice", "dice/validation")):
        shown = [(each.step, each.value) for each in events.Scalars(tag)]
        assert shown == [(line["epoch"], pytest.approx(line[name])) for line in log(out)]
    assert len(list((out / "tensorboard").iterdir())) == 1
    assert not (train(tmp_path / "plain") / "tensorboard").exists()


def test_event_files_need_their_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featherseg.extras.installed_version", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'featherseg\[tensorboard\]'"):
        train(tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()

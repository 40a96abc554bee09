"""What a step minimizes: the masks, an even distribution, teachers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from featherseg.datasets.pack import Packed
from featherseg.losses import LOSSES, attention_transfer, channel_wise
from featherseg.networks import build_network
from featherseg.train.augment import warp
from featherseg.train.checkpoint import save_weights
from featherseg.train.files import BEST
from featherseg.train.loader import to_samples
from featherseg.train.loop import fit
from featherseg.train.objective import (
    Batch,
    Objective,
    changes_nothing,
    make_objective,
)
from featherseg.train.recipe import Recipe, load_recipe
from featherseg.train.run import load_run
from featherseg.train.sections import Augment
from featherseg.train.signals import answer, attention, probabilities
from tests.train.blobs import SETTINGS, blob_pack, halves

CPU = torch.device("cpu")
PACK = blob_pack(12)
PLAIN = "augment={}"


def trained(out: Path, *settings: str, pack: Packed = PACK) -> Path:
    """A run of one epoch, sharpened."""
    recipe = load_recipe("simplified_unet", [*SETTINGS, "epochs=1", *settings])
    fit(recipe, pack, halves(pack), out)
    network = load_run(out).network
    sharpen(network)
    save_weights(out / BEST, network)
    return out


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three runs of one epoch, of different seeds, and one of another width."""
    root = tmp_path_factory.mktemp("teachers")
    names = {"a": "seed=1", "b": "seed=2", "c": "seed=3", "wide": "network_options.width=6"}
    return {name: trained(root / name, setting) for name, setting in names.items()}


def recipe(runs: list[list[Path]], *settings: str, weights: str = "[0.5, 0.2]") -> Recipe:
    """A student of teachers "0", "1", ..., each the mean of some runs."""
    written = [
        f"{{name: '{n}', runs: {[str(run) for run in each]}}}" for n, each in enumerate(runs)
    ]
    distill = f"distill={{teachers: [{', '.join(written)}], weights: {weights}}}"
    return load_recipe("simplified_unet", [*SETTINGS, "epochs=1", PLAIN, distill, *settings])


def batch(pack: Packed = PACK) -> Batch:
    return Batch(*to_samples(pack, CPU).batch(np.arange(5)))


def student(pack: Packed = PACK) -> nn.Module:
    """An untrained network whose answers differ from pixel to pixel."""
    torch.manual_seed(0)
    count = len(pack.labels)
    network = build_network(
        "simplified_unet", width=4, out_channels=1 if count == 1 else count + 1
    ).eval()
    sharpen(network)
    network.get_parameter("head.bias").data += 0.5
    return network


class Pixelwise(nn.Module):
    """A network that is a function of images."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)


def sharpen(network: nn.Module) -> None:
    """Let the answers differ from pixel to pixel as those of a long training do."""
    network.get_parameter("head.weight").data *= 10


def given(objective: Objective, pack: Packed = PACK) -> Batch:
    """The batch with its planes, as the loop would hand it over unwarped."""
    found = batch(pack)
    planes = None if objective.planes is None else objective.planes[:5]
    return Batch(found.images, found.masks, planes)


def value(objective: Objective, network: Any, pack: Packed = PACK) -> float:
    return float(objective.loss(network, given(objective, pack)).detach())


def hard_part(network: nn.Module, pack: Packed = PACK) -> float:
    found = batch(pack)
    with torch.no_grad():
        return float(LOSSES["weight_balance"](network(found.images), found.masks))


def gradients(network: nn.Module) -> list[Tensor]:
    found = [parameter.grad for parameter in network.parameters()]
    return [each.clone() for each in found if each is not None]


def logits(run: Path) -> Tensor:
    with torch.no_grad():
        return answer(load_run(run).network, batch().images).logits


def by_hand(network: nn.Module, runs: list[list[Path]], temperature: float = 1.0) -> list[float]:
    """KL(teacher || student) of each teacher, in float64, mean over pixels, times T^2."""
    with torch.no_grad():
        own = 1 / (1 + np.exp(-network(batch().images).double().numpy() / temperature))
    found = []
    for each in runs:
        mean = np.mean([1 / (1 + np.exp(-logits(run).double().numpy())) for run in each], axis=0)
        soft = mean ** (1 / temperature)
        soft = soft / (soft + (1 - mean) ** (1 / temperature))
        kl = soft * np.log(soft / own) + (1 - soft) * np.log((1 - soft) / (1 - own))
        found.append(float(temperature**2 * kl.mean()))
    return found


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_weights_of_the_paper_by_hand(teachers: dict[str, Path], temperature: float) -> None:
    runs = [[teachers["a"]], [teachers["b"], teachers["c"]]]
    network = student()
    hard = hard_part(network)
    first, second = by_hand(network, runs, temperature)
    made = make_objective(recipe(runs, f"distill.temperature={temperature}"), None, PACK, CPU)
    assert first > 1e-3
    assert second > 1e-3
    assert value(made, network) == pytest.approx(0.3 * hard + 0.5 * first + 0.2 * second, rel=1e-5)


def test_given_runs_stand_before_those_of_the_recipe(teachers: dict[str, Path]) -> None:
    named = recipe([[teachers["a"]]], weights="[1]")
    changed = make_objective(named, {"0": [teachers["b"]]}, PACK, CPU)
    other = make_objective(recipe([[teachers["b"]]], weights="[1]"), None, PACK, CPU)
    first = make_objective(named, None, PACK, CPU)
    assert value(changed, student()) == value(other, student()) != value(first, student())


@pytest.mark.parametrize("view", ["augmented", "original"])
@pytest.mark.parametrize("transfer", ["predictions", "channel_wise", "attention"])
def test_a_student_that_is_its_teacher_costs_nothing_more(
    teachers: dict[str, Path], transfer: str, view: str
) -> None:
    settings = (f"distill.transfer={transfer}", f"distill.view={view}", "distill.temperature=2")
    # With augmentation, view "augmented" asks at every step; without, once.
    for augment in (PLAIN, "augment={horizontal_flip: 0.5}"):
        runs = recipe([[teachers["a"]]], augment, *settings, weights="[1000]")
        made = make_objective(runs, None, PACK, CPU)
        assert (made.planes is None) == (view == "augmented" and augment != PLAIN)
        network = load_run(teachers["a"]).network
        assert value(made, network) == pytest.approx(0.3 * hard_part(network), abs=2e-3)
        assert value(made, student()) > 0.3 * hard_part(student()) + 0.1


@pytest.mark.parametrize("transfer", ["predictions", "channel_wise", "attention"])
def test_what_is_asked_once_is_what_is_asked_at_every_step(
    teachers: dict[str, Path], transfer: str
) -> None:
    runs = [[teachers["a"], teachers["wide"]], [teachers["b"]]]
    settings = (f"distill.transfer={transfer}",)
    once = make_objective(recipe(runs, *settings), None, PACK, CPU)
    always = make_objective(recipe(runs, "augment.horizontal_flip=1", *settings), None, PACK, CPU)
    assert once.planes is not None
    assert once.planes.shape == (12, 2, 32, 32)
    assert once.planes.dtype == torch.float32
    assert always.planes is None
    assert value(once, student()) == pytest.approx(value(always, student()), rel=1e-6)


def test_planes_are_the_probabilities_of_the_plain_images(teachers: dict[str, Path]) -> None:
    made = make_objective(
        recipe([[teachers["a"]], [teachers["b"]]], "distill.view=original"), None, PACK, CPU
    )
    assert made.planes is not None
    expected = torch.cat([torch.sigmoid(logits(teachers[name])) for name in ("a", "b")], dim=1)
    assert torch.allclose(made.planes[:5], expected, atol=1e-6)


def test_the_original_view_turns_with_the_masks(teachers: dict[str, Path]) -> None:
    """A mirrored batch costs a mirrored student what the batch costs the student."""
    made = make_objective(
        recipe([[teachers["a"]]], "distill.view=original", weights="[1]"), None, PACK, CPU
    )

    def bright(images: Tensor) -> Tensor:
        return 8 * (images.mean(dim=1, keepdim=True) - 0.4)

    network = Pixelwise(bright)
    mirrored = Pixelwise(lambda images: bright(images.flip(3)).flip(3))
    found = batch()
    # A plane that is the mask, less sharp: whatever turns one must turn the other.
    plain = Batch(found.images, found.masks, 0.1 + 0.8 * (found.masks[:, None] > 0).float())
    mirror = np.tile([[-1.0, 0, 0], [0, 1, 0]], (len(found.masks), 1, 1))
    turned = warp(plain, mirror)
    assert turned.planes is not None
    assert torch.equal(turned.masks, plain.masks.flip(2))
    assert torch.allclose(turned.planes[:, 0], 0.1 + 0.8 * (turned.masks > 0), atol=1e-5)
    with torch.no_grad():
        expected = float(made.loss(network, plain))
        assert float(made.loss(mirrored, turned)) == pytest.approx(expected, rel=1e-5)
        unturned = Batch(turned.images, turned.masks, plain.planes)
        assert float(made.loss(mirrored, unturned)) != pytest.approx(expected, rel=1e-4)


def test_large_planes_are_half_floats_for_the_original_view_only(
    teachers: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featherseg.train.objective._FULL_PLANES_BYTES", 4 * 12 * 32 * 32 - 1)
    plain = recipe([[teachers["a"]]], weights="[1]")
    assert make_objective(plain, None, PACK, CPU).planes is None
    original = recipe([[teachers["a"]]], "distill.view=original", weights="[1]")
    made = make_objective(original, None, PACK, CPU)
    assert made.planes is not None
    assert made.planes.dtype == torch.float16
    exact = make_objective(plain, None, PACK, CPU)
    assert value(made, student()) == pytest.approx(value(exact, student()), rel=1e-3)


def test_fine_tuned_teachers_learn_from_the_masks_alone(teachers: dict[str, Path]) -> None:
    runs = [[teachers["a"]], [teachers["b"], teachers["c"]]]
    frozen = make_objective(recipe(runs), None, PACK, CPU)
    tuned = make_objective(recipe(runs, "distill.finetune=true"), None, PACK, CPU)
    assert frozen.trained == ()
    assert tuned.planes is None
    assert len(tuned.trained) == 3
    network = student()
    own = [LOSSES["weight_balance"](logits(run), batch().masks) for each in runs for run in each]
    assert value(tuned, network) == pytest.approx(
        value(frozen, network) + float(torch.stack(own).sum()), rel=1e-5
    )
    torch.autograd.backward(tuned.loss(network, batch()))
    alone = load_run(teachers["a"]).network
    torch.autograd.backward(LOSSES["weight_balance"](alone(batch().images), batch().masks))
    for ours, expected in zip(tuned.trained[0].parameters(), alone.parameters(), strict=True):
        assert expected.grad is not None
        assert ours.grad is not None
        assert torch.allclose(ours.grad, expected.grad, rtol=1e-4, atol=1e-6)
    beside_tuned = gradients(network)
    network.zero_grad()
    torch.autograd.backward(frozen.loss(network, given(frozen)))
    for one, other in zip(beside_tuned, gradients(network), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


def test_frozen_teachers_have_no_gradients(teachers: dict[str, Path]) -> None:
    made = make_objective(
        recipe([[teachers["a"]]], "augment.affine=1", weights="[1]"), None, PACK, CPU
    )
    network = student().train()
    torch.autograd.backward(made.loss(network, batch()))
    assert len(gradients(network)) == len(list(network.parameters()))
    assert made.trained == ()


def test_label_smoothing_is_its_closed_form() -> None:
    settings = [*SETTINGS, "label_smoothing=0.2", "loss=bce"]
    made = make_objective(load_recipe("simplified_unet", settings), None, PACK, CPU)
    network = student()
    with torch.no_grad():
        p = torch.sigmoid(network(batch().images)[:, 0].double())
    mask = batch().masks.double()
    bce = -(mask * p.log() + (1 - mask) * (1 - p).log()).mean()
    uniform = -(0.5 * (2 * p).log() + 0.5 * (2 * (1 - p)).log()).mean()
    assert value(made, network) == pytest.approx(float(0.8 * bce + 0.2 * uniform), rel=1e-5)


def test_smoothing_belongs_to_the_hard_part(teachers: dict[str, Path]) -> None:
    smooth = make_objective(
        recipe([[teachers["a"]]], "label_smoothing=0.2", weights="[1]"), None, PACK, CPU
    )
    plain = make_objective(recipe([[teachers["a"]]], weights="[1]"), None, PACK, CPU)
    hard = [
        value(
            make_objective(
                load_recipe("simplified_unet", [*SETTINGS, f"label_smoothing={share}"]),
                None,
                PACK,
                CPU,
            ),
            student(),
        )
        for share in (0, 0.2)
    ]
    gained = value(smooth, student()) - value(plain, student())
    assert gained == pytest.approx(0.3 * (hard[1] - hard[0]), rel=1e-3)


@pytest.mark.parametrize("transfer", ["predictions", "channel_wise"])
def test_several_labels(tmp_path: Path, transfer: str) -> None:
    pack = blob_pack(12, labels=2)
    run = trained(tmp_path / "run", pack=pack)
    settings = (f"distill.transfer={transfer}", "distill.view=original")
    made = make_objective(recipe([[run]], *settings, weights="[1000]"), None, pack, CPU)
    assert made.planes is not None
    assert made.planes.shape == (12, 2, 32, 32)
    network = load_run(run).network
    assert value(made, network, pack) == pytest.approx(0.3 * hard_part(network, pack), abs=2e-3)
    assert value(made, student(pack), pack) > 0.3 * hard_part(student(pack), pack) + 0.1


def test_transfers_of_maps_are_those_of_the_losses(teachers: dict[str, Path]) -> None:
    network = student()
    hard = hard_part(network)
    with torch.no_grad():
        own = answer(network, batch().images)
        theirs = answer(load_run(teachers["a"]).network, batch().images)
    assert own.features is not None
    expected = {
        "channel_wise": channel_wise(own.logits, theirs.logits, 4.0),
        "attention": attention_transfer(own.features, attention([theirs])),
    }
    for transfer, soft in expected.items():
        settings = (f"distill.transfer={transfer}", "distill.temperature=4")
        made = make_objective(recipe([[teachers["a"]]], *settings, weights="[1]"), None, PACK, CPU)
        assert value(made, network) == pytest.approx(0.3 * hard + float(soft), rel=1e-4)


def test_what_changes_nothing() -> None:
    assert changes_nothing(Augment())
    assert changes_nothing(Augment(scale=0.3, rotate_deg=10))
    for change in ("horizontal_flip", "vertical_flip", "affine", "brightness", "contrast", "gamma"):
        assert not changes_nothing(Augment(**{change: 0.1}))  # type: ignore[arg-type]
    assert not changes_nothing(Augment(symmetries=8))


def test_probabilities_are_averaged_not_logits() -> None:
    from featherseg.train.signals import Answer

    answers = [Answer(torch.full((1, 1, 2, 2), level), None) for level in (-2.0, 4.0)]
    expected = (1 / (1 + np.exp(2.0)) + 1 / (1 + np.exp(-4.0))) / 2
    assert torch.allclose(probabilities(answers), torch.tensor(expected, dtype=torch.float32))

"""What a step of training minimizes: the masks, an even distribution, and teachers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from featherseg.datasets.pack import Packed
from featherseg.losses import LOSSES, Loss, presence_bce, uniform_kl
from featherseg.networks.presence import with_presence
from featherseg.train.loader import in_order, to_samples
from featherseg.train.recipe import Recipe
from featherseg.train.sections import Augment
from featherseg.train.signals import TRANSFERS, Answer, answer
from featherseg.train.teachers import Ensemble, load_teachers

# Planes that would take more than this are kept as half floats.
_FULL_PLANES_BYTES = 1 << 30
_FLOAT_BYTES = 4


@dataclass(frozen=True, eq=False)
class Batch:
    """What a step learns from.

    ``images`` is float32 (N, C, H, W) in [0, 1], ``masks`` int64 (N, H, W). ``planes`` float32
    (N, P, H, W) is what teachers said of the plain images, warped as the masks were; None
    without such teachers.
    """

    images: Tensor
    masks: Tensor
    planes: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Objective:
    """A loss of (network, batch), and what it needs from the loop.

    ``planes`` (M, P, H, W) belongs to the M training images, in their order: float32, or float16
    where that would take more than 1 GiB. ``trained`` are further networks that are optimized
    and checkpointed with the network: fine-tuned teachers.
    """

    loss: Callable[[Any, Batch], Tensor]
    planes: Tensor | None = None
    trained: tuple[nn.Module, ...] = ()


def make_objective(
    recipe: Recipe,
    teachers: Mapping[str, Sequence[Path]] | None,
    train: Packed,
    device: torch.device,
) -> Objective:
    """The objective of a recipe for the training images `train`, in the loop's order.

    Without `distill` it is the recipe's loss, smoothed by `label_smoothing`. With it, that loss
    times `hard` plus each teacher's weight times what it costs the student to differ from the
    teacher (LightBTSeg, section III-C). `presence_weight` times the loss of the presence head is
    added to either; teachers say nothing of it. `teachers` maps names to run folders, before the
    runs that the recipe names; `teachers.check_teachers` says whether they fit. Frozen teachers
    are asked once where their answers cannot change: for view "original", and where augmentation
    changes nothing. Raises RunError for a teacher that cannot be loaded.
    """
    distill = recipe.distill
    if distill is None:
        return Objective(partial(_own_loss, recipe))
    ensembles = load_teachers(recipe, teachers, device)
    if distill.finetune:
        return _with_tuned_teachers(recipe, ensembles)
    for network in (network for ensemble in ensembles for network in ensemble.networks):
        network.requires_grad_(False)

    @torch.no_grad()
    def ask(images: Tensor) -> Tensor:
        return _planes(recipe, _answers(ensembles, images))

    count = len(ensembles) * (1 if distill.transfer == "attention" else len(train.labels))
    size = count * train.masks.size * _FLOAT_BYTES
    is_small = size <= _FULL_PLANES_BYTES
    if distill.view == "original" or (changes_nothing(recipe.augment) and is_small):
        dtype = torch.float32 if is_small else torch.float16
        planes = _asked_once(ask, train, device, dtype)
        return Objective(partial(_given_loss, recipe), planes=planes)
    return Objective(
        lambda network, batch: _student_loss(recipe, network, batch, ask(batch.images))
    )


def hard_loss(recipe: Recipe) -> Loss:
    """The recipe's loss; with label smoothing e, (1 - e) of it and e of `uniform_kl`."""
    hard, share = LOSSES[recipe.loss], recipe.label_smoothing
    if not share:
        return hard
    return lambda logits, mask: (1 - share) * hard(logits, mask) + share * uniform_kl(logits)


def presence_loss(recipe: Recipe, presence: Tensor | None, masks: Tensor) -> Tensor | float:
    """The presence head's part of the loss; 0 where the recipe gives it no weight.

    `inputs.check_inputs` has seen to it that a network has the head where it has a weight.
    """
    if not recipe.presence_weight or presence is None:
        return 0.0
    return recipe.presence_weight * presence_bce(presence, masks)


def changes_nothing(augment: Augment) -> bool:
    """Whether every image is seen as it is, in every epoch."""
    warps = augment.horizontal_flip or augment.vertical_flip or augment.affine
    recolors = augment.brightness or augment.contrast or augment.gamma
    return not warps and not recolors and augment.symmetries == 1


def _own_loss(recipe: Recipe, network: Any, batch: Batch) -> Tensor:
    """The loss of a network that learns from the masks alone."""
    logits, presence = with_presence(network, batch.images)
    loss = hard_loss(recipe)(logits, batch.masks)
    return loss + presence_loss(recipe, presence, batch.masks)


def _student_loss(recipe: Recipe, network: Any, batch: Batch, planes: Tensor) -> Tensor:
    """The student's loss; `planes` (N, P, H, W) holds equally many of each teacher, in order."""
    distill = recipe.distill
    assert distill is not None
    cost = TRANSFERS[distill.transfer].cost
    student = answer(network, batch.images)
    total = distill.hard * hard_loss(recipe)(student.logits, batch.masks)
    total = total + presence_loss(recipe, student.presence, batch.masks)
    of_each = planes.chunk(len(distill.weights), dim=1)
    for weight, said in zip(distill.weights, of_each, strict=True):
        total = total + weight * cost(student, said, distill.temperature)
    return total


def _given_loss(recipe: Recipe, network: Any, batch: Batch) -> Tensor:
    """The student's loss against planes that came with the batch."""
    assert batch.planes is not None
    return _student_loss(recipe, network, batch, batch.planes)


def _with_tuned_teachers(recipe: Recipe, ensembles: Sequence[Ensemble]) -> Objective:
    """Teachers learn on, each network by the loss that trained it, from the masks alone.

    They stay in evaluation mode: their batch norms keep the statistics of their own training,
    and what they say of an image does not depend on the rest of its batch.
    """

    def loss(network: Any, batch: Batch) -> Tensor:
        answers = _answers(ensembles, batch.images)
        total = _student_loss(recipe, network, batch, _planes(recipe, answers).detach())
        for ensemble, said in zip(ensembles, answers, strict=True):
            for own, each in zip(ensemble.losses, said, strict=True):
                total = total + own(each.logits, batch.masks)
        return total

    return Objective(loss, trained=tuple(each for one in ensembles for each in one.networks))


def _answers(ensembles: Sequence[Ensemble], images: Tensor) -> list[list[Answer]]:
    """What every network of every teacher makes of images; the caller sets the precision."""
    return [[answer(network, images) for network in each.networks] for each in ensembles]


def _planes(recipe: Recipe, answers: Sequence[Sequence[Answer]]) -> Tensor:
    """The planes of all teachers, one teacher after another, float32 (N, P, H, W)."""
    assert recipe.distill is not None
    say = TRANSFERS[recipe.distill.transfer].say
    return torch.cat([say(each) for each in answers], dim=1)


def _asked_once(
    ask: Callable[[Tensor], Tensor], train: Packed, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """What teachers say of all training images, as they are (M, P, H, W)."""
    batches = in_order(to_samples(train, device))
    return torch.cat([ask(images).to(dtype) for images, _ in batches])

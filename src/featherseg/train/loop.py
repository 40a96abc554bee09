"""The training loop: every step in order, on Lightning Fabric.

A run folder holds ``recipe.yaml`` and ``split.json``, after each epoch ``log.jsonl``,
``last.safetensors`` and ``best.safetensors``, and at the end what `outcome` writes.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from featherseg.datasets.pack import Packed
from featherseg.errors import DivergedError, RunError
from featherseg.extras import require
from featherseg.losses import LOSSES
from featherseg.train.augment import apply_changes, draw_changes
from featherseg.train.average import update_average
from featherseg.train.checkpoint import (
    Progress,
    load_checkpoint,
    load_weights,
    restore,
    save_checkpoint,
    save_weights,
)
from featherseg.train.distributed import (
    is_first,
    part_of,
    shared_batch_norm,
    sum_of_all,
)
from featherseg.train.events import event_log
from featherseg.train.files import BEST
from featherseg.train.folder import check_folder, held, write_log
from featherseg.train.initial import check_initial, describe_initial
from featherseg.train.inputs import check_inputs, data_sha256, of_classes
from featherseg.train.loader import in_order
from featherseg.train.objective import Batch
from featherseg.train.outcome import write_outcome
from featherseg.train.precision import peak_memory_mb
from featherseg.train.recipe import Recipe, recipe_sha256
from featherseg.train.sampling import Places, augment_random, epoch_batches, seed_network
from featherseg.train.schedule import learning_rate, stops_early
from featherseg.train.teachers import Folders, check_teachers, describe_teachers
from featherseg.train.training import Tick, Training, prepare
from featherseg.train.validate import rank, validate


def fit(
    recipe: Recipe,
    data: Packed,
    subsets: Mapping[str, Sequence[str]],
    out: Path,
    *,
    resume: bool = False,
    provenance: Mapping[str, Any] | None = None,
    teachers: Folders | None = None,
    progress: Callable[[Tick], None] | None = None,
    tensorboard: bool = False,
) -> Path:
    """Train a network and give its run folder `out`.

    `subsets` names the cases of "train" and "validation"; the recipe's `classes` limit both, and
    with `select` "last_epoch" validation may be empty. `provenance` may hold `protocol`,
    `split_sha256`, `fold` and `split` (the split file's content), and where validation is empty
    `operating_point` and `operating_point_chosen_on`. `teachers` names run folders for the
    recipe's teachers; `tensorboard` asks for event files in OUT/tensorboard.

    With `resume` an interrupted run goes on from its last checkpoint and ends with the weights
    it would have had, bit for bit on the same processor with the same number of threads.

    Raises RecipeError and DataError where recipe and data do not fit, RunError for a folder
    that is in the way, a resumed run whose recipe, data or teachers changed, and a loss that is
    not finite, StorageError for a full disk or a folder that another process trains in.
    """
    out, given = Path(out), provenance or {}
    if tensorboard:
        require("tensorboard")
    subsets = of_classes(recipe, data, subsets)
    check_inputs(recipe, data, subsets)
    check_teachers(recipe, teachers, data, given)
    check_initial(recipe, data, given)
    check_folder(out, recipe, resume)
    # Only the first of several processes writes.
    events = event_log(out) if tensorboard and is_first() else nullcontext(lambda _: None)
    with held(out, recipe, given), events as record:
        parts = {name: data.select(ids) for name, ids in subsets.items()}
        known = describe_teachers(recipe, teachers)
        training = prepare(
            recipe, parts, out, teachers, tell=progress or (lambda _: None), record=record
        )
        initial = describe_initial(recipe)
        begun = [{"initial_weights": initial}] if recipe.initial_weights else []
        fresh = Progress(recipe_sha256(recipe), data_sha256(data, subsets, [*known, *begun]))
        done = _train(training, _resumed(training, fresh))
        if is_first():
            _finish(training, parts, done, {**given, "initial_weights": initial}, known)
        training.fabric.barrier()
    return out


def _finish(
    training: Training,
    parts: Mapping[str, Packed],
    done: Progress,
    given: Mapping[str, Any],
    teachers: Sequence[Mapping[str, Any]],
) -> None:
    """Write what a finished training leaves, by its best weights."""
    recipe, out, network = training.recipe, training.out, training.network
    load_weights(out / BEST, network)
    with training.fabric.autocast():
        write_outcome(out, recipe, parts, network, done=done, provenance=given, teachers=teachers)


def _train(training: Training, done: Progress) -> Progress:
    """The loop over epochs, from where `done` stands to the end."""
    recipe = training.recipe
    for epoch in range(done.epoch + 1, recipe.epochs + 1):
        # Without validation only their number counts (see `check_inputs`).
        losses = [entry.get("validation_loss", math.nan) for entry in done.history]
        if stops_early(losses, recipe.early_stop):
            break
        start = time.perf_counter()
        lr = learning_rate(losses, recipe)
        for group in training.optimizer.param_groups:
            group["lr"] = lr
        batches = epoch_batches(training.is_positive, recipe, epoch)
        train_loss = _train_epoch(training, epoch, batches, done)
        trained = time.perf_counter()
        scores = _validate(training, epoch)
        entry = {
            "epoch": epoch,
            "step": done.step + len(batches),
            "lr": lr,
            "train_loss": train_loss,
            **scores,
            "seconds": round(time.perf_counter() - start, 3),
            "images_per_s": round(sum(map(len, batches)) / (trained - start), 2),
            "peak_memory_mb": peak_memory_mb(training.fabric.device),
        }
        done = _keep(training, done, entry)
        steps, dice = len(batches), scores.get("validation_dice")
        training.tell(Tick(epoch, recipe.epochs, steps, steps, train_loss, dice))
    return done


def _train_epoch(
    training: Training, epoch: int, batches: Sequence[Places], done: Progress
) -> float:
    """The steps of one epoch; the mean loss of its images."""
    dice = done.history[-1].get("validation_dice") if done.history else None
    training.network.train()
    total = 0.0
    for number, entries in enumerate(batches, start=1):
        step = done.step + number
        loss = _step(training, entries, step, f"step {step} (epoch {epoch})")
        total += loss * len(entries)
        training.tell(Tick(epoch, training.recipe.epochs, number, len(batches), loss, dice))
    return total / sum(map(len, batches))


def _step(training: Training, entries: Places, step: int, where: str) -> float:
    """One step of the optimizer; the mean loss of the batch, of which this process sees a part."""
    recipe, fabric = training.recipe, training.fabric
    part = part_of(len(entries), fabric.global_rank, fabric.world_size)
    turns, places = np.divmod(entries, len(training.train))
    size = recipe.input_size
    random = augment_random(recipe.seed, step)
    changes = draw_changes(turns, size, recipe.augment, random).of(part)
    batch = apply_changes(_batch(training, places[part]), changes)
    seed_network(recipe.seed, step, fabric.global_rank)
    with shared_batch_norm(fabric.world_size):
        loss = training.learner(
            batch.images.contiguous(memory_format=torch.channels_last), batch.masks, batch.planes
        )
    # A loss is the mean of one value an image, and gradients are averaged over the processes.
    share = (part.stop - part.start) / len(entries)
    value = _finite(float(sum_of_all(fabric, loss.detach() * share)), where, training.out)
    training.optimizer.zero_grad()
    fabric.backward(loss * (share * fabric.world_size))
    if recipe.clip_norm is not None:
        norm = fabric.clip_gradients(
            training.learner,
            training.optimizer,
            max_norm=recipe.clip_norm,
            error_if_nonfinite=False,
        )
        assert norm is not None
        _finite(float(norm), where, training.out, "the gradient's norm")
    training.optimizer.step()
    if training.average is not None and recipe.ema is not None:
        update_average(training.average, training.network, recipe.ema, step)
    return value


def _batch(training: Training, places: Places) -> Batch:
    """Training images by their places, as they are."""
    images, masks = training.train.batch(places)
    planes = training.objective.planes
    if planes is not None:
        planes = planes[torch.from_numpy(places).to(planes.device)].to(images)
    return Batch(images, masks, planes)


def _validate(training: Training, epoch: int) -> dict[str, float]:
    """The validation's part of an epoch's log entry; empty where nothing is validated."""
    fabric, after = training.fabric, f"the validation of epoch {epoch}"
    for key, module in training.modules.items():
        for name, weights in module.state_dict().items():
            what = f"the largest of the weights {key}.{name}"
            _finite(float(weights.abs().max()), after, training.out, what)
    if not len(training.validation):
        return {}
    batches = in_order(training.validation, fabric.global_rank, fabric.world_size)
    with fabric.autocast():
        scores = validate(
            training.kept,
            batches,
            LOSSES[training.recipe.loss],
            lambda own: sum_of_all(fabric, own),
        )
    _finite(scores.loss, after, training.out)
    return {"validation_loss": scores.loss, "validation_dice": scores.dice}


def _keep(training: Training, done: Progress, entry: dict[str, Any]) -> Progress:
    """Write what an epoch leaves behind: the best weights, the checkpoint, the log."""
    improved = done.best is None or _is_better(training.recipe, entry, done.best)
    done = replace(
        done,
        epoch=entry["epoch"],
        step=entry["step"],
        history=(*done.history, entry),
        best=entry if improved else done.best,
    )
    if is_first():
        if improved:
            save_weights(training.out / BEST, training.kept)
        save_checkpoint(training.out, training.modules, training.optimizer.optimizer, done)
        write_log(training.out, done)
    training.record(entry)
    return done


def _is_better(recipe: Recipe, entry: Mapping[str, Any], best: Mapping[str, Any]) -> bool:
    """Whether an epoch's weights are kept."""
    if recipe.select == "last_epoch":
        return True
    return rank(entry, recipe.select) > rank(best, recipe.select)


def _resumed(training: Training, fresh: Progress) -> Progress:
    """Where the last checkpoint stands, its state restored; `fresh` where there is none."""
    found = load_checkpoint(training.out)
    done = fresh if found is None else found[0]
    _check_same_place(training, done.epoch)
    if found is None:
        return fresh
    if done.recipe_sha256 != fresh.recipe_sha256:
        raise RunError(f"{training.out}: the checkpoint is of another recipe; choose another --out")
    if done.data_sha256 != fresh.data_sha256:
        raise RunError(
            f"{training.out}: this run was trained on other data (images, labels, split or "
            "teachers differ); resume with the same data or choose another --out"
        )
    restore(found[1], training.modules, training.optimizer.optimizer)
    if is_first():
        write_log(training.out, done)
    for entry in done.history:
        training.record(entry)
    return done


def _check_same_place(training: Training, epoch: int) -> None:
    """RunError where several processes do not see the same checkpoint."""
    fabric = training.fabric
    if float(sum_of_all(fabric, torch.tensor(float(epoch)))) != epoch * fabric.world_size:
        raise RunError(
            f"{training.out}: the processes see different checkpoints (this one that of epoch "
            f"{epoch}); --out must be a folder that all machines share"
        )


def _finite(value: float, where: str, out: Path, what: str = "the loss") -> float:
    if not math.isfinite(value):
        raise DivergedError(
            f"{what} is {value} at {where}; the last good checkpoint is kept in {out}; "
            "train with a lower --set lr=... or with --set precision=32-true"
        )
    return value

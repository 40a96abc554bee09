"""The training loop: every step in order, on Lightning Fabric.

A run folder holds ``recipe.yaml`` and ``split.json``, after each epoch ``log.jsonl``,
``last.safetensors`` and ``best.safetensors``, and at the end what `outcome` writes.
"""

import json
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from featherseg.datasets.pack import Packed
from featherseg.errors import RunError
from featherseg.losses import LOSSES
from featherseg.networks import build_network
from featherseg.storage import locked, write_json, write_text
from featherseg.train.augment import augment
from featherseg.train.checkpoint import (
    Progress,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)
from featherseg.train.files import BEST, LOG_FILE, RECIPE_FILE, SPLIT_FILE
from featherseg.train.inputs import check_inputs, data_sha256, resolved_options
from featherseg.train.loader import (
    Samples,
    augment_random,
    batch_count,
    epoch_order,
    in_order,
    seed_network,
    to_samples,
)
from featherseg.train.objective import Batch, Objective, hard_objective
from featherseg.train.outcome import write_outcome
from featherseg.train.precision import Precision, pick_device, pick_precision
from featherseg.train.recipe import Recipe, load_recipe, recipe_sha256, to_yaml
from featherseg.train.schedule import learning_rate, stops_early
from featherseg.train.validate import validate

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# What a run that was killed while it wrote a file leaves (storage.replacing).
_HALF_WRITTEN = ".*.tmp"


@dataclass(frozen=True)
class Tick:
    """What a progress display is told after each step and each epoch.

    ``step`` of ``steps`` counts within epoch ``epoch`` of at most ``epochs``; ``loss`` is the
    batch's, ``validation_dice`` that of the last full epoch, None before the first.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    validation_dice: float | None


@dataclass(frozen=True, eq=False)
class _Training:
    """What the loop works with; `network` and `optimizer` are Fabric's wrappers."""

    recipe: Recipe
    out: Path
    fabric: "Fabric"
    network: Any
    optimizer: Any
    objective: Objective
    train: Samples
    validation: Samples
    tell: Callable[[Tick], None]


def fit(
    recipe: Recipe,
    data: Packed,
    subsets: Mapping[str, Sequence[str]],
    out: Path,
    *,
    resume: bool = False,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[Tick], None] | None = None,
) -> Path:
    """Train a network and give its run folder `out`.

    `subsets` names the cases of "train" and "validation". `provenance` may hold `protocol`,
    `split_sha256`, `fold` and `split` (the split file's content). With `resume` an interrupted
    run goes on from its last checkpoint and ends with the weights it would have had, bit for
    bit on the same processor with the same number of threads.

    Raises RecipeError and DataError where recipe and data do not fit, RunError for a folder
    that is in the way, a resumed run whose recipe or data changed, and a loss that is not
    finite, StorageError for a full disk or a folder that another process trains in.
    """
    out = Path(out)
    check_inputs(recipe, data, subsets)
    check_folder(out, recipe, resume)
    with locked(out, "training"):
        for leftover in out.glob(_HALF_WRITTEN):
            leftover.unlink()
        write_text(out / RECIPE_FILE, to_yaml(recipe))
        if provenance and "split" in provenance:
            write_json(out / SPLIT_FILE, provenance["split"])
        parts = {name: data.select(subsets[name]) for name in ("train", "validation")}
        training, network = _prepare(recipe, parts, out, progress or (lambda _: None))
        fresh = Progress(recipe_sha256(recipe), data_sha256(data, subsets))
        done = _resumed(training, network, fresh)
        done = _train(training, network, done)
        load_weights(out / BEST, network)
        write_outcome(out, recipe, parts, training.network, done=done, provenance=provenance or {})
    return out


def _train(training: _Training, network: nn.Module, done: Progress) -> Progress:
    """The loop over epochs, from where `done` stands to the end."""
    recipe = training.recipe
    for epoch in range(done.epoch + 1, recipe.epochs + 1):
        losses = [entry["validation_loss"] for entry in done.history]
        if stops_early(losses, recipe.early_stop):
            break
        start = time.perf_counter()
        lr = learning_rate(losses, recipe)
        for group in training.optimizer.param_groups:
            group["lr"] = lr
        steps = batch_count(len(training.train), recipe.batch_size)
        train_loss = _train_epoch(training, epoch, done)
        scores = validate(training.network, in_order(training.validation), LOSSES[recipe.loss])
        _finite(scores.loss, f"the validation of epoch {epoch}", training.out)
        entry = {
            "epoch": epoch,
            "step": done.step + steps,
            "lr": lr,
            "train_loss": train_loss,
            "validation_loss": scores.loss,
            "validation_dice": scores.dice,
            "seconds": round(time.perf_counter() - start, 3),
        }
        done = _keep(training, network, done, entry)
        training.tell(Tick(epoch, recipe.epochs, steps, steps, train_loss, scores.dice))
    return done


def _train_epoch(training: _Training, epoch: int, done: Progress) -> float:
    """The steps of one epoch; the mean loss of its images."""
    recipe = training.recipe
    batches = epoch_order(len(training.train), recipe.batch_size, recipe.seed, epoch)
    dice = done.history[-1]["validation_dice"] if done.history else None
    training.network.train()
    total = 0.0
    for number, places in enumerate(batches, start=1):
        step = done.step + number
        images, masks = training.train.batch(places)
        random = augment_random(recipe.seed, step)
        images, masks = augment(images, masks, recipe.augment, random)
        seed_network(recipe.seed, step)
        batch = Batch(images.contiguous(memory_format=torch.channels_last), masks)
        loss = training.objective.loss(training.network, batch)
        value = _finite(float(loss.detach()), f"step {step} (epoch {epoch})", training.out)
        training.optimizer.zero_grad()
        training.fabric.backward(loss)
        training.optimizer.step()
        total += value * len(places)
        training.tell(Tick(epoch, recipe.epochs, number, len(batches), value, dice))
    return total / len(training.train)


def _keep(
    training: _Training, network: nn.Module, done: Progress, entry: dict[str, Any]
) -> Progress:
    """Write what an epoch leaves behind: the best weights, the checkpoint, the log."""
    improved = done.best is None or _is_better(training.recipe, entry, done.best)
    if improved:
        save_weights(training.out / BEST, network)
    done = replace(
        done,
        epoch=entry["epoch"],
        step=entry["step"],
        history=(*done.history, entry),
        best=entry if improved else done.best,
    )
    save_checkpoint(training.out, network, training.optimizer.optimizer, done)
    _write_log(training.out, done)
    return done


def _is_better(recipe: Recipe, entry: Mapping[str, Any], best: Mapping[str, Any]) -> bool:
    """Whether an epoch's weights are kept; equal Dice is decided by the loss."""
    new, old = ((each["validation_dice"], -each["validation_loss"]) for each in (entry, best))
    return bool(new > old if recipe.select == "validation_dice" else new[1] > old[1])


def _prepare(
    recipe: Recipe, parts: Mapping[str, Packed], out: Path, tell: Callable[[Tick], None]
) -> tuple[_Training, nn.Module]:
    """Network, optimizer and data on the device; also the bare network, which is saved."""
    device = pick_device()
    fabric = _fabric(device, pick_precision(recipe.precision, device.type))
    seed_network(recipe.seed, step=0)
    options = resolved_options(recipe, parts["train"])
    network = build_network(recipe.network, **options).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(
        network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
    )
    wrapped, wrapped_optimizer = fabric.setup(network, optimizer)
    training = _Training(
        recipe=recipe,
        out=out,
        fabric=fabric,
        network=wrapped,
        optimizer=wrapped_optimizer,
        objective=hard_objective(recipe),
        train=to_samples(parts["train"], device),
        validation=to_samples(parts["validation"], device),
        tell=tell,
    )
    return training, network


def _fabric(device: torch.device, precision: Precision) -> "Fabric":
    """Lightning Fabric on one device; imported here because that takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lightning_fabric import Fabric

    return Fabric(accelerator=device.type, devices=1, precision=precision)


def _resumed(training: _Training, network: nn.Module, fresh: Progress) -> Progress:
    """Where the last checkpoint stands, its state restored; `fresh` where there is none."""
    done = load_checkpoint(training.out, network, training.optimizer.optimizer)
    if done is None:
        return fresh
    if done.recipe_sha256 != fresh.recipe_sha256:
        raise RunError(f"{training.out}: the checkpoint is of another recipe; choose another --out")
    if done.data_sha256 != fresh.data_sha256:
        raise RunError(
            f"{training.out}: this run was trained on other data (images, labels or split differ); "
            "resume with the same data or choose another --out"
        )
    _write_log(training.out, done)
    return done


def check_folder(out: Path, recipe: Recipe, resume: bool) -> None:
    """Refuse a folder that holds something else, or a run that was not asked to be resumed."""
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: expected a folder for the run, found a file")
    entries = list(out.iterdir()) if out.is_dir() else []
    present = {each.name for each in entries if not each.match(_HALF_WRITTEN)} - {".lock"}
    if not present:
        return
    if not resume:
        raise RunError(
            f"{out} is not empty; go on with the run in it by --resume, or choose another --out"
        )
    if RECIPE_FILE not in present:
        raise RunError(f"{out} holds no run to resume (no {RECIPE_FILE}); choose another --out")
    before = load_recipe(out / RECIPE_FILE)
    changed = [name for name in vars(recipe) if getattr(before, name) != getattr(recipe, name)]
    if changed:
        raise RunError(
            f"{out}: the recipe has changed in {', '.join(changed)} since this run began; "
            "resume with the same settings or choose another --out"
        )


def _finite(value: float, where: str, out: Path) -> float:
    if not math.isfinite(value):
        raise RunError(
            f"the loss is {value} at {where}; the last good checkpoint is kept in {out}; "
            "train with a lower --set lr=... or with --set precision=32-true"
        )
    return value


def _write_log(out: Path, done: Progress) -> None:
    """One line an epoch, written anew so that a resumed run has no line of a lost epoch."""
    lines = [json.dumps(entry, allow_nan=False) + "\n" for entry in done.history]
    write_text(out / LOG_FILE, "".join(lines))


__all__ = ["LOG_FILE", "RECIPE_FILE", "SPLIT_FILE", "Tick", "check_folder", "fit"]

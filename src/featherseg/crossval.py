"""Cross-validation: every image scored by a network that has not seen it, then one trained on all.

Below the folder stand `fold_0`, `fold_1`, ... (each a `run` with its scores), the scores of all
images together and, if asked for, `final`: a run trained on all images. Its operating point was
chosen on what the folds' networks found in images that they had not seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featherseg.bundle import CrossValidationEntry, ScoreEntry
from featherseg.case_table import Row, read_cases_csv, write_cases_csv
from featherseg.datasets import Dataset, load_dataset
from featherseg.datasets.layout import load_json
from featherseg.datasets.pack import Packed
from featherseg.errors import DataError, RecipeError, RunError
from featherseg.grid import Job, packed_once, run_folder, run_grid, with_teachers
from featherseg.operating_point import choose_operating_point
from featherseg.report.html import Report, Section, render_report
from featherseg.report.pictures import Picture, case_pictures, spread_cases
from featherseg.report.scores import CASES_FILE, REPORT_FILE, SUMMARY_FILE
from featherseg.report.words import metric_key
from featherseg.runtime.masks import Answer
from featherseg.segment import Segmenter
from featherseg.splits import Split, check_split, load_split, save_split, subset
from featherseg.storage import locked, sha256_json, write_json, write_text
from featherseg.summary import Stamp, stamp_of, summarize
from featherseg.train.files import RECIPE_FILE, RUN_FILE, SPLIT_FILE
from featherseg.train.folder import check_folder
from featherseg.train.loop import fit
from featherseg.train.outcome import predict
from featherseg.train.precision import pick_device
from featherseg.train.recipe import Recipe, to_yaml
from featherseg.train.run import load_run, run_segmenter
from featherseg.train.sections import Plateau
from featherseg.train.show import SILENT, Show
from featherseg.types import Mask

FINAL = "final"
# What a card shows: what says most, and needs no tolerance to be told.
_SHOWN = ("dice_lesion", "dice_all", "iou_lesion", "precision", "recall", "hd95", "assd")
_SPREAD_CASES = 8


@dataclass(frozen=True)
class CrossValidation:
    """A recipe, the images in folder `data`, a split of them in folds, and the folder it fills."""

    recipe: Recipe
    data: Path
    layout: str
    split: Split
    out: Path

    @property
    def jobs(self) -> tuple[Job, ...]:
        """A training for each fold, in their order."""
        return tuple(
            Job(
                name=f"fold_{fold}",
                recipe=self.recipe,
                data=self.data,
                layout=self.layout,
                split=self.out / SPLIT_FILE,
                fold=fold,
            )
            for fold in range(len(self.split.folds or ()))
        )


def cross_validate(
    made: CrossValidation, show: Show = SILENT, *, final: bool = False, resume: bool = False
) -> dict[str, Any]:
    """Train and score every fold and give the summary of all images; see the module.

    With `resume` what is finished below the folder is kept and what was interrupted goes on. With
    `final` the recipe is trained on all images too. Raises DataError where the split has no folds
    or is of other images, RecipeError for a recipe that cannot train without validation images
    where `final` is asked for, and RunError for a folder that holds something else and for a
    fold that cannot be trained.
    """
    dataset = load_dataset(made.data, made.layout)
    _check(made, dataset, final)
    check_folder(made.out, made.recipe, resume)
    with locked(made.out, "cross-validation"):
        _describe(made)
        steps = [each for job in made.jobs for each in with_teachers(job, f"{job.name}/teachers")]
        failures = run_grid(steps, made.out, show)
        if failures:
            raise RunError(f"{failures[0].job} was not finished: {failures[0].reason}")
        summary = _pool(made, dataset)
        if final and not (made.out / FINAL / RUN_FILE).is_file():
            _train_final(made, summary, packed_once_for(made, dataset, show), show)
    return summary


def packed_once_for(made: CrossValidation, dataset: Dataset, show: Show) -> Packed:
    """The images at the recipe's size, from the pack that the folds were trained from."""
    return packed_once(dataset, made.split, made.recipe, made.out, show)


def load_folds(path: Path) -> Split:
    """Read a split file in folds; DataError for one in subsets."""
    split = load_split(path)
    if split.folds is None:
        raise DataError(
            f"{path}: expected a split in folds, got one in subsets; make one with: "
            "featherseg data split DIR --folds 5"
        )
    return split


def cross_validation_entry(made: CrossValidation, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What a bundle's manifest says of a cross-validation, from the summary of all images."""
    scores = {
        key: _score(entry)
        for key, entry in summary.items()
        if metric_key(key) in _SHOWN and entry["mean"] is not None
    }
    presence = summary["presence"]
    for key, name, over in (
        ("sensitivity", "images_with_a_lesion_seen", "images with a lesion"),
        ("specificity", "images_without_one_left_empty", "images without a lesion"),
    ):
        if presence[key]["n"]:
            share = presence[key]
            scores[name] = ScoreEntry(
                mean=share["value"], low=share["low"], high=share["high"], n=share["n"], over=over
            )
    return CrossValidationEntry(
        folds=len(made.split.folds or ()),
        images=summary["n"],
        protocol=made.split.protocol,
        split_sha256=made.split.sha256,
        scores=scores,
    ).model_dump()


def _check(made: CrossValidation, dataset: Dataset, final: bool) -> None:
    check_split(made.split, dataset)
    kept = made.out / SPLIT_FILE
    if kept.is_file() and load_split(kept).sha256 != made.split.sha256:
        raise RunError(
            f"{made.out}: the split has changed since this cross-validation began; "
            "go on with the same split or choose another --out"
        )
    if final:
        _check_final(made.recipe)


def _check_final(recipe: Recipe) -> None:
    """A training on all images has none left to choose the epoch or anything else on."""
    wrong = [
        ("select=last_epoch", recipe.select != "last_epoch"),
        ("early_stop=null", recipe.early_stop is not None),
        ("schedule=null", isinstance(recipe.schedule, Plateau)),
    ]
    missing = [setting for setting, is_wrong in wrong if is_wrong]
    if missing:
        raise RecipeError(
            "--final trains on all images, so that none is left to choose an epoch or a learning "
            f"rate; add {' '.join(f'--set {setting}' for setting in missing)}"
        )
    if recipe.distill and any(teacher.recipe for teacher in recipe.distill.teachers):
        raise RecipeError(
            "--final trains no teachers; leave it out, or let the recipe name finished runs"
        )


def _describe(made: CrossValidation) -> None:
    write_text(made.out / RECIPE_FILE, to_yaml(made.recipe))
    save_split(made.split, made.out / SPLIT_FILE)


def _score(entry: Mapping[str, Any]) -> ScoreEntry:
    return ScoreEntry(
        mean=entry["mean"],
        low=entry["ci_low"],
        high=entry["ci_high"],
        n=entry["n"],
        over=entry["over"],
        unit=entry.get("unit", ""),
    )


def _pool(made: CrossValidation, dataset: Dataset) -> dict[str, Any]:
    """Put the folds' scores together; writes cases.csv, summary.json and report.html."""
    rows = [row for job in made.jobs for row in read_cases_csv(made.out / job.name / CASES_FILE)]
    folds = [load_json(made.out / job.name / SUMMARY_FILE) for job in made.jobs]
    summary = summarize(rows, _stamp(made, folds))
    write_cases_csv(rows, made.out / CASES_FILE)
    write_json(made.out / SUMMARY_FILE, summary)
    write_text(made.out / REPORT_FILE, render_report(_report(made, dataset, rows, summary, folds)))
    return summary


def _stamp(made: CrossValidation, folds: Sequence[Mapping[str, Any]]) -> Stamp:
    models = [fold["model"] for fold in folds]
    joined = sha256_json([model["checkpoint_sha256"] for model in models])
    return stamp_of(
        made.split,
        subset="test",
        images_sha256=made.split.images_sha256,
        external=False,
        chosen_on=folds[0]["chosen_on"],
        model={
            **{name: models[0][name] for name in ("network", "weights", "recipe_sha256")},
            "id": joined[:12],
            "kind": "folds",
            "checkpoint_sha256": joined,
        },
    )


def _report(
    made: CrossValidation,
    dataset: Dataset,
    rows: Sequence[Row],
    summary: dict[str, Any],
    folds: Sequence[Mapping[str, Any]],
) -> Report:
    means = ((each["n"], each["dice_lesion"]["mean"]) for each in folds)
    table = tuple(
        (f"Fold {fold} ({n} images), Dice", "-" if mean is None else f"{mean:.3f}")
        for fold, (n, mean) in enumerate(means)
    )
    return Report(
        title=f"{made.recipe.network} on {dataset.layout}, cross-validated in {len(folds)} folds",
        summary=summary,
        rows=rows,
        labels=dataset.labels,
        worst=_pictures(made, dataset, [each["case"] for each in summary["worst_cases"]], rows),
        spread=_pictures(made, dataset, spread_cases(rows, _SPREAD_CASES), rows),
        sections=(
            Section(
                "Folds",
                ("Each image was scored by the one network that had not seen it.",),
                table=table,
            ),
        ),
    )


def _pictures(
    made: CrossValidation, dataset: Dataset, case_ids: Sequence[str], rows: Sequence[Row]
) -> tuple[Picture, ...]:
    """Each case as the network of its own fold found it."""
    segmenters: dict[int, Segmenter] = {}
    pictures: list[Picture] = []
    for case_id in case_ids:
        fold = next(at for at, ids in enumerate(made.split.folds or ()) if case_id in ids)
        if fold not in segmenters:
            segmenters[fold] = run_segmenter(run_folder(made.out, made.jobs[fold].name))
        pictures += case_pictures(segmenters[fold], dataset, [case_id], rows)
    return tuple(pictures)


def _train_final(
    made: CrossValidation, summary: Mapping[str, Any], packed: Packed, show: Show
) -> None:
    out = made.out / FINAL
    answer, masks = _unseen(made, packed, show)
    point, scores = choose_operating_point(answer.logits, masks, answer.presence)
    images = tuple(case for ids in made.split.folds or () for case in ids)
    provenance = {
        "protocol": "all images",
        "operating_point": asdict(point),
        "operating_point_chosen_on": f"the test images of {len(made.jobs)} folds",
        "operating_point_dice": max(score.dice_all for score in scores),
        "cross_validation": cross_validation_entry(made, summary),
    }
    show.say(f"training on all {len(images)} images")
    with show.training() as tell:
        fit(
            made.recipe,
            packed,
            {"train": images, "validation": ()},
            out,
            resume=(out / RECIPE_FILE).is_file(),
            provenance=provenance,
            progress=tell,
        )


def _unseen(made: CrossValidation, packed: Packed, show: Show) -> tuple[Answer, Mask]:
    """What the folds' networks say of their own test images, and the masks."""
    wanted = made.recipe.classes
    is_wanted = {
        name: not wanted or label in wanted
        for name, label in zip(packed.ids, packed.classes, strict=True)
    }
    answers, masks = [], []
    for fold, job in enumerate(show.track(made.jobs, "predicting unseen images")):
        run = load_run(run_folder(made.out, job.name))
        network = run.network.to(pick_device())
        test = subset(made.split, "test", fold)
        part = packed.select([name for name in test if is_wanted[name]])
        if part.ids:
            answers.append(predict(network, part.images, run.recipe))
            masks.append(part.masks)
    presence = [each.presence for each in answers if each.presence is not None]
    logits = np.concatenate([each.logits for each in answers])
    return Answer(logits, np.concatenate(presence) if presence else None), np.concatenate(masks)

"""`featherseg evaluate`: honest scores of a run or a bundle."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featherseg.cli.layouts import LayoutName
from featherseg.cli.options import (
    FlipsOfImages,
    NsdToleranceMm,
    OverwriteFolder,
    ScoresOut,
    SummaryAsJson,
)

if TYPE_CHECKING:
    from featherseg.cli.models import Model
    from featherseg.datasets import Dataset
    from featherseg.evaluation import Evaluation
    from featherseg.report.html import Section
    from featherseg.splits import Split
    from featherseg.summary import Stamp


class Subset(StrEnum):
    """What can be scored."""

    test = "test"
    validation = "validation"
    all = "all"


def evaluate(
    model: Annotated[
        Path, typer.Argument(help="Bundle or run folder, or zoo:NAME.", metavar="RUN|BUNDLE")
    ],
    data: Annotated[Path, typer.Option(help="The data set's folder.")],
    layout: LayoutName,
    subset: Annotated[Subset, typer.Option(help="Which images to score.")],
    out: ScoresOut,
    split: Annotated[
        Path | None, typer.Option(help="Split file; a run keeps its own, `all` needs none.")
    ] = None,
    fold: Annotated[
        int | None, typer.Option(help="The fold that was left out for testing.")
    ] = None,
    flips: FlipsOfImages = None,
    nsd_tolerance_mm: NsdToleranceMm = None,
    stress: Annotated[
        bool, typer.Option("--stress", help="Score again under noise, blur, crops and the like.")
    ] = False,
    out_of_domain: Annotated[
        Path | None, typer.Option(help="Images of another kind: does the flag tell them apart?")
    ] = None,
    out_of_domain_layout: Annotated[
        str, typer.Option(help="How those are arranged.", metavar="LAYOUT")
    ] = "folder",
    overwrite: OverwriteFolder = False,
    as_json: SummaryAsJson = False,
) -> None:
    """Score a model: a table of cases, a summary and a report.

    Writes cases.csv, summary.json and report.html. Every image counts at its own resolution: a
    missed lesion as 0, a false alarm as 0. `--subset all` without a split scores any other data
    set and is stamped as external. `--stress` adds stress.csv and stress.json, `--out-of-domain`
    adds domain.json; both have a part in the report.

    Examples:

      featherseg evaluate run --data BUSI --layout busi --subset test --out scores

      featherseg evaluate bundle --data new --layout folder --subset all --out new-scores

      featherseg evaluate bundle --data new --layout folder --subset all --out hard --stress
    """
    from featherseg.extras import require

    require("evaluate")
    from featherseg.cli.console import print_json, tracked
    from featherseg.cli.files import refuse_occupied
    from featherseg.cli.models import open_model
    from featherseg.cli.scores import print_summary
    from featherseg.cli.stress import further_scores, further_sections, print_further
    from featherseg.datasets import load_dataset
    from featherseg.evaluation import Scoring
    from featherseg.evaluation import evaluate as evaluate_cases
    from featherseg.report.scores import write_scores
    from featherseg.splits import grouped

    refuse_occupied(out, overwrite)
    dataset = load_dataset(data, layout)
    other = load_dataset(out_of_domain, out_of_domain_layout) if out_of_domain else None
    opened = open_model(model, flips.value if flips else None)
    chosen = _chosen_split(opened, dataset, subset, split)
    if chosen is not None:
        dataset = grouped(dataset, chosen)
    case_ids = _case_ids(opened, chosen, subset, fold)
    total = len(dataset.cases) if case_ids is None else len(case_ids)
    evaluation = evaluate_cases(
        opened.segmenter,
        dataset,
        case_ids,
        lambda cases: tracked(cases, "Scoring", total),
        Scoring.of(opened.segmenter, nsd_tolerance_mm),
    )
    summary = write_scores(evaluation, _stamp(opened, dataset, chosen, subset), out)
    further = further_scores(opened, dataset, case_ids, out, stress, other)
    _draw_report(opened, dataset, evaluation, summary, out, further_sections(further))
    if as_json:
        print_json({**summary, **further})
    else:
        print_summary(summary)
        print_further(further)
        typer.echo(f"cases.csv, summary.json and report.html are in {out}")


def _draw_report(
    model: "Model",
    dataset: "Dataset",
    evaluation: "Evaluation",
    summary: dict[str, Any],
    out: Path,
    sections: "tuple[Section, ...]" = (),
) -> None:
    from featherseg.cli.console import remarks
    from featherseg.report.html import render_report
    from featherseg.report.scores import REPORT_FILE, evaluation_report
    from featherseg.storage import write_text

    title = f"{model.network} on {dataset.layout}, {summary['subset']}"
    with remarks().status("Drawing the report"):
        report = evaluation_report(title, summary, evaluation, model.segmenter, dataset)
        report = replace(report, history=model.history, cost=model.cost + report.cost)
        report = replace(report, sections=report.sections + sections)
        write_text(out / REPORT_FILE, render_report(report))


def _chosen_split(
    model: "Model", dataset: "Dataset", subset: Subset, given: Path | None
) -> "Split | None":
    """The split to score on: the given one, else the run's own; None for other data.

    Refuses a split of the same images that the model was not trained on: its test images may
    have trained the model.
    """
    from featherseg.errors import DataError
    from featherseg.splits import check_split, load_split

    path = given if given or subset is Subset.all else model.split
    if path is None:
        if subset is Subset.all:
            return None
        raise DataError(
            f"--subset {subset.value} needs to know which images those are: give --split with "
            "the split file of the training, or score other data with --subset all"
        )
    split = load_split(path)
    check_split(split, dataset)
    if split.sha256 != model.split_sha256 and split.images_sha256 == model.images_sha256:
        raise DataError(
            f"{path}: the model was trained with another split of these images "
            f"({model.split_sha256[:12] or 'unknown'}, not {split.sha256[:12]}), so images of this "
            f"{subset.value} subset may have trained it; give the split of the training"
        )
    return split


def _case_ids(
    model: "Model", split: "Split | None", subset: Subset, fold: int | None
) -> tuple[str, ...] | None:
    from featherseg.errors import DataError
    from featherseg.splits import subset as ids_of

    if split is None or subset is Subset.all:
        return None
    if None not in (fold, model.fold) and fold != model.fold:
        raise DataError(f"--fold {fold}: the run was trained with fold {model.fold} left out")
    return ids_of(split, subset.value, model.fold if fold is None else fold)


def _stamp(model: "Model", dataset: "Dataset", split: "Split | None", subset: Subset) -> "Stamp":
    from featherseg.datasets import images_sha256
    from featherseg.summary import stamp_of

    images = images_sha256(dataset)
    external = images != model.images_sha256
    return stamp_of(
        split,
        subset=subset.value,
        images_sha256=images,
        external=external,
        chosen_on=f"{model.chosen_on} of other data" if external else model.chosen_on,
        model={
            "id": model.segmenter.model_id,
            "kind": model.kind,
            "network": model.network,
            "weights": model.weights,
            "checkpoint_sha256": model.checkpoint_sha256,
            "recipe_sha256": model.recipe_sha256,
            **({"flips": model.flips} if model.flips else {}),
        },
    )

"""A finished run scored on its own test images, as `featherseg evaluate` does."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from featherseg.datasets import Dataset
from featherseg.evaluation import Evaluation, Scoring, evaluate
from featherseg.splits import Split, subset
from featherseg.storage import sha256_file
from featherseg.summary import Stamp
from featherseg.train.files import BEST
from featherseg.train.run import read_run, run_segmenter
from featherseg.types import FROM_SCRATCH, Case

Progress = Callable[[Iterable[Case]], Iterable[Case]]


def score_run(
    run: Path, dataset: Dataset, split: Split, fold: int | None, progress: Progress = iter
) -> tuple[Evaluation, Stamp]:
    """Score the test images of `split` (those of `fold`, where it has folds) with a run.

    The cases' groups are the split's, which also hold duplicates together.
    """
    segmenter = run_segmenter(run)
    groups = split.groups
    cases = tuple(replace(case, group=groups.get(case.id, case.group)) for case in dataset.cases)
    evaluation = evaluate(
        segmenter,
        replace(dataset, cases=cases),
        subset(split, "test", fold),
        progress,
        Scoring.of(segmenter),
    )
    return evaluation, _stamp(run, segmenter.model_id, split)


def _stamp(run: Path, model_id: str, split: Split) -> Stamp:
    content = read_run(run)
    return Stamp(
        subset="test",
        external=False,
        protocol=split.protocol,
        split_sha256=split.sha256,
        images_sha256=split.images_sha256,
        chosen_on=content["operating_point_chosen_on"],
        model={
            "id": model_id,
            "kind": "run",
            "network": content["network"]["name"],
            "weights": content.get("initial_weights", FROM_SCRATCH),
            "checkpoint_sha256": sha256_file(run / BEST),
            "recipe_sha256": content["recipe_sha256"],
        },
        excluded=dict(Counter((split.excluded or {}).values())),
    )

"""A finished run scored on its own test images, as `featherseg evaluate` does."""

from pathlib import Path

from featherseg.datasets import Dataset
from featherseg.evaluation import Evaluation, Progress, Scoring, evaluate
from featherseg.splits import Split, grouped, subset
from featherseg.summary import Stamp, stamp_of
from featherseg.train.run import load_run, segmenter_of
from featherseg.types import FROM_SCRATCH


def score_run(
    run: Path, dataset: Dataset, split: Split, fold: int | None, progress: Progress = iter
) -> tuple[Evaluation, Stamp]:
    """Score the test images of `split` (those of `fold`, where it has folds) with a run.

    The cases' groups are the split's, which also hold duplicates together.
    """
    loaded = load_run(run)
    content, segmenter = loaded.content, segmenter_of(loaded)
    evaluation = evaluate(
        segmenter,
        grouped(dataset, split),
        subset(split, "test", fold),
        progress,
        Scoring.of(segmenter),
    )
    stamp = stamp_of(
        split,
        subset="test",
        images_sha256=split.images_sha256,
        external=False,
        chosen_on=content["operating_point_chosen_on"],
        model={
            "id": segmenter.model_id,
            "kind": "run",
            "network": content["network"]["name"],
            "weights": content.get("initial_weights", FROM_SCRATCH),
            "checkpoint_sha256": loaded.checkpoint_sha256,
            "recipe_sha256": content["recipe_sha256"],
        },
    )
    return evaluation, stamp

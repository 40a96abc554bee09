"""One training and its scores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from featherseg.datasets import Dataset, load_dataset
from featherseg.datasets.pack import Packed, open_pack, pack, save_pack
from featherseg.grid.score import score_run
from featherseg.report.scores import CASES_FILE, write_scores
from featherseg.splits import Split, check_split, load_split, subset
from featherseg.storage import locked
from featherseg.train.data import provenance_of
from featherseg.train.files import RECIPE_FILE, RUN_FILE
from featherseg.train.loop import fit
from featherseg.train.recipe import Recipe
from featherseg.train.show import SILENT, Show

PACKS = "packs"
_RUN = "run"


@dataclass(frozen=True)
class Job:
    """A recipe trained on a split and scored on its test images, in the folder `name` of a root.

    ``split`` is a split file; ``fold`` the fold that tests, where it has folds. ``teachers``
    maps the names of the recipe's teachers to the jobs whose networks they are.
    """

    name: str
    recipe: Recipe
    data: Path
    layout: str
    split: Path
    fold: int | None = None
    teachers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def run_folder(root: Path, name: str) -> Path:
    """The run folder of the job `name`."""
    return root / name / _RUN


def is_done(job: Job, root: Path) -> bool:
    """Whether the job was trained and scored."""
    return (root / job.name / CASES_FILE).is_file()


def execute(job: Job, root: Path, show: Show = SILENT) -> Path:
    """Train and score `job` below `root`; what is finished is kept, what was interrupted goes on.

    Gives the job's folder, which then holds `run`, `cases.csv` and `summary.json`. Raises what
    `train.loop.fit` raises, and DataError where the split is of other images.
    """
    folder = root / job.name
    if is_done(job, root):
        return folder
    dataset = load_dataset(job.data, job.layout)
    split = load_split(job.split)
    check_split(split, dataset)
    run = run_folder(root, job.name)
    if not (run / RUN_FILE).is_file():
        _train(job, root, packed_once(dataset, split, job.recipe, root, show), split, show)
    evaluation, stamp = score_run(
        run, dataset, split, job.fold, lambda cases: show.track(list(cases), "scoring")
    )
    write_scores(evaluation, stamp, folder)
    return folder


def _train(job: Job, root: Path, packed: Packed, split: Split, show: Show) -> None:
    run = run_folder(root, job.name)
    teachers = {
        name: tuple(run_folder(root, each) for each in jobs) for name, jobs in job.teachers.items()
    }
    subsets = {name: subset(split, name, job.fold) for name in ("train", "validation")}
    with show.training() as tell:
        fit(
            job.recipe,
            packed,
            subsets,
            run,
            resume=(run / RECIPE_FILE).is_file(),
            provenance=provenance_of(split, job.split, job.fold),
            progress=tell,
            teachers=teachers,
        )


def packed_once(dataset: Dataset, split: Split, recipe: Recipe, root: Path, show: Show) -> Packed:
    """The data at the recipe's size, from a pack file below `root` that all jobs share."""
    size = "x".join(str(side) for side in (*recipe.input_size, recipe.in_channels))
    path = root / PACKS / f"{dataset.layout}-{split.images_sha256[:12]}-{size}.pack"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.parent, "packing"):
            if not path.is_file():
                packed = pack(
                    dataset,
                    recipe.input_size,
                    recipe.in_channels,
                    lambda cases: show.track(cases, "packing"),
                )
                save_pack(packed, path)
    return open_pack(path)

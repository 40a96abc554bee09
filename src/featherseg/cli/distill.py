"""`featherseg distill`: teachers, a student that learns from them, and its controls."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from featherseg.grid import Failure, Job
    from featherseg.train.recipe import Recipe

STUDENT = "student"
TABLE_FILE, PAGE_FILE = "arms.json", "arms.md"


def distill(
    recipe: Annotated[
        str, typer.Argument(help="A recipe with a section `distill`, built in or a YAML file.")
    ],
    data: Annotated[Path, typer.Option(help="The data set's folder.")],
    split: Annotated[Path, typer.Option(help="A split file of `featherseg data split`.")],
    out: Annotated[Path, typer.Option(help="Folder for teachers, student and scores.")],
    layout: Annotated[
        str | None, typer.Option(help="How the folder is arranged.", show_default="the split's")
    ] = None,
    fold: Annotated[int | None, typer.Option(help="Which fold tests, of a split in folds.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one setting of the student."),
    ] = None,
    teacher_settings: Annotated[
        list[str] | None,
        typer.Option("--set-teachers", metavar="KEY=VALUE", help="Change one of all teachers."),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=RUN[,RUN]", help="Take finished runs as this teacher."),
    ] = None,
    arms: Annotated[
        str | None, typer.Option(metavar="all|NAME,NAME", help="Train the controls, and compare.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what was interrupted in --out.")
    ] = False,
) -> None:
    """Train teachers, then a student that learns from them and from the masks.

    Teachers go to OUT/teachers/NAME, the student to OUT/student; each folder holds a run and its
    scores on the test images. Teachers always have the student's input size and channels.
    Several runs given as one teacher (the folds of a cross-validation) are averaged.

    --arms all trains the student's controls instead, on the same split and seed: without teacher,
    with one of all images, with each alone, with all, with smoothed labels, with other ways of
    transfer and other losses. OUT/arms.md and arms.json compare them, image by image, with the
    student that has no teacher.

    Examples:

    featherseg distill lightbtseg_student --data BUSI --layout busi --split split.json --out lbt

    featherseg distill lightbtseg_student --data BUSI --split split.json --out arms --arms all
    --set input_size=128 --set-teachers network=attention_unet

    featherseg distill mine.yaml --data BUSI --split split.json --out ours
    --teacher benign=runs/a,runs/b
    """
    from featherseg.extras import require

    require("train", "evaluate")
    from featherseg.cli.show import terminal_show
    from featherseg.distillation import TEACHERS, arm_jobs, check_finished
    from featherseg.grid import Job, run_grid, with_teachers
    from featherseg.splits import load_split
    from featherseg.train.recipe import load_recipe

    chosen = _with_runs(load_recipe(recipe, settings or []), teacher or [])
    job = Job(STUDENT, chosen, data, layout or load_split(split).layout, split, fold)
    for_teachers = (*(teacher_settings or ()), *_shared(chosen))
    if arms is None:
        jobs = with_teachers(job, TEACHERS, for_teachers)
    else:
        jobs = arm_jobs(job, () if arms == "all" else arms.split(","), for_teachers)
    _check_out(out, resume)
    check_finished(jobs, out)
    _check_jobs(jobs, out)
    _raise_first(run_grid(jobs, out, terminal_show()))
    if arms is None:
        _print_student(jobs, out)
    else:
        _compare([each for each in jobs if not each.name.startswith(f"{TEACHERS}/")], out)


def _with_runs(recipe: "Recipe", given: Sequence[str]) -> "Recipe":
    """The recipe with finished runs in the place of some of its teachers."""
    from dataclasses import replace

    from featherseg.distillation import teaching
    from featherseg.errors import RecipeError
    from featherseg.networks.names import did_you_mean
    from featherseg.train.sections import Teacher

    distill = teaching(recipe)
    teachers = {each.name: each for each in distill.teachers}
    for text in given:
        name, _, runs = text.partition("=")
        if name not in teachers or not all(runs.split(",")):
            raise RecipeError(
                f"--teacher {text}: expected NAME=RUN[,RUN] with NAME out of "
                f"{', '.join(teachers)}{did_you_mean(name, teachers)}"
            )
        folders = tuple(str(Path(run).resolve()) for run in runs.split(","))
        teachers[name] = Teacher(name, runs=folders)
    return replace(recipe, distill=replace(distill, teachers=tuple(teachers.values())))


def _shared(recipe: "Recipe") -> tuple[str, ...]:
    """Settings in which teachers must follow the student: what they see."""
    height, width = recipe.input_size
    return (f"input_size=[{height}, {width}]", f"in_channels={recipe.in_channels}")


def _check_out(out: Path, resume: bool) -> None:
    from featherseg.errors import StorageError

    if out.exists() and not out.is_dir():
        raise StorageError(f"--out {out}: expected a folder, found a file; choose another")
    if not resume and out.is_dir() and any(out.iterdir()):
        raise StorageError(
            f"--out {out} is not empty; go on with what is in it by --resume, or choose another"
        )


def _check_jobs(jobs: "Sequence[Job]", out: Path) -> None:
    """Pack the data, and refuse what would fail only after the teachers were trained."""
    from featherseg.cli.show import terminal_show
    from featherseg.datasets import load_dataset
    from featherseg.grid import packed_once
    from featherseg.splits import check_split, load_split, subset
    from featherseg.train.data import provenance_of
    from featherseg.train.inputs import SUBSETS, check_inputs, of_classes
    from featherseg.train.teachers import Student, check_runs

    first = jobs[0]
    split = load_split(first.split)
    dataset = load_dataset(first.data, first.layout)
    check_split(split, dataset)
    subsets = {name: subset(split, name, first.fold) for name in SUBSETS}
    packed = packed_once(dataset, split, first.recipe, out, terminal_show())
    provenance = provenance_of(split, first.split, first.fold)
    for job in jobs:
        check_inputs(job.recipe, packed, of_classes(job.recipe, packed, subsets))
        student = Student(job.recipe, packed.labels, packed.images_sha256, provenance)
        for each in job.recipe.distill.teachers if job.recipe.distill else ():
            check_runs(each.name, tuple(map(Path, each.runs)), student)


def _raise_first(failures: "Sequence[Failure]") -> None:
    """RunError for the first job that could not be finished; the others were run all the same."""
    from featherseg.errors import RunError

    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise RunError(f"{failures[0].job}: {failures[0].reason}{more}")


def _print_student(jobs: "Sequence[Job]", out: Path) -> None:
    """Print what the student and its teachers scored, and the commands that follow."""
    from featherseg.cli.console import output
    from featherseg.cli.scores import print_summary
    from featherseg.datasets.layout import load_json
    from featherseg.grid import run_folder
    from featherseg.report.scores import SUMMARY_FILE

    print_summary(load_json(out / STUDENT / SUMMARY_FILE))
    for job in jobs:
        summary = load_json(out / job.name / SUMMARY_FILE)
        dice = summary["dice_lesion"]["mean"]
        text = "undefined" if dice is None else f"{dice:.3f}"
        output().print(f"{job.name}: Dice {text}, {summary['dice_lesion']['over']}", markup=False)
    run = run_folder(out, STUDENT)
    for line in ("next:", f"  featherseg export {run} --out {run}/bundle"):
        output().print(line, markup=False, soft_wrap=True)


def _compare(arms: "Sequence[Job]", out: Path) -> None:
    """Write and print the comparison of the arms."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from featherseg.cli.console import output
    from featherseg.distillation import (
        NO_TEACHER,
        arms_json,
        arms_markdown,
        compare_arms,
        metric_rows,
        plain_words,
        size_rows,
    )
    from featherseg.storage import write_json, write_text

    recipe = arms[0].recipe
    size = "x".join(map(str, recipe.input_size))
    title = f"{recipe.network} at {size}, with and without teachers"
    found = compare_arms([out / each.name for each in arms], NO_TEACHER)
    write_json(out / TABLE_FILE, arms_json(found))
    write_text(out / PAGE_FILE, arms_markdown(found, title))
    parts = {
        f"Dice, {each.over}": metric_rows(each, NO_TEACHER) for each in found.comparison.metrics
    }
    if found.sizes:
        parts["Dice by size of lesion"] = size_rows(found)
    for title, (head, *rows) in parts.items():
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in head:
            table.add_column(name.replace(" (", "\n("), overflow="fold")
        for row in rows:
            # Intervals stand below their figures, so that columns stay narrow.
            table.add_row(*(cell.replace(", ", "\n").replace(" (", "\n(") for cell in row))
        output().print(table)
    for line in plain_words(found):
        output().print(line, markup=False, soft_wrap=True)
    typer.echo(f"{PAGE_FILE} and {TABLE_FILE} are in {out}")

"""The arms of a distillation: the same student, split and seed, one thing changed at a time."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from featherseg.errors import RecipeError, RunError
from featherseg.grid import Job, run_folder, with_teachers
from featherseg.networks.names import did_you_mean
from featherseg.splits import load_split
from featherseg.train.files import RUN_FILE
from featherseg.train.folder import check_folder
from featherseg.train.recipe import Recipe, load_recipe
from featherseg.train.run import read_run
from featherseg.train.sections import Distill, Teacher

TEACHERS = "teachers"
NO_TEACHER = "no_teacher"
# Szegedy et al. 2016, arXiv:1512.00567, section 7.
_SMOOTHING = 0.1
# Shu et al. 2021, arXiv:2011.13256, for the logits.
_CHANNEL_WISE_TEMPERATURE = 4.0
# The losses on the masks that a student without teachers is also trained with.
_HARD = {"ce": "bce", "ce_dice": "ce_dice", "weight_balance": "weight_balance"}
_COUNTS = {2: "two", 3: "three", 4: "four"}


def teaching(recipe: Recipe) -> Distill:
    """The teachers of a recipe; RecipeError where it has none."""
    if recipe.distill is None:
        raise RecipeError(
            "the recipe has no teachers (no section 'distill'); train it with `featherseg train`, "
            "or take lightbtseg_student"
        )
    return recipe.distill


def arm_recipes(recipe: Recipe) -> dict[str, Recipe]:
    """The arms of a recipe with teachers, by name, the one without teachers first.

    `no_teacher` and, under the names of their losses, the same with other losses on the masks;
    `label_smoothing` in the teachers' stead; `one_teacher`, trained on all images; each class
    teacher alone (`benign_only`); all of the recipe's teachers (`two_teachers`); and these with
    the other ways of transfer. A single teacher has the weight of all together. Arms that would
    be the same as another are left out. Raises RecipeError for a recipe without teachers.
    """
    distill = teaching(recipe)
    alone = replace(recipe, distill=None, label_smoothing=0.0)
    arms = {NO_TEACHER: alone}
    for name, loss in _HARD.items():
        if loss != recipe.loss:
            arms[name] = replace(alone, loss=loss)
    arms["label_smoothing"] = replace(alone, label_smoothing=recipe.label_smoothing or _SMOOTHING)
    arms |= {name: replace(recipe, distill=each) for name, each in _taught(distill).items()}
    return arms


def arm_jobs(job: Job, names: Sequence[str] = (), settings: Sequence[str] = ()) -> tuple[Job, ...]:
    """The jobs of the arms of `job`'s recipe, each teacher's once and before its students.

    `names` chooses arms, () all; the one without teachers is always among them, since the others
    are compared with it. `settings` ("key=value") change the teachers' recipes. Raises
    RecipeError for an unknown arm, and where nothing is left to compare.
    """
    recipes = arm_recipes(job.recipe)
    for name in names:
        if name not in recipes:
            raise RecipeError(
                f"unknown arm '{name}'; expected some of {', '.join(recipes)}"
                f"{did_you_mean(name, recipes)}"
            )
    chosen = [name for name in recipes if not names or name in (NO_TEACHER, *names)]
    if len(chosen) < 2:
        raise RecipeError(f"expected an arm beside {NO_TEACHER}: {', '.join(recipes)}")
    jobs: dict[str, Job] = {}
    for name in chosen:
        arm = replace(job, name=name, recipe=recipes[name])
        for each in with_teachers(arm, TEACHERS, settings):
            if jobs.setdefault(each.name, each).recipe != each.recipe:
                raise RecipeError(
                    f"two different teachers are called '{Path(each.name).name}'; rename one"
                )
    return tuple(jobs.values())


def check_finished(jobs: Sequence[Job], root: Path) -> None:
    """RunError where a job's folder below `root` holds a run of another recipe, split or fold.

    Finished jobs are not run again: without this, their old scores would stand beside new ones.
    """
    for job in jobs:
        run = run_folder(root, job.name)
        check_folder(run, job.recipe, resume=True)
        if not (run / RUN_FILE).is_file():
            continue
        content = read_run(run)
        wanted = (load_split(job.split).sha256, job.fold)
        if (content.get("split_sha256"), content.get("fold")) != wanted:
            raise RunError(
                f"{run}: this run was trained with another split or fold; "
                "resume with the same, or choose another --out"
            )


def _taught(distill: Distill) -> dict[str, Distill]:
    """The arms with teachers."""
    total = round(sum(distill.weights), 6)
    general = _general(distill.teachers)
    arms = {}
    if general is not None:
        arms["one_teacher"] = replace(distill, teachers=(general,), weights=(total,))
    for teacher in distill.teachers:
        if teacher != general:
            arms[f"{teacher.name}_only"] = replace(distill, teachers=(teacher,), weights=(total,))
    count = len(distill.teachers)
    if count > 1:
        arms[f"{_COUNTS.get(count, count)}_teachers"] = distill
    by_transfer = {
        "predictions": replace(distill, transfer="predictions"),
        "channel_wise": replace(
            distill, transfer="channel_wise", temperature=_CHANNEL_WISE_TEMPERATURE
        ),
        "attention_transfer": replace(distill, transfer="attention"),
    }
    others = {k: v for k, v in by_transfer.items() if v.transfer != distill.transfer}
    return arms | others


def _general(teachers: Sequence[Teacher]) -> Teacher | None:
    """A teacher trained on all images: one of these, or the first without its classes.

    None where all teachers are finished runs: how to train another is then not known.
    """
    trained = [teacher for teacher in teachers if teacher.recipe]
    for teacher in trained:
        if not load_recipe(teacher.recipe, teacher.settings).classes:
            return teacher
    if not trained:
        return None
    first = trained[0]
    settings = tuple(each for each in first.settings if not each.startswith("classes="))
    if load_recipe(first.recipe, settings).classes:
        settings = (*settings, "classes=[]")
    return Teacher("all", recipe=first.recipe, settings=settings)

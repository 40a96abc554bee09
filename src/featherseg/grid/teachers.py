"""The jobs that train a student's teachers first."""

from collections.abc import Sequence
from dataclasses import replace

from featherseg.grid.job import Job
from featherseg.train.recipe import load_recipe


def with_teachers(job: Job, folder: str, settings: Sequence[str] = ()) -> tuple[Job, ...]:
    """The jobs of the teachers that `job`'s recipe trains, then `job` itself, which names them.

    Teachers stand in `folder` under their names; `settings` ("key=value") change their recipes
    after their own. Teachers that are finished runs need no job.
    """
    distill = job.recipe.distill
    if distill is None:
        return (job,)
    made = {
        teacher.name: replace(
            job,
            name=f"{folder}/{teacher.name}",
            recipe=load_recipe(teacher.recipe, (*teacher.settings, *settings)),
            teachers={},
        )
        for teacher in distill.teachers
        if teacher.recipe
    }
    student = replace(job, teachers={name: (each.name,) for name, each in made.items()})
    return (*made.values(), student)

"""Running a grid of jobs in order."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from featherseg.errors import FeatherSegError
from featherseg.grid.cost import work
from featherseg.grid.job import Job, execute, is_done
from featherseg.train.show import SILENT, Show


@dataclass(frozen=True)
class Failure:
    """A job that could not be finished, and why."""

    job: str
    reason: str


def nothing(_: Job) -> None:
    """What follows a job where nobody waits for it."""


def run_grid(
    jobs: Sequence[Job],
    root: Path,
    show: Show = SILENT,
    ended: Callable[[Job], None] = nothing,
) -> tuple[Failure, ...]:
    """Run the jobs one after the other; teachers stand before their students.

    Finished jobs are skipped; `ended` is told of each other one, finished or not. A job that
    fails, and the students of one, are passed over; the failures are given at the end.
    """
    waiting = [job for job in jobs if not is_done(job, root)]
    costs = [work(job) for job in waiting]
    total = sum(costs)
    started, done = time.monotonic(), 0.0
    failures: dict[str, Failure] = {}
    for number, (job, cost) in enumerate(zip(waiting, costs, strict=True), start=1):
        left = _time_left(time.monotonic() - started, done, total)
        show.say(f"{number}/{len(waiting)}  {job.name}{left}")
        failure = _missing_teacher(job, failures) or _run(job, root, show)
        if failure is not None:
            failures[job.name] = failure
            show.say(f"  not finished: {failure.reason}")
        ended(job)
        done += cost
    return tuple(failures.values())


def _run(job: Job, root: Path, show: Show) -> Failure | None:
    try:
        execute(job, root, show)
    except FeatherSegError as error:
        return Failure(job.name, str(error))
    return None


def _missing_teacher(job: Job, failures: dict[str, Failure]) -> Failure | None:
    missing = [name for names in job.teachers.values() for name in names if name in failures]
    return Failure(job.name, f"its teacher {missing[0]} was not finished") if missing else None


def _time_left(seconds: float, done: float, total: float) -> str:
    """What remains, by the work done so far; nothing before the first job is done."""
    if not done:
        return ""
    minutes = seconds * (total - done) / done / 60
    return f"  (about {minutes:.0f} min left)"

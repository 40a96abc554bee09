"""Running a grid on a Dask cluster, whose machines share a file system."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from featherseg.errors import FeatherSegError, RunError
from featherseg.grid.job import Job, execute, is_done
from featherseg.grid.run import Failure, nothing
from featherseg.train.show import Show


def run_on_cluster(
    address: str,
    jobs: Sequence[Job],
    root: Path,
    show: Show,
    ended: Callable[[Job], None] = nothing,
    *,
    timeout_s: float = 10,
) -> tuple[Failure, ...]:
    """Run the jobs on the workers of the Dask scheduler at `address`, each as soon as it can be.

    As `run_grid` otherwise, `ended` too. Workers need FeatherSeg, and must see `root`, the data
    and the splits under the same paths. Raises RunError where no scheduler answers.
    """
    from distributed import Client, as_completed

    try:
        client = Client(address, timeout=timeout_s)
    except (OSError, ValueError) as error:
        raise RunError(
            f"--cluster {address}: no Dask scheduler answers there ({error}); start one with "
            "`dask scheduler` and workers with `dask worker ADDRESS --nthreads 1`"
        ) from error
    with client:
        futures: dict[str, Any] = {}
        waiting = {job.name: _absolute(job) for job in jobs if not is_done(job, root)}
        for job in waiting.values():
            needed = [
                futures[name]
                for names in job.teachers.values()
                for name in names
                if name in futures
            ]
            futures[job.name] = client.submit(
                _execute, job, root.resolve(), needed, key=job.name, pure=False
            )
        names = {future.key: name for name, future in futures.items()}
        failures = []
        for number, future in enumerate(as_completed(futures.values()), start=1):
            name = names[future.key]
            # A worker that was lost leaves its error in place of an answer.
            reason = str(future.exception()) if future.status == "error" else future.result()
            ended(waiting[name])
            show.say(f"{number}/{len(futures)}  {name}{f': {reason}' if reason else ''}")
            if reason:
                failures.append(Failure(name, reason))
    return tuple(failures)


def _execute(job: Job, root: Path, teachers: Sequence[str]) -> str:
    """On a worker: '' or why the job could not be finished."""
    if any(teachers):
        return "a teacher of it was not finished"
    try:
        execute(job, root)
    except FeatherSegError as error:
        return str(error)
    return ""


def _absolute(job: Job) -> Job:
    return replace(job, data=job.data.resolve(), split=job.split.resolve())

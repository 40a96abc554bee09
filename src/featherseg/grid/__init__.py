"""Grids of trainings: jobs that train, are scored, and may need each other's networks."""

from featherseg.grid.job import Job, execute, is_done, packed_once, run_folder
from featherseg.grid.run import Failure, run_grid
from featherseg.grid.teachers import with_teachers

__all__ = [
    "Failure",
    "Job",
    "execute",
    "is_done",
    "packed_once",
    "run_folder",
    "run_grid",
    "with_teachers",
]

"""A student, its teachers, and the controls that say whether teaching helped."""

from featherseg.distillation.arms import (
    NO_TEACHER,
    TEACHERS,
    arm_jobs,
    arm_recipes,
    check_finished,
    teaching,
)
from featherseg.distillation.table import (
    ArmsTable,
    arms_json,
    arms_markdown,
    compare_arms,
    metric_rows,
    plain_words,
    size_rows,
)

__all__ = [
    "NO_TEACHER",
    "TEACHERS",
    "ArmsTable",
    "arm_jobs",
    "arm_recipes",
    "arms_json",
    "arms_markdown",
    "check_finished",
    "compare_arms",
    "metric_rows",
    "plain_words",
    "size_rows",
    "teaching",
]

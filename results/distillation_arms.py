"""Train the arms of LightBTSeg's distillation on BUSI at the small scale, and compare them.

Split, recipes and runs are those of `featherseg reproduce lightbtseg-3 --scale small`, with
which it shares its trainings on the safe split. What is finished is skipped:

    python results/distillation_arms.py BUSI --work runs/reproduce

Without a folder, arms.md and arms.json are made again from the committed tables of cases.
"""

import argparse
import shutil
from pathlib import Path

from featherseg.case_table import read_cases_csv, write_cases_csv
from featherseg.datasets import load_dataset
from featherseg.distillation import (
    NO_TEACHER,
    ArmsTable,
    arm_jobs,
    arms_json,
    arms_markdown,
    compare_arms,
)
from featherseg.grid import Job, run_grid
from featherseg.report.scores import CASES_FILE, SUMMARY_FILE
from featherseg.reproduce.plan import SPLITS, addressed, row_recipe
from featherseg.reproduce.scale import SCALES
from featherseg.reproduce.splits import (
    duplicates_of,
    make_table_split,
    saved_split,
    split_file,
)
from featherseg.reproduce.tables import TABLES
from featherseg.storage import write_json, write_text
from featherseg.summary import summarize_cases
from featherseg.summary.table import CORE_METRICS
from featherseg.train.show import Show

OUT = Path(__file__).resolve().parent / "distillation_arms"
TITLE = "Arms of a distillation: LightBTSeg's student on BUSI, small scale"
SCALE = SCALES["small"]
RECIPE = "lightbtseg_student"


def jobs(data: Path, work: Path) -> tuple[tuple[str, Job], ...]:
    """Every training under its arm's name, teachers first."""
    part = next(each for each in TABLES["lightbtseg-3"].parts if each.dataset == "busi")
    dataset = load_dataset(data, part.dataset)
    path = saved_split(
        split_file(work / SPLITS, part.dataset, part.protocol, "safe", 0),
        lambda: make_table_split(
            dataset, duplicates_of(dataset, lambda all_, _: all_), part.protocol, "safe", 0
        ),
    )
    row = next(row for row in part.rows if row.recipe == RECIPE)
    job = Job("student", row_recipe(row, SCALE), data, part.dataset, path)
    named = arm_jobs(job, settings=SCALE.of_teachers)
    return tuple(zip((each.name for each in named), addressed(named), strict=True))


def run(data: Path, work: Path) -> None:
    """Train and score what is left, and keep the core scores of each arm."""
    named = jobs(data, work)
    failures = run_grid([job for _, job in named], work, Show(print))
    if failures:
        raise SystemExit("\n".join(f"{each.job}: {each.reason}" for each in failures))
    for name, job in named:
        if "/" not in name:
            keep(work / job.name, OUT / name)


def keep(done: Path, folder: Path) -> None:
    """Copy the scores of one arm, core metrics only, and summarize them."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = read_cases_csv(done / CASES_FILE)
    write_cases_csv([row for row in rows if row.metric in CORE_METRICS], folder / CASES_FILE)
    shutil.copyfile(done / SUMMARY_FILE, folder / SUMMARY_FILE)
    write_json(folder / SUMMARY_FILE, summarize_cases(folder / CASES_FILE))


def page() -> str:
    """arms.md, from the tables of cases."""
    return f"{arms_markdown(compare(), TITLE).rstrip()}\n\n{SCALE.about}\n"


def compare() -> ArmsTable:
    """The arms beside the one without teachers."""
    return compare_arms(sorted(path.parent for path in OUT.glob(f"*/{CASES_FILE}")), NO_TEACHER)


def main() -> None:
    """Run the arms where data are given, and write the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="the BUSI folder")
    parser.add_argument("--work", type=Path, default=Path("runs/reproduce"))
    given = parser.parse_args()
    if given.data:
        run(given.data, given.work)
    write_json(OUT / "arms.json", arms_json(compare()))
    write_text(OUT / "arms.md", page())


if __name__ == "__main__":
    main()

"""Jobs: trained and scored once, resumed, passed over with their students when they fail."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from featherseg.case_table import read_cases_csv
from featherseg.datasets import load_dataset
from featherseg.datasets.phantom import write_phantom
from featherseg.duplicates import find_duplicates
from featherseg.errors import DataError, RunError
from featherseg.grid import Job, execute, is_done, run_folder, run_grid, with_teachers
from featherseg.grid.cost import work
from featherseg.splits import load_split, make_split, save_split, subset
from featherseg.train.recipe import Recipe, load_recipe
from featherseg.train.show import Show
from featherseg.train.training import Tick

SMALL = ("input_size=32", "network_options.width=2", "epochs=1", "batch_size=4")
TEACHERS = (
    "distill={teachers: [{name: all, recipe: simplified_unet}, "
    "{name: sick, recipe: simplified_unet, settings: ['classes=[malignant]']}], "
    "weights: [0.5, 0.2]}"
)


def recipe(*settings: str) -> Recipe:
    return load_recipe("simplified_unet", [*SMALL, *settings])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("grid")
    write_phantom(root / "data", 16, seed=0, size=(64, 64))
    dataset = load_dataset(root / "data", "phantom")
    split = make_split(dataset, find_duplicates(dataset), fractions=(0.5, 0.25, 0.25), seed=0)
    save_split(split, root / "split.json")
    return root


def job(made: Path, name: str, *settings: str) -> Job:
    return Job(name, recipe(*settings), made / "data", "phantom", made / "split.json")


def test_a_job_is_trained_and_scored_on_its_test_images(made: Path, tmp_path: Path) -> None:
    folder = execute(job(made, "one"), tmp_path)
    assert folder == tmp_path / "one"
    rows = read_cases_csv(folder / "cases.csv")
    split = load_split(made / "split.json")
    assert {row.case for row in rows} == set(subset(split, "test"))
    assert {row.case: row.group for row in rows}.items() <= split.groups.items()
    summary = json.loads((folder / "summary.json").read_text())
    run = json.loads((folder / "run" / "run.json").read_text())
    assert summary["split_sha256"] == run["split_sha256"] == split.sha256
    assert (summary["subset"], summary["chosen_on"]) == ("test", "validation")
    assert summary["model"]["recipe_sha256"] == run["recipe_sha256"]


def test_finished_jobs_are_kept_and_scores_made_again(made: Path, tmp_path: Path) -> None:
    one = job(made, "one")
    folder = execute(one, tmp_path)
    scores = (folder / "cases.csv").read_bytes()
    weights = folder / "run" / "best.safetensors"
    before = weights.stat().st_mtime_ns
    said: list[str] = []
    assert run_grid([one], tmp_path, Show(said.append)) == ()
    assert said == []
    (folder / "cases.csv").unlink()
    assert not is_done(one, tmp_path)
    assert run_grid([one], tmp_path, Show(said.append)) == ()
    assert said == ["1/1  one"]
    assert (folder / "cases.csv").read_bytes() == scores
    assert weights.stat().st_mtime_ns == before


def test_an_interrupted_training_goes_on(made: Path, tmp_path: Path) -> None:
    two = job(made, "two", "epochs=2")
    whole = execute(two, tmp_path / "whole")

    class KilledError(Exception):
        pass

    def stop_after_the_first_epoch(folder: Path) -> None:
        if (folder / "last.safetensors").exists():
            raise KilledError

    @contextmanager
    def training() -> Iterator[Callable[[Tick], None]]:
        yield lambda _: stop_after_the_first_epoch(run_folder(tmp_path / "cut", "two"))

    with pytest.raises(KilledError):
        execute(two, tmp_path / "cut", Show(training=training))
    again = execute(two, tmp_path / "cut")
    assert (again / "cases.csv").read_bytes() == (whole / "cases.csv").read_bytes()
    lines = (again / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_teachers_come_first_and_reach_the_student(made: Path, tmp_path: Path) -> None:
    student = job(made, "student", TEACHERS)
    jobs = with_teachers(student, "teachers", SMALL)
    assert [each.name for each in jobs] == ["teachers/all", "teachers/sick", "student"]
    assert jobs[1].recipe.classes == ("malignant",)
    assert jobs[-1].teachers == {"all": ("teachers/all",), "sick": ("teachers/sick",)}
    assert run_grid(jobs, tmp_path) == ()
    content = json.loads((tmp_path / "student" / "run" / "run.json").read_text())
    assert [each["name"] for each in content["teachers"]] == ["all", "sick"]
    alone = with_teachers(job(made, "alone"), "teachers")
    assert alone == (job(made, "alone"),)


def test_a_failed_teacher_takes_its_student_along_and_nobody_else(
    made: Path, tmp_path: Path
) -> None:
    *teachers, student = with_teachers(job(made, "student", TEACHERS), "teachers", SMALL)
    broken = replace(teachers[1], recipe=recipe("classes=[nobody]"))
    said: list[str] = []
    failures = run_grid(
        [teachers[0], broken, student, job(made, "other")], tmp_path, Show(said.append)
    )
    assert [failure.job for failure in failures] == ["teachers/sick", "student"]
    assert "nobody" in failures[0].reason
    assert failures[1].reason == "its teacher teachers/sick was not finished"
    assert is_done(job(made, "other"), tmp_path)
    assert any("min left" in line for line in said)


def test_other_images_than_the_splits_are_refused(made: Path, tmp_path: Path) -> None:
    write_phantom(tmp_path / "data", 16, seed=1, size=(64, 64))
    with pytest.raises(DataError, match="split"):
        execute(replace(job(made, "one"), data=tmp_path / "data"), tmp_path)


def test_work_follows_epochs_images_and_size(made: Path) -> None:
    one = job(made, "one")
    assert work(job(made, "one", "epochs=3")) == 3 * work(one)
    assert work(job(made, "one", "augment.symmetries=8")) == 8 * work(one)
    assert work(job(made, "one", "input_size=64")) == pytest.approx(4 * work(one))


def test_a_cluster_that_is_not_there_is_named(made: Path, tmp_path: Path) -> None:
    from featherseg.grid.cluster import run_on_cluster

    with pytest.raises(RunError, match=r"no Dask scheduler answers there"):
        run_on_cluster("tcp://127.0.0.1:9", [job(made, "one")], tmp_path, Show(), timeout_s=1)


@pytest.mark.slow
def test_a_cluster_runs_what_one_process_runs(made: Path, tmp_path: Path) -> None:
    from distributed import LocalCluster

    from featherseg.grid.cluster import run_on_cluster

    *teachers, student = with_teachers(job(made, "student", TEACHERS), "teachers", SMALL)
    broken = job(made, "broken", "classes=[nobody]")
    jobs = [*teachers, student, broken]
    assert [each.job for each in run_grid(jobs, tmp_path / "here")] == ["broken"]
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        failures = run_on_cluster(cluster.scheduler_address, jobs, tmp_path / "there", Show())
    assert [each.job for each in failures] == ["broken"]
    for name in ("teachers/all", "teachers/sick", "student"):
        here, there = ((tmp_path / each / name / "cases.csv") for each in ("here", "there"))
        assert here.read_bytes() == there.read_bytes()

"""The arms: what each changes, and which trainings they need."""

import dataclasses
import json
from pathlib import Path

import pytest

from featherseg.datasets import load_dataset
from featherseg.datasets.phantom import write_phantom
from featherseg.distillation import arm_jobs, arm_recipes, check_finished
from featherseg.duplicates import find_duplicates
from featherseg.errors import RecipeError, RunError
from featherseg.grid import Job
from featherseg.splits import load_split, make_split, save_split
from featherseg.train.recipe import Recipe, load_recipe, to_yaml

STUDENT = load_recipe("lightbtseg_student")


def changed(one: Recipe, other: Recipe) -> dict[str, object]:
    """What `other` has in the places where the two differ."""
    names = [each.name for each in dataclasses.fields(Recipe)]
    return {n: getattr(other, n) for n in names if getattr(one, n) != getattr(other, n)}


def job(recipe: Recipe = STUDENT) -> Job:
    return Job("student", recipe, Path("data"), "busi", Path("split.json"))


def test_every_arm_of_the_papers_student_changes_one_thing() -> None:
    arms = arm_recipes(STUDENT)
    assert list(arms) == [
        "no_teacher",
        "ce",
        "ce_dice",
        "label_smoothing",
        "one_teacher",
        "benign_only",
        "malignant_only",
        "two_teachers",
        "channel_wise",
        "attention_transfer",
    ]
    alone = arms["no_teacher"]
    assert changed(STUDENT, alone) == {"distill": None}
    assert changed(alone, arms["ce"]) == {"loss": "bce"}
    assert changed(alone, arms["ce_dice"]) == {"loss": "ce_dice"}
    assert changed(alone, arms["label_smoothing"]) == {"label_smoothing": 0.1}
    assert arms["two_teachers"] == STUDENT
    for name in ("one_teacher", "benign_only", "malignant_only"):
        assert set(changed(STUDENT, arms[name])) == {"distill"}
        distill = arms[name].distill
        assert distill is not None
        assert (distill.weights, distill.hard) == ((0.7,), 0.3)
    for name, transfer in (("channel_wise", "channel_wise"), ("attention_transfer", "attention")):
        distill = arms[name].distill
        assert distill is not None
        assert STUDENT.distill is not None
        assert distill.transfer == transfer
        assert (distill.teachers, distill.weights) == (
            STUDENT.distill.teachers,
            STUDENT.distill.weights,
        )


def test_the_one_teacher_is_trained_on_all_classes() -> None:
    one = arm_recipes(STUDENT)["one_teacher"].distill
    assert one is not None
    (teacher,) = one.teachers
    assert load_recipe(teacher.recipe, teacher.settings) == load_recipe("lightbtseg_teacher")


def test_a_recipe_with_one_teacher_of_all_images() -> None:
    single = load_recipe("lightbtseg_single")
    arms = arm_recipes(single)
    assert arms["one_teacher"] == single
    assert not [name for name in arms if name.endswith(("_only", "_teachers"))]
    # The same teacher as the student of two teachers has for its control: it is trained once.
    assert arms["one_teacher"].distill == arm_recipes(STUDENT)["one_teacher"].distill


def test_classes_and_losses_of_other_data() -> None:
    teachers = ", ".join(
        f"{{name: {name}, recipe: demo, settings: ['classes=[{name}]']}}"
        for name in ("a", "b", "c")
    )
    recipe = load_recipe(
        "simplified_unet",
        [
            "loss=dice",
            "label_smoothing=0.2",
            f"distill={{teachers: [{teachers}], weights: [0.1, 0.2, 0.3], transfer: attention}}",
        ],
    )
    arms = arm_recipes(recipe)
    assert {"a_only", "b_only", "c_only", "three_teachers", "weight_balance"} < set(arms)
    assert arms["no_teacher"].label_smoothing == 0
    assert arms["label_smoothing"].label_smoothing == 0.2
    assert arms["weight_balance"].loss == "weight_balance"
    assert {"predictions", "channel_wise"} < set(arms)
    assert "attention_transfer" not in arms
    only = arms["b_only"].distill
    assert only is not None
    assert only.weights == (0.6,)


def test_teachers_that_are_runs_leave_out_what_cannot_be_trained() -> None:
    recipe = load_recipe(
        "simplified_unet", ["distill={teachers: [{name: mine, runs: [run]}], weights: [1]}"]
    )
    arms = arm_recipes(recipe)
    assert "one_teacher" not in arms
    assert arms["mine_only"] == recipe


def test_a_recipe_without_teachers_has_no_arms() -> None:
    with pytest.raises(RecipeError, match="the recipe has no teachers"):
        arm_recipes(load_recipe("simplified_unet"))


def test_teachers_come_first_and_once() -> None:
    jobs = arm_jobs(job(), settings=("epochs=3",))
    names = [each.name for each in jobs]
    assert len(set(names)) == len(names)
    assert sorted(names) == sorted(
        [*arm_recipes(STUDENT), "teachers/all", "teachers/benign", "teachers/malignant"]
    )
    for each in jobs:
        for needed in each.teachers.values():
            assert all(names.index(teacher) < names.index(each.name) for teacher in needed)
    by_name = {each.name: each for each in jobs}
    assert by_name["two_teachers"].teachers == {
        "benign": ("teachers/benign",),
        "malignant": ("teachers/malignant",),
    }
    assert by_name["teachers/benign"].recipe.classes == ("benign",)
    assert by_name["teachers/benign"].recipe.epochs == 3
    assert {by_name[name].recipe.seed for name in names} == {STUDENT.seed}


def test_chosen_arms_bring_the_control_with_them() -> None:
    assert [each.name for each in arm_jobs(job(), ("label_smoothing",))] == [
        "no_teacher",
        "label_smoothing",
    ]
    with pytest.raises(RecipeError, match=r"unknown arm 'two_teacher'.*did you mean two_teachers"):
        arm_jobs(job(), ("two_teacher",))
    with pytest.raises(RecipeError, match="expected an arm beside no_teacher"):
        arm_jobs(job(), ("no_teacher",))


def test_two_teachers_of_one_name_are_refused() -> None:
    recipe = load_recipe(
        "simplified_unet",
        [
            "distill={teachers: [{name: all, recipe: demo, settings: ['classes=[a]']}], "
            "weights: [1]}"
        ],
    )
    with pytest.raises(RecipeError, match="two different teachers are called 'all'; rename one"):
        arm_jobs(job(recipe))


def test_what_was_trained_otherwise_is_not_taken_for_finished(tmp_path: Path) -> None:
    write_phantom(tmp_path / "data", 10, seed=0, size=(64, 64))
    dataset = load_dataset(tmp_path / "data", "phantom")
    made = make_split(dataset, find_duplicates(dataset), fractions=(0.6, 0.2, 0.2), seed=0)
    save_split(made, tmp_path / "split.json")
    recipe = load_recipe("simplified_unet")
    one = Job("one", recipe, tmp_path / "data", "phantom", tmp_path / "split.json")
    check_finished([one], tmp_path / "out")
    run = tmp_path / "out" / "one" / "run"
    run.mkdir(parents=True)
    (run / "recipe.yaml").write_text(to_yaml(recipe))
    sha256 = load_split(tmp_path / "split.json").sha256
    for content, is_refused in (
        ({"split_sha256": sha256, "fold": None}, False),
        ({"split_sha256": sha256, "fold": 1}, True),
        ({"split_sha256": "0", "fold": None}, True),
    ):
        (run / "run.json").write_text(json.dumps({"schema": 1, **content}))
        if is_refused:
            with pytest.raises(RunError, match="trained with another split or fold"):
                check_finished([one], tmp_path / "out")
        else:
            check_finished([one], tmp_path / "out")
    changed_job = dataclasses.replace(one, recipe=dataclasses.replace(recipe, lr=0.5))
    with pytest.raises(RunError, match="the recipe has changed in lr"):
        check_finished([changed_job], tmp_path / "out")

"""Which runs may teach a student, and which are refused with one line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from featherseg.errors import DataError, FeatherSegError, RecipeError, RunError
from featherseg.storage import sha256_file
from featherseg.train.loop import fit
from featherseg.train.recipe import Recipe, load_recipe
from featherseg.train.signals import Answer, answer
from featherseg.train.teachers import (
    check_teachers,
    describe_teachers,
    load_teachers,
    teacher_folders,
)
from featherseg.train.training import Tick
from tests.train.blobs import SETTINGS, blob_pack, halves

PACK = blob_pack(12)
IDS = PACK.ids


def split(test: tuple[str, ...], sha256: str = "a") -> dict[str, Any]:
    """A split file's content: these test, the first of the others validate, the rest trains."""
    others = [case for case in IDS if case not in test]
    subsets = {"train": others[4:], "validation": others[:4], "test": list(test)}
    return {
        "schema": 1,
        "layout": "folder",
        "seed": 0,
        "protocol": "safe",
        "subsets": subsets,
        "groups": {case: case for case in IDS},
        "images_sha256": PACK.images_sha256,
        "sha256": sha256,
    }


def folds(sha256: str = "f") -> dict[str, Any]:
    """A split in three folds: cases 0 to 3, 4 to 7, 8 to 11."""
    content = split((), sha256)
    del content["subsets"]
    return {**content, "folds": [list(IDS[start : start + 4]) for start in (0, 4, 8)]}


def provenance(content: dict[str, Any], fold: int | None = None) -> dict[str, Any]:
    return {"split_sha256": content["sha256"], "split": content, "fold": fold}


OWN = split(IDS[:2])


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = load_recipe("simplified_unet", [*SETTINGS, "epochs=1"])
    out = tmp_path_factory.mktemp("teacher") / "run"
    return fit(recipe, PACK, halves(PACK), out, provenance=provenance(OWN))


def student(*runs: Path, settings: tuple[str, ...] = ()) -> Recipe:
    named = f"{{name: mine, runs: {[str(run) for run in runs]}}}"
    distill = f"distill={{teachers: [{named}], weights: [1]}}"
    return load_recipe("simplified_unet", [*SETTINGS, distill, *settings])


def changed(teacher: Path, out: Path, **content: Any) -> Path:
    """A copy of the teacher whose run.json says something else."""
    shutil.copytree(teacher, out)
    known = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**known, **content}))
    return out


def test_a_teacher_of_the_same_split_is_taken(teacher: Path) -> None:
    check_teachers(student(teacher), None, PACK, provenance(OWN))
    (loaded,) = load_teachers(student(teacher, teacher), None, torch.device("cpu"))
    assert loaded.name == "mine"
    assert len(loaded.networks) == len(loaded.losses) == 2
    assert not any(network.training for network in loaded.networks)


def test_a_recipe_without_teachers_needs_none() -> None:
    plain = load_recipe("simplified_unet", SETTINGS)
    check_teachers(plain, None, PACK, {})
    assert teacher_folders(plain) == {}
    assert describe_teachers(plain, None) == []
    with pytest.raises(RecipeError, match="unknown teacher 'a'; the recipe has no teachers"):
        check_teachers(plain, {"a": [Path("run")]}, PACK, {})


def test_teachers_are_named_by_their_weights(teacher: Path) -> None:
    assert describe_teachers(student(teacher), None) == [
        {
            "name": "mine",
            "network": "simplified_unet",
            "sha256": sha256_file(teacher / "best.safetensors"),
        }
    ]


def test_a_teacher_that_is_not_trained_yet() -> None:
    recipe = load_recipe("lightbtseg_student")
    with pytest.raises(RecipeError, match=r"'benign' is yet to be trained .*featherseg distill"):
        check_teachers(recipe, None, PACK, {})
    with pytest.raises(RecipeError, match=r"unknown teacher 'benin'.*did you mean benign"):
        check_teachers(recipe, {"benin": [Path("run")]}, PACK, {})


def test_an_unfinished_run(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected a run folder, found nothing"):
        check_teachers(student(tmp_path / "none"), None, PACK, {})
    shutil.copytree(teacher, tmp_path / "run")
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(RunError, match=r"expected a finished run, found no run.json"):
        check_teachers(student(tmp_path / "run"), None, PACK, {})


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (
            {"preprocessing": {"input_size": [64, 32], "channels": 3}},
            RecipeError,
            "expected a network for 32x32 pixels with 3 channel(s), as the student's, "
            "got one for 64x32 pixels with 3",
        ),
        (
            {"preprocessing": {"input_size": [32, 32], "channels": 1}},
            RecipeError,
            "got one for 32x32 pixels with 1 channel(s); train both at one size",
        ),
        ({"labels": ["fat", "bone"]}, DataError, "the labels label 1 of the student's data, got f"),
    ],
)
def test_a_teacher_of_another_kind(
    content: dict[str, Any],
    error: type[FeatherSegError],
    words: str,
    teacher: Path,
    tmp_path: Path,
) -> None:
    run = changed(teacher, tmp_path / "run", **content)
    with pytest.raises(error) as caught:
        check_teachers(student(run), None, PACK, provenance(OWN))
    assert f"teacher 'mine' ({run}): " in str(caught.value)
    assert words in str(caught.value)


def test_a_single_label_may_be_called_anything(teacher: Path, tmp_path: Path) -> None:
    run = changed(teacher, tmp_path / "run", labels=["tumor"])
    check_teachers(student(run), None, PACK, provenance(OWN))


def test_a_teacher_that_knows_the_test_images_is_refused(teacher: Path, tmp_path: Path) -> None:
    other = split((IDS[0], IDS[7], IDS[9]), "b")
    with pytest.raises(RunError, match=r"with 2 of this training's test images \(case 7, case 9\)"):
        check_teachers(student(teacher), None, PACK, provenance(other))
    # Another split that tests none of what the teacher learned from is no leak.
    check_teachers(student(teacher), None, PACK, provenance(split(IDS[:1], "b")))
    # Neither is a teacher of other images.
    run = changed(teacher, tmp_path / "run", images_sha256="1" * 64)
    check_teachers(student(run), None, PACK, provenance(other))


def test_a_teacher_that_does_not_say_its_split_is_refused(teacher: Path, tmp_path: Path) -> None:
    run = changed(teacher, tmp_path / "run")
    (run / "split.json").unlink()
    check_teachers(student(run), None, PACK, provenance(OWN))
    with pytest.raises(RunError, match="so it may know this training's test images; train it anew"):
        check_teachers(student(run), None, PACK, provenance(split(IDS[:1], "b")))


def test_folds(teacher: Path, tmp_path: Path) -> None:
    runs = []
    for fold in range(3):
        run = changed(teacher, tmp_path / str(fold), split_sha256="f", fold=fold)
        (run / "split.json").write_text(json.dumps(folds()))
        runs.append(run)
    check_teachers(student(runs[1]), None, PACK, provenance(folds(), 1))
    with pytest.raises(RunError, match="with 4 of this training's test images"):
        check_teachers(student(*runs), None, PACK, provenance(folds(), 1))
    # A student of all images is tested on none of them.
    check_teachers(student(*runs), None, PACK, provenance(folds()))
    # Whoever was trained on all images knows every test image.
    everything = changed(teacher, tmp_path / "all", split_sha256="f", fold=None)
    (everything / "split.json").write_text(json.dumps(folds()))
    with pytest.raises(RunError, match="with 4 of this training's test images"):
        check_teachers(student(everything), None, PACK, provenance(folds(), 1))


def test_fine_tuned_teachers_see_what_the_student_sees(teacher: Path) -> None:
    settings = ("distill.finetune=true", "distill.view=original")
    with pytest.raises(RecipeError, match=r"set distill\.view=augmented, or distill\.finetune"):
        check_teachers(student(teacher, settings=settings), None, PACK, provenance(OWN))


class StoppedError(Exception):
    pass


@pytest.mark.parametrize(
    "settings",
    [
        ("augment.horizontal_flip=1",),
        ("distill.view=original", "distill.transfer=channel_wise"),
        ("distill.finetune=true",),
    ],
    ids=["augmented", "original", "finetune"],
)
def test_a_resumed_student_ends_as_one_never_stopped(
    settings: tuple[str, ...], teacher: Path, tmp_path: Path
) -> None:
    recipe = student(teacher, settings=("epochs=2", *settings))
    before = sha256_file(teacher / "best.safetensors")
    never = fit(recipe, PACK, halves(PACK), tmp_path / "never", provenance=provenance(OWN))

    def stop(tick: Tick) -> None:
        if (tick.epoch, tick.step) == (2, 1):
            raise StoppedError

    out = tmp_path / "stopped"
    with pytest.raises(StoppedError):
        fit(recipe, PACK, halves(PACK), out, provenance=provenance(OWN), progress=stop)
    fit(recipe, PACK, halves(PACK), out, provenance=provenance(OWN), resume=True)
    for name in ("last.safetensors", "best.safetensors"):
        one, other = load_file(never / name), load_file(out / name)
        assert set(one) == set(other)
        assert all(torch.equal(value, other[name]) for name, value in one.items())
    tuned = [name for name in load_file(out / "last.safetensors") if name.startswith("teacher.0.")]
    assert bool(tuned) == ("distill.finetune=true" in settings)
    assert sha256_file(teacher / "best.safetensors") == before


def test_fine_tuning_changes_the_teachers(teacher: Path, tmp_path: Path) -> None:
    recipe = student(teacher, settings=("distill.finetune=true", "epochs=1"))
    out = fit(recipe, PACK, halves(PACK), tmp_path / "run", provenance=provenance(OWN))
    after, before = load_file(out / "last.safetensors"), load_file(teacher / "best.safetensors")
    weights = [name for name in before if name.endswith("weight")]
    assert not any(torch.equal(after[f"teacher.0.{name}"], before[name]) for name in weights)
    # Batch norms keep the statistics of the teacher's own training.
    running = [name for name in before if "running" in name]
    assert running
    assert all(torch.equal(after[f"teacher.0.{name}"], before[name]) for name in running)


def test_a_run_says_who_taught_it_and_refuses_another(teacher: Path, tmp_path: Path) -> None:
    recipe = student(teacher, settings=("epochs=1",))
    out = fit(recipe, PACK, halves(PACK), tmp_path / "run", provenance=provenance(OWN))
    known = json.loads((out / "run.json").read_text())["teachers"]
    assert known == describe_teachers(recipe, None)
    other = fit(
        load_recipe("simplified_unet", [*SETTINGS, "epochs=1", "seed=1"]),
        PACK,
        halves(PACK),
        tmp_path / "other",
        provenance=provenance(OWN),
    )
    with pytest.raises(RunError, match=r"on other data \(images, labels, split or teachers"):
        fit(
            recipe,
            PACK,
            halves(PACK),
            out,
            provenance=provenance(OWN),
            teachers={"mine": [other]},
            resume=True,
        )


def test_nothing_is_written_where_teachers_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected a run folder, found nothing"):
        fit(student(tmp_path / "none"), PACK, halves(PACK), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("transfer", ["predictions", "channel_wise", "attention"])
def test_teachers_answer_in_the_precision_of_the_training(
    transfer: str, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def noted(network: Any, images: torch.Tensor) -> Answer:
        found = answer(network, images)
        seen.append((network.training, found.logits.dtype))
        return found

    monkeypatch.setattr("featherseg.train.objective.answer", noted)
    for view, augment in (("original", "{}"), ("augmented", "{vertical_flip: 0.5}")):
        settings = (
            *("precision=bf16-mixed", "epochs=1", f"augment={augment}"),
            *(f"distill.transfer={transfer}", f"distill.view={view}"),
        )
        out = tmp_path / view
        fit(
            student(teacher, settings=settings), PACK, halves(PACK), out, provenance=provenance(OWN)
        )
        assert (out / "run.json").is_file()
    assert {dtype for _, dtype in seen} == {torch.bfloat16}
    assert {training for training, _ in seen} == {True, False}

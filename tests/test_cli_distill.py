"""The verb `distill`: teachers, student, arms; what is resumed and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from featherseg.datasets import load_dataset
from featherseg.datasets.phantom import write_phantom
from featherseg.duplicates import find_duplicates
from featherseg.splits import load_split, make_split, save_split, subset
from featherseg.storage import sha256_file
from tests.conftest import Cli

SMALL = ["input_size=32", "epochs=1", "batch_size=8", "augment={}"]
STUDENT = ["--set", "network_options.width=4"]
TEACHER = ["--set-teachers", "network=simplified_unet", "--set-teachers", "network_options.width=4"]
ARMS = [
    *("no_teacher", "ce", "ce_dice", "label_smoothing", "one_teacher", "benign_only"),
    *("malignant_only", "two_teachers", "channel_wise", "attention_transfer"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("distill")
    write_phantom(root / "data", 24, seed=0, size=(64, 64))
    dataset = load_dataset(root / "data", "phantom")
    split = make_split(dataset, find_duplicates(dataset), fractions=(0.5, 0.2, 0.3), seed=0)
    save_split(split, root / "split.json")
    return root


def arguments(
    made: Path, out: Path, *more: object, recipe: str = "lightbtseg_student"
) -> list[Any]:
    both = [word for setting in SMALL for word in ("--set", setting)]
    both += [word for setting in SMALL[1:] for word in ("--set-teachers", setting)]
    given = ["--data", made / "data", "--split", made / "split.json", "--out", out]
    return ["distill", recipe, *given, *both, *STUDENT, *TEACHER, *more]


def stamps(folder: Path) -> dict[str, int]:
    """When each run's weights were written."""
    found = folder.glob("**/best.safetensors")
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}


@pytest.mark.slow
def test_teachers_then_student_and_nothing_twice(made: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "out"
    done = cli(*arguments(made, out))
    assert done.code == 0, done.err
    assert set(stamps(out)) == {
        "student/run/best.safetensors",
        "teachers/benign/run/best.safetensors",
        "teachers/malignant/run/best.safetensors",
    }
    assert "teachers/benign: Dice " in done.out
    assert f"featherseg export {out}/student/run --out {out}/student/run/bundle" in done.out
    content = json.loads((out / "student" / "run" / "run.json").read_text())
    assert [each["name"] for each in content["teachers"]] == ["benign", "malignant"]
    summary = json.loads((out / "student" / "summary.json").read_text())
    split = load_split(made / "split.json")
    assert summary["n"] == len(subset(split, "test"))
    benign = json.loads((out / "teachers" / "benign" / "run" / "run.json").read_text())
    classes = {case.id: case.label for case in load_dataset(made / "data", "phantom").cases}
    ids = [case for case in subset(split, "train") if classes[case] == "benign"]
    assert benign["images"]["train"] == len(ids)
    assert benign["preprocessing"]["input_size"] == [32, 32]

    again = cli(*arguments(made, out))
    assert again.code == 2
    assert "is not empty; go on with what is in it by --resume" in again.err
    before = stamps(out)
    assert cli(*arguments(made, out, "--resume")).code == 0
    assert stamps(out) == before
    changed = cli(*arguments(made, out, "--resume", "--set", "lr=1"))
    assert changed.code == 2
    assert "the recipe has changed in lr" in changed.err

    # The student is trained again, by finished runs: its teachers are not.
    runs = [out / "teachers" / name / "run" for name in ("benign", "malignant")]
    other = tmp_path / "other"
    teachers = ["--teacher", f"benign={runs[0]},{runs[1]}", "--teacher", f"malignant={runs[1]}"]
    done = cli(*arguments(made, other, *teachers))
    assert done.code == 0, done.err
    assert set(stamps(other)) == {"student/run/best.safetensors"}
    content = json.loads((other / "student" / "run" / "run.json").read_text())
    assert [each["name"] for each in content["teachers"]] == ["benign", "benign", "malignant"]


@pytest.mark.slow
def test_all_arms_are_compared_and_resumed(made: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "out"
    done = cli(*arguments(made, out, "--arms", "no_teacher,two_teachers"))
    assert done.code == 0, done.err
    assert set(json.loads((out / "arms.json").read_text())["arms"]) == {
        *("no_teacher", "two_teachers", "all empty")
    }
    before = stamps(out)
    done = cli(*arguments(made, out, "--arms", "all", "--resume"))
    assert done.code == 0, done.err
    assert before.items() <= stamps(out).items()
    teachers = {f"teachers/{name}" for name in ("all", "benign", "malignant")}
    assert {Path(path).parent.parent.as_posix() for path in stamps(out)} == teachers | set(ARMS)
    found = json.loads((out / "arms.json").read_text())
    assert set(found["arms"]) == {*ARMS, "all empty"}
    assert found["reference"] == "no_teacher"
    for name in set(ARMS) - {"no_teacher"}:
        entry = found["arms"][name]["dice_all"]
        assert entry["difference_low"] <= entry["difference"] <= entry["difference_high"]
    weights = {sha256_file(out / name / "run" / "best.safetensors") for name in ARMS}
    assert len(weights) == len(ARMS)
    page = (out / "arms.md").read_text()
    for name in ARMS:
        assert f"| {name} |" in page
        assert name in done.out
        assert (out / name / "cases.csv").is_file()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--arms", "two_teacher"], "unknown arm 'two_teacher'"),
        (["--teacher", "benin=run"], "expected NAME=RUN[,RUN] with NAME out of benign, malignant"),
        (["--teacher", "benign="], "--teacher benign=: expected NAME=RUN[,RUN]"),
        (["--teacher", "benign=nowhere"], "nowhere: expected a run folder, found nothing"),
        (["--set", "network_options.widht=2"], "did you mean width"),
        (["--set-teachers", "network=unett"], "unknown network 'unett'"),
        (["--set-teachers", "classes=[cyst]"], "has no image of the class 'cyst'"),
        (["--fold", "1"], "the split has no folds"),
        (["--out", __file__], "expected a folder, found a file"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_trained(
    more: list[str], words: str, made: Path, tmp_path: Path, cli: Cli
) -> None:
    done = cli(*arguments(made, tmp_path / "out", *more))
    assert done.code == 2
    assert words in done.err
    assert done.err.strip().splitlines()[-1].startswith("featherseg: ")
    assert not stamps(tmp_path)


def test_a_recipe_without_teachers(made: Path, tmp_path: Path, cli: Cli) -> None:
    for more in ([], ["--arms", "all"]):
        done = cli(*arguments(made, tmp_path / "out", *more, recipe="simplified_unet"))
        assert done.code == 2
        assert "the recipe has no teachers (no section 'distill')" in done.err

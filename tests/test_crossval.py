"""Cross-validation: who scores what, what is pooled, and what a bundle then says of itself."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featherseg.bundle import load_bundle
from featherseg.case_table import read_cases_csv
from featherseg.crossval import CrossValidation, cross_validate, load_folds
from featherseg.datasets import load_dataset
from featherseg.datasets.pack import pack
from featherseg.datasets.phantom import write_phantom
from featherseg.duplicates import find_duplicates
from featherseg.errors import DataError, RecipeError, RunError
from featherseg.evaluation import evaluate
from featherseg.export import export_bundle, torch_logits
from featherseg.operating_point import choose_operating_point
from featherseg.preprocess import normalize
from featherseg.splits import make_split, save_split, subset
from featherseg.train.recipe import load_recipe
from featherseg.train.run import load_run, run_segmenter
from featherseg.train.show import SILENT, Show
from featherseg.train.training import Tick
from tests.conftest import Cli

SETTINGS = ("input_size=32", "network_options.width=2", "epochs=1", "batch_size=4", "lr=0.01")
NEVER = 10**6
LAST = ("select=last_epoch", "schedule=null")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve simulated images, and two splits of them in three folds."""
    root = tmp_path_factory.mktemp("crossval")
    write_phantom(root / "data", 12, seed=0, size=(64, 64))
    dataset = load_dataset(root / "data", "phantom")
    duplicates = find_duplicates(dataset)
    for seed in (0, 1):
        save_split(make_split(dataset, duplicates, folds=3, seed=seed), root / f"folds{seed}.json")
    parts = make_split(dataset, duplicates, fractions=(0.5, 0.25, 0.25), seed=0)
    save_split(parts, root / "parts.json")
    return root


def planned(images: Path, out: Path, *settings: str) -> CrossValidation:
    recipe = load_recipe("simplified_unet", [*SETTINGS, *LAST, *settings])
    return CrossValidation(
        recipe, images / "data", "phantom", load_folds(images / "folds0.json"), out
    )


@pytest.fixture(scope="module")
def done(images: Path, tmp_path_factory: pytest.TempPathFactory) -> CrossValidation:
    """A finished cross-validation with its final training."""
    made = planned(images, tmp_path_factory.mktemp("done") / "out")
    cross_validate(made, final=True)
    return made


def content(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def test_every_image_is_scored_once_by_the_network_that_has_not_seen_it(
    done: CrossValidation,
) -> None:
    rows = read_cases_csv(done.out / "cases.csv")
    assert {row.case for row in rows} == set(done.split.groups)
    assert len({(row.case, row.metric) for row in rows}) == len(rows)
    dataset = load_dataset(done.data, "phantom")
    for fold in range(3):
        run = done.out / f"fold_{fold}" / "run"
        assert content(run, "run.json")["fold"] == fold
        ids = subset(done.split, "test", fold)
        again = {
            (row.case, row.metric): row.value
            for row in evaluate(run_segmenter(run), dataset, ids).rows
        }
        pooled = {(row.case, row.metric): row.value for row in rows if row.case in ids}
        assert again.items() <= pooled.items()


def test_the_summary_is_of_all_images_and_says_what_chose_the_models(
    done: CrossValidation,
) -> None:
    summary = content(done.out, "summary.json")
    assert (summary["n"], summary["subset"], summary["chosen_on"]) == (12, "test", "validation")
    assert summary["split_sha256"] == done.split.sha256
    assert summary["model"]["kind"] == "folds"
    page = (done.out / "report.html").read_text()
    assert "cross-validated in 3 folds" in page
    n = len(subset(done.split, "test", 2))
    assert f"Fold 2 ({n} images), Dice" in page


def test_the_final_run_is_trained_on_all_images(done: CrossValidation) -> None:
    about = content(done.out / "final", "run.json")
    assert about["images"] == {"train": 12, "validation": 0}
    assert about["split_sha256"] == ""
    assert about["operating_point_chosen_on"] == "the test images of 3 folds"
    assert not (done.out / "final" / "split.json").exists()


def test_its_operating_point_is_the_best_on_unseen_images(done: CrossValidation) -> None:
    packed = pack(load_dataset(done.data, "phantom"), (32, 32), 3)
    logits, masks = [], []
    for fold in range(3):
        run = load_run(done.out / f"fold_{fold}" / "run")
        part = packed.select(subset(done.split, "test", fold))
        logits.append(torch_logits(run.network, normalize(part.images, run.preprocessing)))
        masks.append(part.masks)
    point, _ = choose_operating_point(np.concatenate(logits), np.concatenate(masks))
    assert content(done.out / "final", "run.json")["operating_point"] == vars(point)


@pytest.mark.slow
def test_a_bundle_of_it_carries_the_cross_validated_score(
    done: CrossValidation, tmp_path: Path, cli: Cli
) -> None:
    bundle = export_bundle(done.out / "final", tmp_path / "bundle", weights="float16")
    entry = load_bundle(bundle.folder).manifest.cross_validation
    summary = content(done.out, "summary.json")
    assert entry is not None
    assert (entry.folds, entry.images, entry.split_sha256) == (3, 12, done.split.sha256)
    dice = entry.scores["dice_lesion"]
    assert (dice.mean, dice.low) == (
        summary["dice_lesion"]["mean"],
        summary["dice_lesion"]["ci_low"],
    )
    assert entry.scores["images_with_a_lesion_seen"].n == summary["n_lesion"]
    assert bundle.manifest.training.validation == {}
    card = (bundle.folder / "README.md").read_text()
    assert "## Cross-validation (12 images in 3 folds)" in card
    assert f"| Dice | {dice.mean:.3f} |" in card
    scan = next((done.data).rglob("*.png"))
    assert cli("predict", bundle.folder, scan, "--out", tmp_path / "masks").code == 0


def test_the_final_bundle_is_never_scored_as_if_an_image_were_unseen(
    done: CrossValidation, images: Path, tmp_path: Path, cli: Cli
) -> None:
    where = ["--data", done.data, "--layout", "phantom", "--split", images / "folds0.json"]
    scored = ["--subset", "test", "--fold", 0, "--out", tmp_path / "scores"]
    ended = cli("evaluate", done.out / "final", *where, *scored)
    assert ended.code == 2
    assert "may have trained it" in ended.err


class StoppedError(Exception):
    pass


def stopping_after(count: int) -> tuple[Show, list[Tick]]:
    """A display that raises after `count` ticks, as if the process had been killed."""
    ticks: list[Tick] = []

    @contextmanager
    def training() -> Iterator[Any]:
        def tell(tick: Tick) -> None:
            ticks.append(tick)
            if len(ticks) == count:
                raise StoppedError

        yield tell

    return replace(SILENT, training=training), ticks


def second_epochs(ticks: list[Tick]) -> list[int]:
    """Where the second epoch of each training begins, counted in ticks from 1."""
    return [
        place
        for place, (before, now) in enumerate(pairwise(ticks), start=2)
        if (before.epoch, now.epoch) == (1, 2)
    ]


@pytest.mark.parametrize(
    ("training", "finished"), [(1, 1), pytest.param(3, 3, marks=pytest.mark.slow)]
)
def test_an_interrupted_one_goes_on_and_ends_as_one_never_interrupted(
    images: Path, tmp_path: Path, training: int, finished: int
) -> None:
    whole = planned(images, tmp_path / "whole", "epochs=2")
    show, ticks = stopping_after(NEVER)
    cross_validate(whole, show, final=True)
    broken = planned(images, tmp_path / "broken", "epochs=2")
    show, _ = stopping_after(second_epochs(ticks)[training])
    with pytest.raises(StoppedError):
        cross_validate(broken, show, final=True)
    kept = [broken.out / f"fold_{fold}" / "run" / "run.json" for fold in range(finished)]
    before = [path.stat().st_mtime_ns for path in kept]
    with pytest.raises(RunError, match="--resume"):
        cross_validate(broken, final=True)
    show, rest = stopping_after(NEVER)
    cross_validate(broken, show, final=True, resume=True)
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert rest[0].epoch == 2
    for name in ("cases.csv", "fold_1/run/best.safetensors", "final/best.safetensors"):
        assert (broken.out / name).read_bytes() == (whole.out / name).read_bytes()
    show, rest = stopping_after(1)
    cross_validate(broken, show, final=True, resume=True)
    assert rest == []


def test_what_does_not_fit_is_refused_before_anything_is_trained(
    images: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="expected a split in folds"):
        load_folds(images / "parts.json")
    plateau = planned(images, tmp_path / "out", "select=validation_loss")
    plateau = replace(plateau, recipe=load_recipe("lighter_unet", list(SETTINGS)[:1]))
    with pytest.raises(RecipeError, match=r"add --set select=last_epoch --set early_stop=null --s"):
        cross_validate(plateau, final=True)
    taught = "distill={teachers: [{name: a, recipe: simplified_unet}], weights: [0.5]}"
    with pytest.raises(RecipeError, match="--final trains no teachers"):
        cross_validate(planned(images, tmp_path / "out", taught), final=True)
    assert not (tmp_path / "out").exists()


def test_another_recipe_or_split_is_no_resumption(done: CrossValidation, images: Path) -> None:
    other = replace(done, split=load_folds(images / "folds1.json"))
    with pytest.raises(RunError, match="the split has changed since"):
        cross_validate(other, resume=True)
    other = replace(done, recipe=replace(done.recipe, lr=0.5))
    with pytest.raises(RunError, match="the recipe has changed in lr since"):
        cross_validate(other, resume=True)


def test_a_fold_that_cannot_be_trained_is_named(images: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="fold_0 was not finished: the loss is"):
        cross_validate(planned(images, tmp_path / "out", "lr=1e30", "epochs=3"))


def test_the_verb(images: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "out"
    given = ["--data", images / "data", "--split", images / "folds0.json", "--out", out]
    settings = [word for each in (*SETTINGS, *LAST) for word in ("--set", each)]
    ended = cli("crossval", "simplified_unet", *given, *settings, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out) == content(out, "summary.json")
    refused = cli("crossval", "simplified_unet", *given, *settings)
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    ended = cli("crossval", "simplified_unet", *given, *settings, "--resume", "--final")
    assert ended.code == 0, ended.err
    assert "featherseg export" in ended.out
    assert (out / "final" / "run.json").is_file()

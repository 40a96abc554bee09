"""The comparison of FeatherNet with other networks: its arithmetic by hand, and a tiny run."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import PIL.Image
import pytest

from featherseg.case_table import Row, write_cases_csv
from featherseg.datasets import load_dataset
from featherseg.stats.paired import holm, mcnemar_p
from tests.conftest import REPOSITORY
from tests.test_documents import script


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, writing into a folder of its own."""
    module = script("results/feathernet_comparison.py")
    monkeypatch.setattr(module, "OUT", tmp_path / "results")
    return module


def part(
    folder: Path, dice: dict[str, float], alarms: dict[str, bool], seen: dict[str, bool]
) -> None:
    """One seed's tables, as `keep` writes them; lesions 1 and 2 are one group."""
    rows, screened = [], []
    for case, value in dice.items():
        group = "pair" if case in ("l1", "l2") else case
        rows += [
            Row(case, group, "benign", "area_true", 50, "px"),
            Row(case, group, "benign", "area_found", 40, "px"),
            Row(case, group, "benign", "dice", value, ""),
        ]
    for true_px, answers in ((0, alarms), (50, seen)):
        for case, is_found in answers.items():
            screened += [
                Row(case, case, "", "area_true", true_px, "px"),
                Row(case, case, "", "area_found", 9 * is_found, "px"),
            ]
    folder.mkdir(parents=True)
    write_cases_csv(rows, folder / "cases.csv")
    write_cases_csv(screened, folder / "screening.csv")
    (folder / "about.json").write_text("{}")


def test_seeds_are_averaged_and_vote(tmp_path: Path) -> None:
    normals = ("n1", "n2", "n3")
    for seed, raised in enumerate(((1, 1, 0), (1, 0, 0), (0, 1, 0))):
        part(
            tmp_path / "net" / f"seed_{seed}",
            {"l1": 0.5 + 0.1 * seed, "l2": 0.9},
            {case: bool(is_raised) for case, is_raised in zip(normals, raised, strict=True)},
            {"l1": True, "l2": seed == 0},
        )
    versus = script("results/feathernet_versus.py")
    scored = versus.read_scored(tmp_path / "net")
    assert scored.dice == pytest.approx({"l1": 0.6, "l2": 0.9})
    assert scored.groups == {"l1": "pair", "l2": "pair"}
    assert scored.alarms == pytest.approx({"n1": 2 / 3, "n2": 2 / 3, "n3": 0})
    assert scored.trainings == 3
    assert scored.seen == pytest.approx({"l1": 1, "l2": 1 / 3})
    assert versus.read_scored(tmp_path / "nothing") is None


def scored(shift: float, alarms: list[int]) -> Any:
    lesions = [f"l{place}" for place in range(40)]
    dice = np.random.default_rng(0).uniform(0.4, 0.8, 40) + shift
    dice += np.random.default_rng(abs(round(1000 * shift))).normal(size=40) * 0.004
    return script("results/feathernet_versus.py").Scored(
        dict(zip(lesions, map(float, dice), strict=True)),
        {case: case for case in lesions},
        dict.fromkeys(lesions, 1.0),
        {f"n{place}": float(place in alarms) for place in range(20)},
        3,
    )


def test_differences_and_alarms_are_ours_against_each(made: ModuleType) -> None:
    found = made.compare(
        {
            "feathernet_s": scored(0.0, [0, 1]),
            "feathernet_s_long": scored(0.1, []),
            "alnet": scored(0.05, [0, *range(2, 12)]),
            "laednet_s": scored(-0.05, [0, 1, 2]),
        },
        made.FEATHERNETS,
    )
    assert found["versus"].keys() == {"feathernet_s", "feathernet_s_long"}
    versus = found["versus"]["feathernet_s"]
    assert versus.keys() == {"alnet", "laednet_s"}
    worse, better = (versus[name]["dice"] for name in ("alnet", "laednet_s"))
    assert worse["difference"] == pytest.approx(-0.05, abs=0.003)
    assert not worse["is_not_below_margin"]
    assert better["low"] <= better["difference"] <= better["high"]
    assert better["is_not_below_margin"]
    many, few = (versus[name]["alarms"] for name in ("alnet", "laednet_s"))
    assert (many["only_theirs"], many["only_ours"]) == (10, 1)
    assert (few["only_theirs"], few["only_ours"]) == (1, 0)
    p_values = [mcnemar_p(10, 1), mcnemar_p(1, 0)]
    assert [many["p_holm"], few["p_holm"]] == holm(p_values)
    assert found["networks"]["alnet"]["false_alarms"] == pytest.approx(11 / 20)


def test_the_page_has_every_network_and_names_what_was_not_run(made: ModuleType) -> None:
    run = {"feathernet_s_long": scored(0.05, [0]), "alnet": scored(0.0, [0, 1])}
    page = made.page(made.compare(run, made.FEATHERNETS), made.SCALES["small"])
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == 2 * [*made.FEATHERNETS, *made.OTHERS]
    long, alnet, plain = (
        next(row for row in rows if f"| `{name}` |" in row)
        for name in ("feathernet_s_long", "alnet", "feathernet_s")
    )
    assert long.startswith("| `feathernet_s_long` | 90 | 3 | 40 | 0.")
    assert "|  | **+0.0" in long
    assert alnet.startswith("| `alnet` | 30 | 3 | 40 | 0.")
    assert plain == "| `feathernet_s` | 30 | not run |  |  |  |  |  |  |"
    assert "| 1 : 0, 1.000 |" in page
    assert "128x128, 30 epochs, one split" in page


def test_networks_scored_on_different_images_are_refused(made: ModuleType) -> None:
    other = scored(0.0, [])
    fewer = dataclasses.replace(other, dice={"l0": 0.5})
    with pytest.raises(SystemExit, match="different images"):
        made.compare({"feathernet_s": other, "alnet": fewer}, made.FEATHERNETS)


def test_all_learn_by_one_recipe(made: ModuleType) -> None:
    small = made.SCALES["small"]
    recipes = {
        name: made.named_recipe(name, 1, small, ("one", "two"), "begin") for name in made.NETWORKS
    }
    plain = recipes["feathernet_s"]
    assert plain.presence_weight > 0
    assert (plain.input_size, plain.epochs, plain.seed) == ((128, 128), 30, 1)
    for name in made.OTHERS:
        assert dataclasses.replace(plain, network=name, presence_weight=0) == recipes[name]
    for name in made.FEATHERNETS:
        recipe = recipes[name]
        assert recipe.epochs == (90 if name.endswith("_long") else 30)
        assert recipe.initial_weights == ("begin" if "pretrained" in name else None)
        assert (recipe.distill is not None) == ("taught" in name)
        assert plain == dataclasses.replace(recipe, epochs=30, initial_weights=None, distill=None)
    assert recipes["feathernet_s_taught"].distill.teachers[0].runs == ("one", "two")


def test_a_part_is_taught_by_its_own_networks(made: ModuleType, tmp_path: Path) -> None:
    full = made.SCALES["full"]
    jobs = made.make_jobs(load_dataset(release(tmp_path / "BUSI", 10), "busi"), tmp_path, full)
    order = list(jobs)
    for network in ("feathernet_s_taught", "feathernet_s_taught_long"):
        taught = jobs[f"full/{network}/fold_3"]
        (names,) = taught.teachers.values()
        assert names == tuple(f"full/{name}/fold_3" for name in made.TEACHERS)
        for name in names:
            assert (
                (jobs[name].fold, jobs[name].split)
                == (taught.fold, taught.split)
                == (3, tmp_path / "split-full.json")
            )
            assert order.index(name) < order.index(taught.name)
    begun = jobs["full/feathernet_s_pretrained/fold_3"].recipe.initial_weights
    assert begun == str(tmp_path / order[0] / "run")
    assert jobs[order[0]].layout == "phantom"


def test_the_committed_pages_are_those_of_the_committed_cases(
    made: ModuleType, tmp_path: Path
) -> None:
    committed = REPOSITORY / "results" / "feathernet"
    pages = [path.name for path in committed.iterdir() if path.suffix in (".md", ".json")]
    assert {"small.md", "small.json"} <= set(pages)
    shutil.copytree(committed, made.OUT, ignore=shutil.ignore_patterns(*pages))
    made.write_pages()
    for name in pages:
        assert (made.OUT / name).read_text() == (committed / name).read_text(), name


def release(root: Path, count: int) -> Path:
    """BUSI's layout with `count` images a class: a bright box, or noise alone."""
    random = np.random.default_rng(0)
    for kind in ("benign", "malignant", "normal"):
        (root / kind).mkdir(parents=True)
        for number in range(1, count + 1):
            pixels = random.integers(0, 90, (64, 64), dtype=np.uint8)
            mask = np.zeros((64, 64), np.uint8)
            if kind != "normal":
                row, column = random.integers(2, 30, 2)
                mask[row : row + 24, column : column + 24] = 255
                pixels[mask > 0] += 120
            PIL.Image.fromarray(pixels).save(root / kind / f"{kind} ({number}).png")
            PIL.Image.fromarray(mask).save(root / kind / f"{kind} ({number})_mask.png")
    return root


@pytest.mark.slow
def test_a_tiny_comparison_is_run_once_and_resumed(
    made: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = made.Scale(
        "small",
        ("input_size=64", "network_options.width=8", "precision=32-true"),
        epochs=2,
        folds=None,
        seeds=(0,),
        about="Tiny.",
        simulated=20,
        simulated_epochs=1,
    )
    monkeypatch.setattr(made, "SCALES", {"small": tiny})
    monkeypatch.setattr(made, "TEACHERS", ("simplified_unet",))
    ours = ("feathernet_s", "feathernet_s_taught", "feathernet_s_pretrained")
    monkeypatch.setattr(made, "NETWORKS", ("simplified_unet", *ours))
    data = release(tmp_path / "BUSI", 10)
    made.run(data, tmp_path / "work", tiny, ("seed_7",))
    assert not (tmp_path / "work" / "small").exists()
    made.run(data, tmp_path / "work", tiny)
    made.write_pages()
    out = tmp_path / "results"
    about = out / "small" / "feathernet_s_taught" / "seed_0" / "about.json"
    chosen = json.loads(about.read_text())["screening"]
    assert set(chosen) == {"point", "dice_all", "sensitivity", "specificity"}
    first = {path: path.stat().st_mtime_ns for path in out.glob("small/**/*")}
    page = (out / "small.md").read_text()
    assert "| `simplified_unet` |" in page
    made.run(data, tmp_path / "work", tiny)
    made.write_pages()
    assert {path: path.stat().st_mtime_ns for path in out.glob("small/**/*")} == first
    assert (out / "small.md").read_text() == page

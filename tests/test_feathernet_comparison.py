"""The comparison of FeatherNet with other networks: its arithmetic by hand, and a tiny run."""

import dataclasses
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import PIL.Image
import pytest

from featherseg.case_table import Row, write_cases_csv
from featherseg.datasets import load_dataset
from featherseg.stats.paired import holm, mcnemar_p
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


def test_seeds_are_averaged_and_vote(made: ModuleType, tmp_path: Path) -> None:
    normals = ("n1", "n2", "n3")
    for seed, raised in enumerate(((1, 1, 0), (1, 0, 0), (0, 1, 0))):
        part(
            tmp_path / "net" / f"seed_{seed}",
            {"l1": 0.5 + 0.1 * seed, "l2": 0.9},
            {case: bool(is_raised) for case, is_raised in zip(normals, raised, strict=True)},
            {"l1": True, "l2": seed == 0},
        )
    scored = made.read_scored(tmp_path / "net")
    assert scored.dice == pytest.approx({"l1": 0.6, "l2": 0.9})
    assert scored.groups == {"l1": "pair", "l2": "pair"}
    assert scored.alarms == pytest.approx({"n1": 2 / 3, "n2": 2 / 3, "n3": 0})
    assert scored.trainings == 3
    assert scored.seen == pytest.approx({"l1": 1, "l2": 1 / 3})
    assert made.read_scored(tmp_path / "nothing") is None


def scored(made: ModuleType, shift: float, alarms: list[int]) -> Any:
    lesions = [f"l{place}" for place in range(40)]
    dice = np.random.default_rng(0).uniform(0.4, 0.8, 40) + shift
    dice += np.random.default_rng(abs(round(1000 * shift))).normal(size=40) * 0.004
    return made.Scored(
        dict(zip(lesions, map(float, dice), strict=True)),
        {case: case for case in lesions},
        dict.fromkeys(lesions, 1.0),
        {f"n{place}": float(place in alarms) for place in range(20)},
        3,
    )


def test_differences_and_alarms_are_ours_against_each(made: ModuleType) -> None:
    found = made.compare(
        {
            made.OURS: scored(made, 0.0, [0, 1]),
            "alnet": scored(made, 0.05, [0, *range(2, 12)]),
            "laednet_s": scored(made, -0.05, [0, 1, 2]),
        }
    )
    assert found[made.OURS]["dice_versus"] is None
    worse, better = (found[name]["dice_versus"] for name in ("alnet", "laednet_s"))
    assert worse["difference"] == pytest.approx(-0.05, abs=0.003)
    assert not worse["is_not_below_margin"]
    assert better["low"] <= better["difference"] <= better["high"]
    assert better["is_not_below_margin"]
    many, few = (found[name]["alarms_versus"] for name in ("alnet", "laednet_s"))
    assert (many["only_theirs"], many["only_ours"]) == (10, 1)
    assert (few["only_theirs"], few["only_ours"]) == (1, 0)
    p_values = [mcnemar_p(10, 1), mcnemar_p(1, 0)]
    assert [many["p_holm"], few["p_holm"]] == holm(p_values)
    assert found["alnet"]["false_alarms"] == pytest.approx(11 / 20)


def test_the_page_names_what_was_not_run(made: ModuleType) -> None:
    compared = made.compare({name: scored(made, 0.0, [0]) for name in (made.OURS, "alnet")})
    page = made.page({made.OURS: compared}, made.SCALES["small"])
    same, longer = page.split("## FeatherNet for 3 times as many epochs")
    assert "| `laednet_s` | not run |" in same
    assert same.count("| `alnet` | 3 | 40 |") == 1
    assert f"`{made.PLAIN}`" in same
    assert f"`{made.PLAIN_LONG}`" not in same
    for name in (made.OURS_LONG, made.PLAIN_LONG, "alnet"):
        assert longer.count(f"| `{name}` | not run |") == 2
    assert "128x128, 30 epochs, one split" in page


def test_networks_scored_on_different_images_are_refused(made: ModuleType) -> None:
    other = scored(made, 0.0, [])
    fewer = dataclasses.replace(other, dice={"l0": 0.5})
    with pytest.raises(SystemExit, match="different images"):
        made.compare({made.OURS: other, "alnet": fewer})


def test_all_learn_by_one_recipe(made: ModuleType) -> None:
    small = made.SCALES["small"]
    recipes = {name: made.named_recipe(name, 1, small, ("one", "two")) for name in made.NETWORKS}
    plain = recipes[made.PLAIN]
    assert plain.presence_weight > 0
    assert (plain.input_size, plain.epochs, plain.seed) == ((128, 128), 30, 1)
    for name in made.FEATHERNETS:
        assert recipes[name].epochs == (90 if name.endswith("_long") else 30)
    for name in (made.OURS, made.PLAIN):
        assert dataclasses.replace(recipes[f"{name}_long"], epochs=30) == recipes[name]
    for name in set(made.NETWORKS) - set(made.FEATHERNETS):
        assert dataclasses.replace(plain, network=name, presence_weight=0) == recipes[name]
    taught = recipes[made.OURS]
    assert taught.distill.teachers[0].runs == ("one", "two")
    assert dataclasses.replace(taught, distill=None) == plain


def test_a_part_is_taught_by_its_own_networks(made: ModuleType, tmp_path: Path) -> None:
    full = made.SCALES["full"]
    jobs = made.make_jobs(load_dataset(release(tmp_path / "BUSI", 10), "busi"), tmp_path, full)
    taught = jobs[f"full/{made.OURS}/fold_3"]
    (names,) = taught.teachers.values()
    assert names == tuple(f"full/{name}/fold_3" for name in made.TEACHERS)
    order = list(jobs)
    for name in names:
        assert (
            (jobs[name].fold, jobs[name].split)
            == (taught.fold, taught.split)
            == (3, tmp_path / "split-full.json")
        )
        assert order.index(name) < order.index(taught.name)


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
        2,
        None,
        (0,),
        "Tiny.",
    )
    monkeypatch.setattr(made, "SCALES", {"small": tiny})
    monkeypatch.setattr(made, "TEACHERS", ("simplified_unet",))
    monkeypatch.setattr(made, "NETWORKS", ("simplified_unet", made.PLAIN, made.OURS))
    data = release(tmp_path / "BUSI", 10)
    made.run(data, tmp_path / "work", tiny, ("seed_7",))
    assert not (tmp_path / "work" / "small").exists()
    made.run(data, tmp_path / "work", tiny)
    made.write_pages()
    out = tmp_path / "results"
    about = out / "small" / made.OURS / "seed_0" / "about.json"
    chosen = json.loads(about.read_text())["screening"]
    assert set(chosen) == {"point", "dice_all", "sensitivity", "specificity"}
    first = {path: path.stat().st_mtime_ns for path in out.glob("small/**/*")}
    page = (out / "small.md").read_text()
    assert "| `simplified_unet` |" in page
    made.run(data, tmp_path / "work", tiny)
    made.write_pages()
    assert {path: path.stat().st_mtime_ns for path in out.glob("small/**/*")} == first
    assert (out / "small.md").read_text() == page

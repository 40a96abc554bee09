"""A table from plan to page, on made-up data at a tiny scale."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featherseg.case_table import read_cases_csv
from featherseg.datasets.phantom import write_phantom
from featherseg.errors import DataError
from featherseg.grid import Failure, run_grid
from featherseg.reproduce.collect import read_collected
from featherseg.reproduce.figures import row_figures
from featherseg.reproduce.page import page
from featherseg.reproduce.plan import cells, is_trained, row_recipe, slug
from featherseg.reproduce.run import Choice, Places, reproduce
from featherseg.reproduce.scale import SCALES, Scale
from featherseg.reproduce.splits import WAYS
from featherseg.reproduce.table import Column, Part, Published, Row, Table
from featherseg.reproduce.tables import TABLES
from featherseg.train.show import Show
from tests.conftest import Cli
from tests.datasets import releases

NARROW = ("input_size=32", "network_options={width: 2}", "epochs=1", "batch_size=4")
NARROW_TEACHER = ("network=simplified_unet", "network_options={width: 2}")
TINY = Scale("small", NARROW, NARROW_TEACHER, "original", 1, "Tiny, for a test.")
COLUMNS = (
    Column("dice", "Dice", "dice", "all"),
    Column("hd", "HD95", "hd95"),
    Column("params", "Parameters", "parameters"),
    Column("fps", "FPS", "published_only"),
)
TABLE = Table(
    name="made-up-1",
    title="a table for a test",
    source="Nobody, Nowhere, Table 1",
    columns=COLUMNS,
    parts=(
        Part(
            "phantom",
            "lightbtseg",
            (
                Row("U-Net+", "simplified_unet", (), {"dice": Published(0.7, 0.01)}),
                Row("Half", "simplified_unet", ("network_options={width: 3}",)),
                Row("On malignant", "simplified_unet", (), {}, ("malignant",)),
                Row("Student", "lightbtseg_student", (), {"fps": Published(24.5)}),
            ),
        ),
        Part("udiat", "lightbtseg", (Row("Elsewhere", "simplified_unet"),)),
    ),
    notes=("A note.",),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reproduce") / "data"
    write_phantom(folder, 30, seed=0, size=(64, 64))
    return folder


@pytest.fixture(scope="module")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Places:
    """The table, run once."""
    root = tmp_path_factory.mktemp("tables")
    places = Places({"phantom": data}, root / "results", root / "work")
    assert reproduce(TABLE, TINY, places, Choice(), Show(), run_grid) == ()
    return places


def test_every_cell_has_its_cases_and_what_made_them(done: Places) -> None:
    out = done.results / TABLE.name / "small"
    wanted = list(cells(TABLE, TINY, TABLE.parts[0]))
    assert len(wanted) == 8
    for cell in wanted:
        found = read_collected(cell, out)
        assert found is not None
        assert found.about["recipe"]["input_size"] == [32, 32]
        assert found.about["protocol"] == {"paper": "lightbtseg", "safe": "safe"}[cell.way]
        assert {row.metric for row in found.rows} >= {"dice", "hd95", "area_true"}
        assert "auc" not in {row.metric for row in found.rows}
        # LightBTSeg leaves out normal images, and so does the safe split beside it.
        assert {row.class_name for row in found.rows} == {"benign", "malignant"}
    assert {path.name for path in (out / "phantom").glob("*.csv")} == {
        f"{name}.{way}-1.csv"
        for name in ("u-netp", "half", "on-malignant", "student")
        for way in ("paper", "safe")
    }


def test_equal_trainings_are_run_once_and_teachers_are_shared_by_nobody_else(done: Places) -> None:
    runs = sorted(path.parent.parent.name for path in done.work.glob("*/run/run.json"))
    # Per split: U-Net+ (also On malignant), Half, the student and its two teachers.
    assert len(runs) == 2 * 5


def test_figures_come_from_the_committed_cases(done: Places) -> None:
    out = done.results / TABLE.name / "small"
    part = TABLE.parts[0]
    whole = row_figures(TABLE, TINY, part, part.rows[0], "safe", out)
    malignant = row_figures(TABLE, TINY, part, part.rows[2], "safe", out)
    rows = read_cases_csv(out / "phantom" / "u-netp.safe-1.csv")
    dice = {row.case: row.value for row in rows if row.metric == "dice"}
    assert whole["dice"].mean == pytest.approx(
        sum(value or 0.0 for value in dice.values()) / len(dice)
    )
    assert malignant["dice"].n == sum(
        row.class_name == "malignant" for row in rows if row.metric == "dice"
    )
    assert whole["dice"].std is None
    assert set(whole) == {"dice", "hd"}


def test_the_page_sets_ours_beside_theirs(done: Places) -> None:
    text = (done.results / TABLE.name / "README.md").read_text()
    assert text == page(TABLE, done.results / TABLE.name)
    lines = text.splitlines()
    assert "* A note." in lines
    assert "| network | published | ours, the paper's split | ours, duplicate-safe split |" in lines
    first = next(line for line in lines if line.startswith("| U-Net+ | 0.700 ± 0.010 | "))
    assert "not run" not in first
    assert "| Elsewhere | – | not run | not run |" in lines
    assert (
        "featherseg reproduce made-up-1 --scale small --data phantom=DIR --data udiat=DIR" in lines
    )
    assert "All cells: not run." in lines
    assert any(line.startswith("| Student | – | 24.5 | ") for line in lines)


def test_repeats_are_averaged_by_image_and_spread(data: Path, tmp_path: Path) -> None:
    table = replace(TABLE, parts=(replace(TABLE.parts[0], rows=TABLE.parts[0].rows[:1]),))
    scale = replace(TINY, repeats=2)
    places = Places({"phantom": data}, tmp_path / "results", tmp_path / "work")
    assert reproduce(table, scale, places, Choice(("safe",)), Show(), run_grid) == ()
    out = tmp_path / "results" / table.name / "small"
    found = row_figures(table, scale, table.parts[0], table.parts[0].rows[0], "safe", out)["dice"]
    assert found.repeats == 2
    assert found.std is not None
    seeds = {
        json.loads(path.read_text())["recipe"]["seed"] for path in (out / "phantom").glob("*.json")
    }
    assert seeds == {0, 1}
    means = []
    for repeat in (1, 2):
        rows = read_cases_csv(out / "phantom" / f"u-netp.safe-{repeat}.csv")
        values = [row.value or 0.0 for row in rows if row.metric == "dice"]
        means.append(sum(values) / len(values))
    assert found.mean == pytest.approx(sum(means) / 2)
    assert found.std == pytest.approx(abs(means[0] - means[1]) / 2**0.5)


def test_what_has_a_result_is_not_planned_again(done: Places, data: Path) -> None:
    def never(*_: object) -> tuple[Failure, ...]:
        raise AssertionError("nothing is left to run")

    said: list[str] = []
    assert reproduce(TABLE, TINY, done, Choice(), Show(said.append), never) == ()
    assert said == ["made-up-1, phantom: 8 of 8 cells done"]


def test_a_killed_table_keeps_what_was_done(data: Path, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def say(line: str) -> None:
        if line.startswith("2/"):
            raise KilledError

    places = Places({"phantom": data}, tmp_path / "results", tmp_path / "work")
    choice = Choice(("safe",), ("U-Net+", "Half"))
    with pytest.raises(KilledError):
        reproduce(TABLE, TINY, places, choice, Show(say), run_grid)
    out = tmp_path / "results" / TABLE.name
    assert [path.name for path in out.rglob("*.csv")] == ["u-netp.safe-1.csv"]
    assert "| Half | – | not run | not run |" in (out / "README.md").read_text()
    said: list[str] = []
    assert reproduce(TABLE, TINY, places, choice, Show(said.append), run_grid) == ()
    assert said[0] == "made-up-1, phantom: 1 of 2 cells done"
    assert len(list(out.rglob("*.csv"))) == 2


def test_rows_that_are_not_there_are_named(tmp_path: Path) -> None:
    places = Places({}, tmp_path, tmp_path)
    with pytest.raises(DataError, match=r"made-up-1 has the rows U-Net\+, Half, .*; got 'Hal'"):
        reproduce(TABLE, TINY, places, Choice(rows=("Hal",)), Show(), run_grid)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_can_be_planned_at_both_scales(name: str) -> None:
    table = TABLES[name]
    for scale in SCALES.values():
        for part in table.parts:
            made = list(cells(table, scale, part))
            assert len({cell.file for cell in made}) == len(made)
            for row in part.rows:
                recipe = row_recipe(row, scale)
                if scale.name == "small":
                    assert (recipe.input_size, recipe.epochs) == ((128, 128), 15)
    assert page(table, Path("nowhere")).startswith(f"# {name}: ")


def nerves(root: Path) -> Path:
    for seed in range(20):
        name = f"{1 + seed // 4}_{1 + seed % 4}"
        is_seen = np.uint8(seed % 3 > 0)
        releases.save(root / f"train/{name}.tif", releases.picture(seed))
        releases.save(root / f"train/{name}_mask.tif", releases.lesion(seed) * is_seen)
    return root


def skin(root: Path) -> Path:
    for seed in range(20):
        name, mask = f"ISIC_{seed:07d}", releases.lesion(seed)
        images = root / "ISIC2018_Task1-2_Training_Input"
        releases.save(images / f"{name}.jpg", releases.picture(seed, color=True))
        masks = root / "ISIC2018_Task1_Training_GroundTruth"
        releases.save(masks / f"{name}_segmentation.png", mask)
    return root


def breasts(root: Path) -> Path:
    lines = ["Image;Type;"]
    for seed in range(1, 21):
        releases.save(root / f"original/{seed:06d}.png", releases.picture(seed))
        releases.save(root / f"GT/{seed:06d}.png", releases.lesion(seed))
        lines.append(f"{seed};{'Malignant' if seed % 3 else 'Benign'};X")
    (root / "DatasetB.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "row", "layout", "made_up"),
    [
        ("laednet-5", "LAEDNet-M, SE, PUS", "bp", nerves),
        ("alnet-8", "AL-Net", "isic2018", skin),
        ("lightbtseg-3", "Double Teacher", "udiat", breasts),
    ],
)
def test_data_that_are_not_at_hand_run_in_the_official_layout(
    table: str, row: str, layout: str, made_up: Callable[[Path], Path], tmp_path: Path
) -> None:
    size = ("input_size=32", "epochs=1", "batch_size=4")
    scale = replace(TINY, settings=size)
    root = made_up(tmp_path / "data")
    places = Places({layout: root}, tmp_path / "results", tmp_path / "work")
    failures = reproduce(TABLES[table], scale, places, Choice(rows=(row,)), Show(), run_grid)
    assert failures == ()
    part = next(each for each in TABLES[table].parts if each.dataset == layout)
    chosen = next(each for each in part.rows if each.name == row)
    out = tmp_path / "results" / table / "small"
    for way in WAYS:
        assert row_figures(TABLES[table], scale, part, chosen, way, out)
    abouts = [json.loads(path.read_text()) for path in (out / layout).glob("*.json")]
    assert {each["recipe"]["sampling"] for each in abouts} == {
        "periodic_under_sampling" if layout == "bp" else "all"
    }


def test_tables_of_cost_need_no_training() -> None:
    assert not is_trained(TABLES["alnet-5"])
    assert is_trained(TABLES["alnet-4"])


def test_names_become_files() -> None:
    assert slug("DeepLab v3+ (ResNet-101)") == "deeplab-v3p-resnet-101"


def test_the_verb_lists_tables_and_names_what_is_wrong(cli: Cli, tmp_path: Path) -> None:
    listed = cli("reproduce", "--list")
    assert listed.code == 0
    assert all(name in listed.out for name in TABLES)
    for given, words in [
        (("laednet-33",), "unknown table 'laednet-33'; expected one of laednet-2"),
        ((), "expected the name of a table; `featherseg reproduce --list` shows them"),
        (("laednet-3", "--data", "hc18=x"), "with a layout of laednet-3: busi"),
        (("laednet-3", "--data", "busi=" + str(tmp_path / "no")), "no"),
    ]:
        refused = cli("reproduce", *given, "--out", tmp_path, "--work", tmp_path / "work")
        assert refused.code == 2
        assert words in refused.err
        assert refused.err.count("\n") <= 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_small_table_runs_from_scratch(data_root: Path, cli: Cli, tmp_path: Path) -> None:
    """`alnet-4` on real cells: four trainings at the small scale."""
    given = ("--data", f"isbi2012_interior={data_root / 'ISBI2012'}")
    places = ("--out", tmp_path / "results", "--work", tmp_path / "work")
    run = cli("reproduce", "alnet-4", "--scale", "small", *given, *places)
    assert run.code == 0, run.err
    out = tmp_path / "results" / "alnet-4"
    text = (out / "README.md").read_text()
    assert text.count("| A-Decoder | 0.896 ± 0.014 | 0.") == 1
    for path in out.rglob("*.csv"):
        values = [row.value for row in read_cases_csv(path) if row.metric == "accuracy"]
        # Calling every pixel a cell is right for 0.78 of them.
        assert min(value or 0.0 for value in values) > 0.79
    assert len(list(out.rglob("*.csv"))) == 4
    again = cli("reproduce", "alnet-4", "--scale", "small", *given, *places)
    assert again.code == 0
    assert "4 of 4 cells done" in again.err

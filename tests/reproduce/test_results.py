"""The committed tables are what their files give."""

import json

import pytest

from featherseg.reproduce.collect import read_collected
from featherseg.reproduce.page import PAGE, page
from featherseg.reproduce.plan import cells, row_recipe
from featherseg.reproduce.scale import SCALES
from featherseg.reproduce.tables import TABLES
from featherseg.train.recipe import _LATER, as_values
from tests.conftest import REPOSITORY
from tests.test_documents import script

RESULTS = REPOSITORY / "results"
COMMITTED = sorted(path.parent.name for path in RESULTS.glob(f"*/{PAGE}"))


def test_tables_were_run() -> None:
    assert {"laednet-3", "laednet-4", "alnet-4", "lightbtseg-3"} <= set(COMMITTED)
    assert set(COMMITTED) <= set(TABLES)


@pytest.mark.parametrize("name", COMMITTED)
def test_a_page_is_made_from_the_files_beside_it(name: str) -> None:
    folder = RESULTS / name
    assert (folder / PAGE).read_text() == page(TABLES[name], folder), (
        f"run: featherseg reproduce {name}"
    )


def test_the_arms_are_compared_from_their_committed_cases() -> None:
    made = script("results/distillation_arms.py")
    assert {path.parent.name for path in made.OUT.glob("*/cases.csv")} >= {
        "no_teacher",
        "one_teacher",
        "two_teachers",
        "channel_wise",
    }
    assert (made.OUT / "arms.md").read_text() == made.page(), "run: results/distillation_arms.py"


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_cells_were_trained_by_todays_recipes(name: str) -> None:
    table, found = TABLES[name], 0
    for scale in SCALES.values():
        for cell in (cell for part in table.parts for cell in cells(table, scale, part)):
            collected = read_collected(cell, RESULTS / name / scale.name)
            if collected is None:
                continue
            found += 1
            today = json.loads(json.dumps(as_values(row_recipe(cell.row, scale, cell.repeat))))
            then = collected.about["recipe"]
            # Keys that came later change nothing at their defaults.
            assert then.items() <= today.items(), cell.file
            later = {key: today[key] for key in today.keys() - then.keys()}
            assert later.items() <= _LATER.items(), cell.file
    assert found == len(list((RESULTS / name).rglob("*.csv")))

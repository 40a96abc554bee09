"""The published tables: every figure is the paper's, and every row can be trained here."""

import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch

from featherseg.compress.cost import count_parameters
from featherseg.datasets import DATASETS
from featherseg.metrics.score import score_masks
from featherseg.networks import build_network
from featherseg.networks.published import PUBLISHED
from featherseg.reproduce.scale import SCALES
from featherseg.reproduce.table import NO_METRICS, PUBLISHED_ONLY, Part, Published, Row
from featherseg.reproduce.tables import TABLES
from featherseg.splits.protocols import PROTOCOLS
from featherseg.train.recipe import Recipe, load_recipe

# With the table's name, and the layout of its part.
ROWS = [
    (table.name, part.dataset, row)
    for table in TABLES.values()
    for part in table.parts
    for row in part.rows
]
ONE_LABEL = {"out_channels": 1}


def recipe_of(row: Row, scale: str = "paper") -> Recipe:
    network = SCALES[scale].teacher_network if row.is_teacher else ()
    return load_recipe(row.recipe, (*row.settings, *network))


def options_of(recipe: Recipe) -> tuple[str, tuple[tuple[str, object], ...]]:
    options = {**recipe.network_options, "in_channels": recipe.in_channels}
    return recipe.network, tuple(sorted(options.items()))


# Each network once, however many rows train it.
NETWORKS_USED = sorted(
    {options_of(recipe_of(row, scale)) for _, _, row in ROWS for scale in ("paper", "small")}
)


def part_of(table: str, dataset: str | None = None) -> Part:
    parts = TABLES[table].parts
    (part,) = parts if dataset is None else [part for part in parts if part.dataset == dataset]
    return part


def row_of(table: str, name: str, dataset: str | None = None) -> Row:
    (row,) = [row for row in part_of(table, dataset).rows if row.name == name]
    return row


def test_all_tables_are_there() -> None:
    assert list(TABLES) == [
        *(f"laednet-{number}" for number in (2, 3, 4, 5)),
        *(f"alnet-{number}" for number in (2, 3, 4, 5, 6, 7, 8)),
        *("lighter-1", "lighter-2", "lighter-tuning"),
        *(f"lightbtseg-{number}" for number in (1, 2, 3)),
    ]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_consistent(name: str) -> None:
    table = TABLES[name]
    keys = [column.key for column in table.columns]
    assert table.name == name
    assert len(set(keys)) == len(keys)
    paper, _, number = name.partition("-")
    roman = {"1": "I", "2": "II", "3": "III"}
    printed = roman[number] if paper == "lightbtseg" else number
    assert table.source.endswith("section 4.2" if number == "tuning" else f"Table {printed}")
    assert table.repeats == {"laednet": 5, "lighter": 3}.get(paper, 1)
    for part in table.parts:
        assert part.dataset in DATASETS
        assert part.protocol in PROTOCOLS
        names = [row.name for row in part.rows]
        assert len(set(names)) == len(names)
        for row in part.rows:
            assert set(row.published) <= set(keys)


@pytest.mark.parametrize("name", TABLES)
def test_every_column_can_be_computed(name: str) -> None:
    lesion = np.eye(8, dtype=np.uint8)
    scores = score_masks(lesion, lesion, probability=lesion.astype(np.float64))
    for column in TABLES[name].columns:
        assert column.metric in (*scores, *NO_METRICS), column
        if column.metric in scores and column.over == "lesion":
            assert scores[column.metric] is not None


@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_a_recipe(name: str) -> None:
    for row in (row for table, _, row in ROWS if table == name):
        paper, small = recipe_of(row), recipe_of(row, "small")
        assert (paper == small) == (not row.is_teacher)
        # Tables train from scratch, whatever the papers began with.
        assert not paper.network_options.get("pretrained", False)


@pytest.mark.parametrize(("network", "options"), NETWORKS_USED, ids=lambda value: str(value))
def test_every_network_of_the_rows_segments_at_the_small_size(
    network: str, options: tuple[tuple[str, object], ...]
) -> None:
    with torch.device("meta"), torch.no_grad():
        built = build_network(network, **dict(options), **ONE_LABEL).eval()
        logits = built(torch.empty(1, 3, 128, 128))
    assert logits.shape == (1, 1, 128, 128)


# Read off the papers by hand: table, row, data set, and column: mean, deviation.
SPOTS: tuple[tuple[str, str, str, dict[str, tuple[float, float | None]]], ...] = (
    ("laednet-2", "U-Net", "bp", {"lb_dsc": (0.67, 0.012), "auc": (0.843, 0.017)}),
    ("laednet-2", "NAS-Unet", "bp", {"iou": (0.684, 0.005), "fps": (52.6, None)}),
    ("laednet-2", "LAEDNet-L", "bp", {"dsc": (0.737, 0.005), "parameters": (63_250_000, None)}),
    ("laednet-3", "SK-U-Net", "busi", {"dsc": (0.724, 0.024), "fps": (19.6, None)}),
    ("laednet-3", "LAEDNet-S", "busi", {"dsc": (0.737, 0.025), "iou": (0.658, 0.036)}),
    ("laednet-4", "M-Net", "hc18", {"iou": (0.555, 0.022), "auc": (0.933, 0.015)}),
    ("laednet-4", "LAEDNet-M", "hc18", {"dsc": (0.913, 0.022)}),
    ("laednet-5", "LAEDNet-M, no SE, no PUS", "bp", {"parameters": (10_450_000, None)}),
    ("laednet-5", "LAEDNet-M, SE, PUS", "bp", {"auc": (0.886, 0.004), "lb_dsc": (0.698, 0.006)}),
    ("alnet-2", "ResNet-34", "isbi2012_interior", {"iou": (0.8960, 0.0147), "time": (40.8, None)}),
    ("alnet-3", "ASPP", "isbi2012_interior", {"iou": (0.8941, 0.0160)}),
    ("alnet-3", "LR-ASPP", "isbi2012_interior", {"parameters": (3_450_000, None)}),
    ("alnet-4", "U-Decoder", "isbi2012_interior", {"iou": (0.8805, 0.0169), "time": (41.1, None)}),
    ("alnet-5", "U-Net++", "stare", {"time": (1910.4, None), "parameters": (9_160_000, None)}),
    ("alnet-5", "Baseline", "isic2018", {"time": (38.5, None)}),
    ("alnet-5", "Baseline", "isbi2012_interior", {"time": (38.7, None)}),
    ("alnet-6", "AL-Net", "stare", {"accuracy": (0.9728, 0.0065), "iou": (0.6851, 0.0577)}),
    ("alnet-7", "PyConvU-Net", "isbi2012_interior", {"iou": (0.8563, 0.0162)}),
    ("alnet-8", "U-Net++", "isic2018", {"accuracy": (0.9058, 0.1073), "iou": (0.7255, 0.2011)}),
    ("lighter-1", "FCN-8s", "busi", {"dice": (0.924, 0.001), "hd95": (14.37, 0.16)}),
    ("lighter-2", "Lighter U-net @32", "busi", {"hd95": (14.51, 0.09), "dice": (0.926, 0.001)}),
    ("lighter-2", "Light U-net", "busi", {"parameters": (11_000_257, None)}),
    ("lighter-tuning", "+ Dice loss", "busi", {"dice": (0.891, None)}),
    ("lighter-tuning", "default", "busi", {"dice": (0.855, None)}),
    ("lightbtseg-1", "U-Net3+", "udiat", {"recall": (0.9296, None), "gflops": (792.62, None)}),
    ("lightbtseg-1", "Student model", "busi", {"recall": (0.8623, None), "mb": (8.4, None)}),
    ("lightbtseg-2", "benign to malignant", "busi", {"dice": (0.6979, None)}),
    ("lightbtseg-2", "all to all", "udiat", {"miou": (0.8399, None), "accuracy": (0.9842, None)}),
    ("lightbtseg-3", "Double Teacher", "busi", {"recall": (0.8753, None)}),
    ("lightbtseg-3", "Single Teacher", "udiat", {"dice": (0.8695, None)}),
)


@pytest.mark.parametrize(("table", "name", "dataset", "cells"), SPOTS)
def test_figures_are_the_papers(
    table: str, name: str, dataset: str, cells: dict[str, tuple[float, float | None]]
) -> None:
    published = row_of(table, name, dataset).published
    assert {key: published[key] for key in cells} == {
        key: Published(*cell) for key, cell in cells.items()
    }


def test_every_table_has_a_figure_checked_by_hand() -> None:
    assert {spot[0] for spot in SPOTS} == set(TABLES)


def test_scores_are_shares() -> None:
    for table in TABLES.values():
        titles = {column.key: column for column in table.columns}
        for part in table.parts:
            for row in part.rows:
                for key, cell in row.published.items():
                    if titles[key].metric in NO_METRICS or key == "hd95":
                        continue
                    assert 0.4 < cell.mean < 1
                    assert cell.std is None or cell.std < 0.25


@pytest.mark.parametrize("name", TABLES)
def test_sizes_are_those_of_the_cards(name: str) -> None:
    """The networks' cards print the same figures, beside what ours count."""
    for row in (row for table, _, row in ROWS if table == name):
        recipe = recipe_of(row)
        # An ablation by an option has no card of its own.
        if "parameters" not in row.published or recipe.network_options:
            continue
        size = row.published["parameters"].mean
        facts = PUBLISHED[recipe.network]
        assert size in {published.parameters for published in facts.published}
        if facts.status == "exact":
            with torch.device("meta"):
                assert count_parameters(build_network(recipe.network)) == size


def test_only_published_columns_say_why() -> None:
    for table in TABLES.values():
        notes = " ".join(table.notes)
        for column in table.columns:
            if column.metric == PUBLISHED_ONLY:
                word = {"size, MB": "MB"}.get(column.title, column.title)
                assert re.search(rf"\b{word}\b", notes), (table.name, column.title)


def test_the_last_step_of_the_tuning_is_the_final_recipe() -> None:
    first, *_, last = part_of("lighter-tuning").rows
    start = recipe_of(first)
    assert (start.loss, start.optimizer, start.lr, start.batch_size) == ("bce", "sgd", 1e-3, 2)
    assert recipe_of(last) == load_recipe(
        "lighter_unet", ["network=unet_bilinear", "classes=[benign, malignant]"]
    )


def test_each_step_of_the_tuning_changes_one_thing() -> None:
    rows = part_of("lighter-tuning").rows
    dice = [row.published["dice"].mean for row in rows]
    assert dice == sorted(dice)
    for before, after in pairwise(rows):
        assert after.settings[: len(before.settings)] == before.settings
        assert recipe_of(after) != recipe_of(before)


def test_private_images_are_named_as_such() -> None:
    for name in ("lighter-1", "lighter-2", "lighter-tuning"):
        assert "private" in part_of(name).note


def test_the_ablation_of_laednet_switches_its_parts() -> None:
    rows = [recipe_of(row) for row in part_of("laednet-5").rows]
    assert [row.network_options.get("use_se", True) for row in rows] == [False, True, True]
    assert [row.sampling == "periodic_under_sampling" for row in rows] == [False, False, True]
    assert rows[-1] == load_recipe("laednet_bp")


@pytest.mark.parametrize("dataset", ["busi", "udiat"])
def test_teachers_are_trained_and_scored_on_their_classes(dataset: str) -> None:
    for row in part_of("lightbtseg-2", dataset).rows:
        train, test = row.name.split(" to ")
        assert recipe_of(row).classes == (() if train == "all" else (train,))
        assert row.classes_test == (() if test == "all" else (test,))
        assert recipe_of(row, "small").network == "attention_unet"
    for teacher in ("Benign", "Malignant"):
        alone = row_of("lightbtseg-1", f"{teacher} Teacher", dataset)
        crossed = row_of("lightbtseg-2", f"{teacher.lower()} to all", dataset)
        # The paper prints this row twice.
        assert recipe_of(alone) == recipe_of(crossed)
        assert crossed.published.items() <= alone.published.items()


def test_a_row_printed_twice_is_one_row() -> None:
    """Figures that two tables of a paper share are equal, but for those the notes name."""

    def scores(table: str, name: str, dataset: str) -> dict[str, Published]:
        keys = ("dice", "precision", "miou", "accuracy")
        return {key: row_of(table, name, dataset).published[key] for key in keys}

    for dataset in ("busi", "udiat"):
        student = scores("lightbtseg-1", "Student model", dataset)
        assert student == scores("lightbtseg-3", "Double Teacher", dataset)
    best = row_of("alnet-2", "RepVGG-A1").published
    assert best == row_of("alnet-3", "LR-ASPP").published
    assert best == row_of("alnet-4", "A-Decoder").published
    assert best["iou"] == row_of("alnet-7", "AL-Net").published["iou"]
    assert best["time"] == row_of("alnet-5", "AL-Net", "isbi2012_interior").published["time"]
    assert row_of("lighter-1", "U-net").published.items() <= (
        row_of("lighter-2", "U-net").published.items()
    )


def test_tables_are_read_without_torch() -> None:
    code = "import sys, featherseg.reproduce.tables; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""The built-in recipes: complete, the papers', and different only where the papers differ."""

import dataclasses
import itertools
import re
import shlex
from importlib import resources
from typing import Any

import pytest
import typer
import yaml

from featherseg.cli import app
from featherseg.networks import NETWORKS
from featherseg.reproduce.tables import TABLES
from featherseg.train.recipe import RECIPES, Recipe, load_recipe, read_recipe, recipe_text
from featherseg.train.sections import Augment, Cosine, Distill, EarlyStop, Exponential, Plateau
from tests.conftest import REPOSITORY, Cli

PAGE = (REPOSITORY / "docs" / "recipes.md").read_text()
COMMANDS = [
    line.split("#")[0].split(">")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
    for line in block.splitlines()
]

# Of the table that `featherseg recipes` prints.
COLUMNS = 80


def names(section: type) -> list[str]:
    return [field.name for field in dataclasses.fields(section)]


def differences(first: str, second: str) -> set[str]:
    """The keys in which two recipes differ."""
    one, other = load_recipe(first), load_recipe(second)
    return {key for key in names(Recipe) if getattr(one, key) != getattr(other, key)}


def test_every_file_is_listed() -> None:
    folder = resources.files("featherseg").joinpath("recipes")
    files = {path.name.removesuffix(".yaml") for path in folder.iterdir() if ".yaml" in path.name}
    assert files == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_every_key_is_written(name: str) -> None:
    written = yaml.safe_load(recipe_text(name))
    assert list(written) == names(Recipe)
    assert list(written["augment"]) == names(Augment)
    if written["distill"] is not None:
        assert list(written["distill"]) == names(Distill)


@pytest.mark.parametrize("name", RECIPES)
def test_lines_fit_and_the_head_says_whose_it_is(name: str) -> None:
    text = recipe_text(name)
    assert max(map(len, text.splitlines())) <= 100
    head = text.partition("\nnetwork:")[0]
    assert "et al." in head or "Ours, not a paper's" in head


@pytest.mark.parametrize("name", ["laednet_bp", "laednet_busi", "laednet_hc18"])
def test_laednet_is_trained_as_in_section_4_3(name: str) -> None:
    recipe = load_recipe(name)
    assert (recipe.input_size, recipe.epochs, recipe.optimizer, recipe.lr) == (
        (320, 320),
        200,
        "adam",
        1e-4,
    )
    assert (recipe.loss, recipe.schedule, recipe.early_stop) == ("dice_focal", None, None)
    assert recipe.augment.horizontal_flip > 0
    assert recipe.augment.vertical_flip == 0
    assert recipe.augment.affine > 0


def test_under_sampling_is_for_nerves_alone() -> None:
    assert load_recipe("laednet_bp").sampling == "periodic_under_sampling"
    assert differences("laednet_bp", "laednet_busi") == {"sampling"}
    assert differences("laednet_busi", "laednet_hc18") == set()


def test_alnet_is_trained_as_in_section_4_2() -> None:
    recipe = load_recipe("alnet_stare")
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.optimizer) == (150, 4, 5e-3, "adam")
    assert recipe.schedule == Exponential(0.95)
    assert (recipe.loss, recipe.early_stop) == ("dice_bce", None)
    assert recipe.augment == Augment(affine=0.8, translate=0.1, symmetries=8)
    assert differences("alnet_stare", "alnet_isbi2012") == {"input_size"}
    assert differences("alnet_isbi2012", "alnet_isic2018") == set()
    assert (recipe.input_size, load_recipe("alnet_isic2018").input_size) == ((608, 704), (512, 512))


def test_nothing_is_fetched_unless_asked_for() -> None:
    assert all("pretrained" not in load_recipe(name).network_options for name in RECIPES)


def test_the_default_of_the_tuning_is_the_papers() -> None:
    recipe = load_recipe("lighter_default")
    assert (recipe.network, recipe.loss, recipe.optimizer) == ("unet_bilinear", "bce", "sgd")
    assert (recipe.lr, recipe.batch_size, recipe.weight_decay) == (1e-3, 2, 0)
    assert recipe.schedule is None
    assert recipe.early_stop == EarlyStop(15, 50)
    assert recipe.augment == Augment()
    assert recipe.input_size == (256, 256)


def test_student_teachers_and_controls_share_their_training() -> None:
    teacher = load_recipe("lightbtseg_teacher")
    assert (teacher.network, teacher.input_size) == ("resnet101_attention_unet", (512, 512))
    assert (teacher.loss, teacher.lr, teacher.weight_decay) == ("weight_balance", 1e-3, 5e-4)
    assert (teacher.epochs, teacher.batch_size) == (20, 8)
    assert teacher.schedule == Plateau(patience=3, factor=0.1)
    assert differences("lightbtseg_teacher", "simplified_unet") == {"network"}
    assert differences("lightbtseg_student", "simplified_unet") == {"distill"}
    assert differences("lightbtseg_single", "simplified_unet") == {"distill"}


def test_the_student_has_a_teacher_for_each_class() -> None:
    distill = load_recipe("lightbtseg_student").distill
    assert distill is not None
    assert (distill.weights, distill.hard, distill.temperature) == ((0.5, 0.2), 0.3, 1)
    for teacher, label in zip(distill.teachers, ("benign", "malignant"), strict=True):
        trained = load_recipe(teacher.recipe, teacher.settings)
        assert (teacher.name, trained.classes) == (label, (label,))
        assert trained.network == "resnet101_attention_unet"


def test_the_single_teacher_has_seen_all() -> None:
    distill = load_recipe("lightbtseg_single").distill
    assert distill is not None
    assert (distill.weights, distill.hard) == ((0.7,), 0.3)
    (teacher,) = distill.teachers
    assert load_recipe(teacher.recipe, teacher.settings).classes == ()


@pytest.mark.parametrize("name", ["fetal_head", "breast_lesion"])
def test_the_zoos_recipes_need_no_validation_images(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.select == "last_epoch"
    assert recipe.early_stop is None
    assert isinstance(recipe.schedule, Cosine)
    assert (recipe.network, recipe.input_size) == ("simplified_unet", (256, 256))


def test_the_feathernets_are_trained_alike_with_presence() -> None:
    small = load_recipe("feathernet_s")
    assert differences("feathernet_s", "feathernet_m") == {"network"}
    assert (small.loss, small.presence_weight, small.input_size) == ("dice_bce", 0.5, (256, 256))
    assert small.augment == load_recipe("breast_lesion").augment
    assert isinstance(small.schedule, Cosine)


def test_teachers_are_added_as_the_head_of_the_recipe_says() -> None:
    head = recipe_text("feathernet_s").partition("\nnetwork:")[0]
    section = "\n".join(line.removeprefix("#") for line in head.splitlines()[5:])
    taught = yaml.safe_load(recipe_text("feathernet_s")) | yaml.safe_load(section)
    distill = read_recipe(taught, "the head").distill
    assert distill is not None
    (teacher,) = distill.teachers
    assert load_recipe(teacher.recipe, teacher.settings).input_size == (256, 256)


def test_the_head_of_a_recipe_names_the_networks_of_its_tables() -> None:
    for table in TABLES.values():
        for row in (row for part in table.parts for row in part.rows):
            network = load_recipe(row.recipe, row.settings).network
            head = recipe_text(row.recipe).partition("\nnetwork:")[0]
            if "lighter_unet_" in network:  # written as a range
                network = "lighter_unet_128, ..., lighter_unet_1"
            assert network == load_recipe(row.recipe).network or network in head, row


def test_the_networks_that_a_head_names_exist() -> None:
    for name in RECIPES:
        head = recipe_text(name).partition("\nnetwork:")[0]
        words = {word.strip(".,:;()") for word in head.replace("network=", " ").split()}
        for word in words:
            if "_" in word and word not in RECIPES and word.islower() and "=" not in word:
                assert word in NETWORKS or word == "isbi2012_interior", (name, word)


def test_the_list_fits_a_narrow_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    printed = cli("recipes").out
    assert max(map(len, printed.splitlines())) <= COLUMNS
    for name in RECIPES:
        assert name in printed
        assert load_recipe(name).network in printed


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_exists_with_its_options(line: str) -> None:
    command: Any = typer.main.get_command(app)
    name, *words = shlex.split(line)
    assert name == "featherseg"
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    settings = [after for word, after in itertools.pairwise(words) if word == "--set"]
    if command.name in ("train", "distill") and words[0] != "auto":
        assert (load_recipe(words[0], settings).distill is None) == (command.name == "train")


def test_the_page_has_every_recipe_with_the_networks_of_its_tables() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, flags=re.MULTILINE))
    assert set(rows) == set(RECIPES)
    for name, row in rows.items():
        for word in re.findall(r"`(\w+)`", row):
            assert word in NETWORKS, (name, word)
    for recipe in ("laednet_bp", "alnet_stare", "lighter_unet", "simplified_unet"):
        listed = set(re.findall(r"`(\w+)`", rows[recipe]))
        used = {
            load_recipe(row.recipe, row.settings).network
            for table in TABLES.values()
            for part in table.parts
            for row in part.rows
            if row.recipe == recipe
        }
        between = {f"lighter_unet_{size}" for size in (2, 4, 8, 16, 32, 64)}
        assert used - between <= listed
        assert listed - {load_recipe(recipe).network} <= used

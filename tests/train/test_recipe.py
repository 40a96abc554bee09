"""Recipes: what is built in, what `--set` changes, and what is refused with which words."""

from pathlib import Path

import pytest

from featherseg.errors import RecipeError
from featherseg.networks import NETWORKS
from featherseg.train.recipe import (
    RECIPES,
    load_recipe,
    recipe_sha256,
    recipe_text,
    to_yaml,
)
from featherseg.train.sections import Augment, EarlyStop, Plateau
from tests.conftest import Cli


def test_lighter_unet_is_the_papers() -> None:
    recipe = load_recipe("lighter_unet")
    assert (recipe.input_size, recipe.batch_size, recipe.lr, recipe.loss) == (
        (256, 256),
        8,
        1e-4,
        "dice",
    )
    assert recipe.optimizer == "adam"
    assert recipe.schedule == Plateau(patience=5, factor=0.5)
    assert (recipe.epochs, recipe.early_stop) == (200, EarlyStop(patience=15, after_epoch=50))
    assert recipe.select == "validation_loss"
    assert recipe.augment == Augment(0.5, 0.5, 0.5, 0.2, 0.2, 45, 16)


@pytest.mark.parametrize(
    ("network", "weight_decay"),
    [
        ("unet_bilinear", 1e-4),
        ("light_unet", 1e-3),
        ("lighter_unet_128", 1e-4),
        ("lighter_unet_16", 1e-4),
        ("lighter_unet_1", 1e-2),
    ],
)
def test_weight_decay_is_that_of_the_network(network: str, weight_decay: float) -> None:
    assert load_recipe("lighter_unet", [f"network={network}"]).weight_decay == weight_decay


def test_every_network_of_the_paper_has_a_weight_decay() -> None:
    for network in NETWORKS:
        if "light" in network or network == "unet_bilinear":
            assert load_recipe("lighter_unet", [f"network={network}"]).network == network


def test_simplified_unet_is_the_papers() -> None:
    recipe = load_recipe("simplified_unet")
    assert (recipe.network, recipe.input_size, recipe.epochs, recipe.batch_size) == (
        "simplified_unet",
        (512, 512),
        20,
        8,
    )
    assert (recipe.lr, recipe.weight_decay, recipe.loss) == (1e-3, 5e-4, "weight_balance")
    assert recipe.schedule == Plateau(patience=3, factor=0.1)
    assert recipe.early_stop is None


@pytest.mark.parametrize("name", RECIPES)
def test_yaml_goes_round(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name, ["input_size=[64, 96]", "network_options.width=4"])
    file = tmp_path / "mine.yaml"
    file.write_text(to_yaml(recipe))
    again = load_recipe(file)
    assert again == recipe
    assert recipe_sha256(again) == recipe_sha256(recipe)
    assert recipe_sha256(load_recipe(name)) != recipe_sha256(recipe)


@pytest.mark.parametrize("name", RECIPES)
def test_the_first_keys_stand_in_their_order(name: str) -> None:
    keys = [line.split(":")[0] for line in recipe_text(name).splitlines() if line[:1].isalpha()]
    first = ["network", "input_size", "epochs", "batch_size", "lr", "weight_decay", "loss", "seed"]
    assert keys[: len(first)] == first


def test_settings_reach_sections_and_are_yaml() -> None:
    recipe = load_recipe(
        "lighter_unet",
        [
            "lr=3e-4",
            "augment.affine=0",
            "schedule=null",
            "early_stop.patience=3",
            "weight_decay=0",
            "network_options={dropout: 0.2}",
            "input_size=128",
        ],
    )
    assert (recipe.lr, recipe.weight_decay, recipe.input_size) == (3e-4, 0.0, (128, 128))
    assert recipe.augment.affine == 0.0
    assert recipe.augment.horizontal_flip == 0.5
    assert recipe.schedule is None
    assert recipe.early_stop == EarlyStop(patience=3, after_epoch=50)
    assert recipe.network_options == {"dropout": 0.2}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("epohcs=3", "unknown key 'epohcs'; did you mean epochs?"),
        ("augment.rotat_deg=3", "unknown key 'augment.rotat_deg'; did you mean rotate_deg"),
        ("schedule.patiense=3", "unknown key 'schedule.patiense'; did you mean patience?"),
        ("schedule={deca: 0.9}", "unknown key 'schedule.deca'; did you mean decay?"),
        ("schedule={warmup_epochs: -3}", "schedule.warmup_epochs: input should be greater"),
        ("schedule={warmup_epochs: 3, factor: 0.1}", "unknown key 'schedule.factor'"),
        ("lr=-1", "lr: input should be greater than 0, got -1"),
        ("lr=.nan", "lr: input should be a finite number"),
        ("epochs=0", "epochs: input should be greater than or equal to 1, got 0"),
        ("epochs=many", "epochs: input should be a valid integer"),
        ("input_size=[3, 4]", "input_size.0: input should be greater than or equal to 8"),
        ("in_channels=2", "in_channels: input should be 1 or 3, got 2"),
        ("network=simplified", "; did you mean simplified_unet"),
        ("loss=dise", "weight_balance; did you mean dice"),
        ("augment.affine=2", "augment.affine: input should be less than or equal to 1, got 2"),
        ("optimizer=lamb", "optimizer: input should be 'adam' or 'sgd', got 'lamb'"),
        ("epochs", "expected --set key=value, got 'epochs'"),
        ("epochs=[1", "--set epochs: '[1' is not a YAML value"),
    ],
)
def test_bad_settings_are_named(setting: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("simplified_unet", [setting])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weight_decay_mappings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no entry for simplified_unet; add --set weight_decay"):
        load_recipe("lighter_unet", ["network=simplified_unet"])
    with pytest.raises(RecipeError, match="unknown network 'light_une'"):
        load_recipe("lighter_unet", ["weight_decay={light_une: 1}"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not YAML"),
        ("- a", "expected 'key: value' lines"),
        ("network: simplified_unet", "the key 'input_size' is missing"),
        ("network: !!python/object/apply:os.system [ls]", "not YAML"),
    ],
)
def test_bad_files_are_named(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


def test_unknown_recipes_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"unknown recipe 'lighter_net'; .*; did you mean lighter_un"
    ):
        load_recipe("lighter_net")
    with pytest.raises(RecipeError, match="cannot read this recipe"):
        load_recipe(tmp_path / "none.yaml")


def test_the_verb_lists_and_prints(cli: Cli, tmp_path: Path) -> None:
    listed = cli("recipes")
    assert listed.code == 0
    for name in RECIPES:
        printed = cli("recipes", name)
        assert printed.out == recipe_text(name)
        file = tmp_path / f"{name}.yaml"
        file.write_text(printed.out)
        assert load_recipe(file) == load_recipe(name)
    assert cli("recipes", "lighter_une").err.startswith("featherseg: unknown recipe 'lighter_une'")

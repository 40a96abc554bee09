"""Recipes: every setting of a training, in one YAML file, checked once when it is read."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from featherseg.errors import RecipeError
from featherseg.losses import LOSSES
from featherseg.networks import check_network_name
from featherseg.networks.names import did_you_mean
from featherseg.storage import sha256_json

RECIPES = ("demo", "lighter_unet", "simplified_unet")

_CLOSED = ConfigDict(extra="forbid", allow_inf_nan=False)
_Count = Annotated[int, Field(ge=1)]
_Chance = Annotated[float, Field(ge=0, le=1)]
_NotNegative = Annotated[float, Field(ge=0)]
_Positive = Annotated[float, Field(gt=0)]
# The same limits as those of a pack.
_Side = Annotated[int, Field(ge=8, le=4096)]


def _both_sides(value: Any) -> Any:
    return (value, value) if isinstance(value, int | str) else value


@dataclass(frozen=True)
class Plateau:
    """Multiply the learning rate by `factor` after `patience` epochs without lower loss."""

    __pydantic_config__ = _CLOSED
    patience: _Count
    factor: Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True)
class Cosine:
    """From the learning rate to 0 along half a cosine, after `warmup_epochs` of a linear rise.

    Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
    """

    __pydantic_config__ = _CLOSED
    warmup_epochs: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class EarlyStop:
    """Stop after `patience` epochs without lower loss, but not before `after_epoch` epochs."""

    __pydantic_config__ = _CLOSED
    patience: _Count
    after_epoch: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class Augment:
    """Random changes of each training image; the defaults change nothing.

    ``horizontal_flip``, ``vertical_flip`` and ``affine`` are probabilities. One affine map
    draws each value evenly between minus and plus the given one: ``scale`` (share, rows and
    columns apart), ``translate`` (share of the side), ``rotate_deg``, ``shear_deg``.
    ``brightness`` is added (share of the full range), ``contrast`` a share of the distance
    from the image's mean, ``gamma`` the natural logarithm of a power.
    """

    __pydantic_config__ = _CLOSED
    horizontal_flip: _Chance = 0.0
    vertical_flip: _Chance = 0.0
    affine: _Chance = 0.0
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    translate: _Chance = 0.0
    rotate_deg: Annotated[float, Field(ge=0, le=180)] = 0.0
    shear_deg: Annotated[float, Field(ge=0, lt=90)] = 0.0
    brightness: _Chance = 0.0
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0
    gamma: _NotNegative = 0.0


@dataclass(frozen=True)
class Recipe:
    """A training's settings.

    ``input_size`` is (height, width) in pixels. ``weight_decay`` is Adam's L2 term, as in the
    papers. ``select`` names what decides which epoch's weights are kept.
    """

    __pydantic_config__ = _CLOSED
    network: str
    input_size: Annotated[tuple[_Side, _Side], BeforeValidator(_both_sides)]
    epochs: _Count
    batch_size: _Count
    lr: _Positive
    weight_decay: _NotNegative
    loss: str
    seed: Annotated[int, Field(ge=0)] = 0
    optimizer: Literal["adam"] = "adam"
    schedule: Plateau | Cosine | None = None
    early_stop: EarlyStop | None = None
    select: Literal["validation_loss", "validation_dice"] = "validation_loss"
    in_channels: Literal[1, 3] = 3
    network_options: dict[str, Any] = field(default_factory=dict)
    augment: Augment = Augment()
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"


_RECIPE = TypeAdapter(Recipe)
_NESTED = {"schedule": Plateau, "early_stop": EarlyStop, "augment": Augment}


def load_recipe(name_or_path: str | Path, settings: Sequence[str] = ()) -> Recipe:
    """Read a built-in recipe by name or a YAML file, changed by `settings` ("key=value").

    Values are YAML; a dotted key reaches into a section (``augment.affine=0``). Where
    ``weight_decay`` is a mapping, the entry of the recipe's network is taken. Raises
    RecipeError for anything it does not know (with the nearest name) or cannot take.
    """
    source = str(name_or_path)
    values = _parse(recipe_text(source), source)
    for setting in settings:
        _apply(values, setting)
    return read_recipe(values, source)


def recipe_text(name_or_path: str) -> str:
    """The YAML text of a built-in recipe or of a file."""
    if name_or_path in RECIPES:
        return resources.files("featherseg").joinpath(f"recipes/{name_or_path}.yaml").read_text()
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml") and not path.is_file():
        raise RecipeError(
            f"unknown recipe '{name_or_path}'; expected one of {', '.join(RECIPES)} "
            f"or a YAML file{did_you_mean(name_or_path, RECIPES)}"
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot read this recipe ({error})") from error


def read_recipe(values: Mapping[str, Any], source: str) -> Recipe:
    """Check plain values and make the recipe; `source` stands in the errors."""
    known = dict(values)
    try:
        if isinstance(known.get("weight_decay"), Mapping):
            known["weight_decay"] = _of_network(known["weight_decay"], known.get("network"))
        recipe = _RECIPE.validate_python(known)
        check_network_name(recipe.network)
        if recipe.loss not in LOSSES:
            raise RecipeError(
                f"unknown loss '{recipe.loss}'; expected one of {', '.join(LOSSES)}"
                f"{did_you_mean(recipe.loss, LOSSES)}"
            )
    except ValidationError as error:
        raise RecipeError(f"recipe {source}: {_explain(error)}") from error
    except RecipeError as error:
        raise RecipeError(f"recipe {source}: {error}") from error
    return recipe


def to_yaml(recipe: Recipe) -> str:
    """The recipe as YAML, every key written out; `load_recipe` reads it back equal."""
    text: str = yaml.safe_dump(as_values(recipe), sort_keys=False, default_flow_style=None)
    return text


def as_values(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON values."""
    values = dataclasses.asdict(recipe)
    values["input_size"] = list(recipe.input_size)
    return values


def recipe_sha256(recipe: Recipe) -> str:
    """The SHA-256 that names a recipe's settings."""
    return sha256_json(as_values(recipe))


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        line = str(error).replace("\n", " ")
        raise RecipeError(f"recipe {source}: not YAML ({line})") from error
    if not isinstance(values, dict):
        raise RecipeError(f"recipe {source}: expected 'key: value' lines, as `featherseg recipes`")
    return values


def _apply(values: dict[str, Any], setting: str) -> None:
    """Set one "key=value", creating sections on the way; the keys are checked later."""
    key, separator, text = setting.partition("=")
    if not separator or not key:
        raise RecipeError(f"expected --set key=value, got '{setting}'")
    *sections, last = key.split(".")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {key}: '{text}' is not a YAML value") from error
    for section in sections:
        if not isinstance(values.get(section), dict):
            values[section] = {}
        values = values[section]
    values[last] = value


def _of_network(by_network: Mapping[str, Any], network: Any) -> Any:
    check_network_name(network)
    for name in by_network:
        check_network_name(name)
    if network not in by_network:
        raise RecipeError(
            f"weight_decay has no entry for {network}; add --set weight_decay=1e-4, for example"
        )
    return by_network[network]


def _explain(error: ValidationError) -> str:
    """One sentence for the first thing that is wrong."""
    first = error.errors(include_url=False)[0]
    # A union's members stand in the location under their own names.
    names = [str(part) for part in first["loc"] if str(part) not in _CLASS_NAMES]
    where = ".".join(names)
    if first["type"] == "unexpected_keyword_argument":
        section = _NESTED.get(names[0], Recipe) if len(names) > 1 else Recipe
        known = [entry.name for entry in dataclasses.fields(section)]
        return f"unknown key '{where}'{did_you_mean(names[-1], known)}"
    if first["type"] in ("missing", "missing_argument"):
        return f"the key '{where}' is missing"
    return f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r}"


_CLASS_NAMES = {section.__name__ for section in (*_NESTED.values(), Cosine)}

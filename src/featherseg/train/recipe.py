"""Recipes: every setting of a training, in one YAML file, checked once when it is read."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from featherseg.errors import RecipeError
from featherseg.losses import LOSSES
from featherseg.networks import check_network_name
from featherseg.networks.names import did_you_mean
from featherseg.storage import sha256_json
from featherseg.train.sections import (
    CLOSED,
    SECTIONS,
    Augment,
    CheckedDistill,
    Cosine,
    Count,
    EarlyStop,
    Exponential,
    NotNegative,
    Plateau,
    Positive,
    Teacher,
)

RECIPES = (
    *("demo", "fetal_head", "breast_lesion"),
    *("laednet_bp", "laednet_busi", "laednet_hc18"),
    *("alnet_stare", "alnet_isbi2012", "alnet_isic2018"),
    *("lighter_unet", "lighter_default"),
    *("lightbtseg_teacher", "lightbtseg_student", "lightbtseg_single", "simplified_unet"),
    *("feathernet_s", "feathernet_m"),
)

_UNKNOWN = "unexpected_keyword_argument"
# The same limits as those of a pack.
_Side = Annotated[int, Field(ge=8, le=4096)]


def _both_sides(value: Any) -> Any:
    return (value, value) if isinstance(value, int | str) else value


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


@dataclass(frozen=True)
class Recipe:
    """A training's settings.

    ``input_size`` is (height, width) in pixels. ``weight_decay`` is Adam's L2 term, as in the
    papers. ``select`` names what decides which epoch's weights are kept. ``sampling`` is "all"
    or LAEDNet's periodic under-sampling: all images with a label and a fresh random half of the
    others every epoch. ``classes`` limits training and validation to images of these classes,
    () to none. ``label_smoothing`` is the share of the target that is even over the labels.
    ``presence_weight`` is that of the presence head's loss beside the others, for networks that
    have one. ``initial_weights`` is the folder of a finished run of the same network whose best
    weights the training begins with. ``clip_norm`` bounds the gradient's norm, ``ema`` is the
    decay of a moving average of the weights, which then is what is validated and kept.
    ``compile`` hands the step's forward and backward pass to `torch.compile`.
    """

    __pydantic_config__ = CLOSED
    network: str
    input_size: Annotated[tuple[_Side, _Side], BeforeValidator(_both_sides)]
    epochs: Count
    batch_size: Count
    lr: Positive
    weight_decay: NotNegative
    loss: str
    seed: Annotated[int, Field(ge=0)] = 0
    optimizer: Literal["adam", "sgd"] = "adam"
    schedule: Plateau | Cosine | Exponential | None = None
    early_stop: EarlyStop | None = None
    select: Literal["validation_loss", "validation_dice", "last_epoch"] = "validation_loss"
    in_channels: Literal[1, 3] = 3
    network_options: dict[str, Any] = field(default_factory=dict)
    initial_weights: str | None = None
    augment: Augment = field(default_factory=Augment)
    sampling: Literal["all", "periodic_under_sampling"] = "all"
    classes: Annotated[tuple[str, ...], BeforeValidator(_several)] = ()
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    presence_weight: NotNegative = 0.0
    clip_norm: Positive | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    distill: CheckedDistill | None = None
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    compile: bool = False


_RECIPE = TypeAdapter(Recipe)
# Keys that recipes did not have at first, and the values that change nothing.
_LATER = {"presence_weight": 0.0, "compile": False, "initial_weights": None}


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


def with_settings(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """The recipe changed by `settings`, as `load_recipe` changes one; RecipeError likewise."""
    values = as_values(recipe)
    for setting in settings:
        _apply(values, setting)
    return read_recipe(values, f"{recipe.network} with --set")


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
    """The SHA-256 that names a recipe's settings.

    Keys that came later count only where they change something, so that the runs of before keep
    their names and can be resumed.
    """
    values = as_values(recipe)
    for name, neutral in _LATER.items():
        if values[name] == neutral:
            del values[name]
    return sha256_json(values)


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
    """One sentence: the first unknown key, or else the first thing that is wrong."""
    problems = _nearest(error.errors(include_url=False))
    # An unknown key is often the one that is missing, misspelled.
    first = next((one for one in problems if one["type"] == _UNKNOWN), problems[0])
    names = [str(part) for part in first["loc"] if part not in _CLASS_NAMES]
    where = ".".join(names)
    if first["type"] == _UNKNOWN:
        known = [key for key in _keys(names) if key != names[-1]]
        return f"unknown key '{where}'{did_you_mean(names[-1], known)}"
    if first["type"] in ("missing", "missing_argument"):
        return f"the key '{where}' is missing"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]}, got {first['input']!r}"


def _nearest(problems: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Of all kinds that a section may be of, the problems of the one that has the fewest."""
    by_kind: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
    for problem in problems:
        # A union's members stand in the location under their own names.
        kind = tuple(part for part in problem["loc"] if part in _CLASS_NAMES)
        by_kind.setdefault(kind, []).append(problem)
    return min(by_kind.values(), key=len)


def _keys(names: Sequence[str]) -> list[str]:
    """What the last of `names` could be, in any of the sections that may stand there."""
    sections: tuple[type, ...] = (Recipe,)
    if len(names) > 1:
        sections = (Teacher,) if "teachers" in names else SECTIONS[names[0]]
    return [entry.name for section in sections for entry in dataclasses.fields(section)]


_CLASS_NAMES = {section.__name__ for several in SECTIONS.values() for section in several}

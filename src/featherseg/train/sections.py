"""The parts of a recipe that are sections of their own in its YAML."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

CLOSED = ConfigDict(extra="forbid", allow_inf_nan=False)
Count = Annotated[int, Field(ge=1)]
Chance = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
# What becomes a folder's name.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]


@dataclass(frozen=True)
class Plateau:
    """Multiply the learning rate by `factor` after `patience` epochs without lower loss."""

    __pydantic_config__ = CLOSED
    patience: Count
    factor: Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True)
class Cosine:
    """From the learning rate to 0 along half a cosine, after `warmup_epochs` of a linear rise.

    Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
    """

    __pydantic_config__ = CLOSED
    warmup_epochs: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Exponential:
    """Multiply the learning rate by `decay` after every epoch (AL-Net, section 4.2)."""

    __pydantic_config__ = CLOSED
    decay: Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True)
class EarlyStop:
    """Stop after `patience` epochs without lower loss, but not before `after_epoch` epochs."""

    __pydantic_config__ = CLOSED
    patience: Count
    after_epoch: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class Augment:
    """Random changes of each training image; the defaults change nothing.

    ``horizontal_flip``, ``vertical_flip`` and ``affine`` are probabilities. One affine map
    draws each value evenly between minus and plus the given one: ``scale`` (share, rows and
    columns apart), ``translate`` (share of the side), ``rotate_deg``, ``shear_deg``.
    ``brightness`` is added (share of the full range), ``contrast`` a share of the distance
    from the image's mean, ``gamma`` the natural logarithm of a power. With ``symmetries`` 8
    every image appears eight times an epoch, once in each flip and turn of the square.
    """

    __pydantic_config__ = CLOSED
    horizontal_flip: Chance = 0.0
    vertical_flip: Chance = 0.0
    affine: Chance = 0.0
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    translate: Chance = 0.0
    rotate_deg: Annotated[float, Field(ge=0, le=180)] = 0.0
    shear_deg: Annotated[float, Field(ge=0, lt=90)] = 0.0
    brightness: Chance = 0.0
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0
    gamma: NotNegative = 0.0
    symmetries: Literal[1, 8] = 1


def _one_source(teacher: Any) -> Any:
    if bool(teacher.runs) == bool(teacher.recipe):
        raise ValueError("expected either 'runs' (finished run folders) or a 'recipe' to train")
    return teacher


@dataclass(frozen=True)
class Teacher:
    """A network that a student learns from.

    Either ``runs`` names finished run folders, whose probabilities are averaged, or ``recipe``
    says how the teacher is trained first, changed by ``settings`` ("key=value"). ``name`` is
    that of its folder.
    """

    __pydantic_config__ = CLOSED
    name: Name
    runs: tuple[str, ...] = ()
    recipe: str = ""
    settings: tuple[str, ...] = ()


def _one_weight_each(distill: Any) -> Any:
    if len(distill.weights) != len(distill.teachers):
        raise ValueError(
            f"expected one weight for each of {len(distill.teachers)} teacher(s), "
            f"got {len(distill.weights)}"
        )
    names = [teacher.name for teacher in distill.teachers]
    if len(set(names)) != len(names):
        raise ValueError("expected teachers of different names")
    return distill


@dataclass(frozen=True)
class Distill:
    """Learning from teachers beside the masks (LightBTSeg, section III-C).

    The loss is ``hard`` times the recipe's loss plus one of ``weights`` times each teacher's.
    ``transfer`` says what is learned: "predictions" by Kullback-Leibler divergence, spatial
    "channel_wise" distributions, or "attention" maps of the last features. With ``view``
    "augmented" the teachers see what the student sees; with "original" they predict each plain
    image once, and that prediction is warped with the mask. ``finetune`` trains the teachers on,
    on the masks alone.
    """

    __pydantic_config__ = CLOSED
    teachers: Annotated[
        tuple[Annotated[Teacher, AfterValidator(_one_source)], ...], Field(min_length=1)
    ]
    weights: tuple[Positive, ...]
    hard: NotNegative = 0.3
    temperature: Positive = 1.0
    finetune: bool = False
    transfer: Literal["predictions", "channel_wise", "attention"] = "predictions"
    view: Literal["augmented", "original"] = "augmented"


CheckedDistill = Annotated[Distill, AfterValidator(_one_weight_each)]
# What a section may be, by its key.
SECTIONS: dict[str, tuple[type, ...]] = {
    "schedule": (Plateau, Cosine, Exponential),
    "early_stop": (EarlyStop,),
    "augment": (Augment,),
    "distill": (Distill,),
}

"""What a bundle says about itself: the files it may hold, and the schema of manifest.json."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from featherseg.types import FROM_SCRATCH

SCHEMA = 1
MANIFEST_FILE = "manifest.json"
ONNX_FILE = "model.onnx"
IR_FILE = "model.xml"
IR_WEIGHTS_FILE = "model.bin"
CHECK_FILE = "check.npz"
CARD_FILE = "README.md"
IR_FILES = frozenset({IR_FILE, IR_WEIGHTS_FILE})
FILES = IR_FILES | {ONNX_FILE, CHECK_FILE, CARD_FILE}
# An int8 network is for OpenVINO alone.
INT8_FILES = FILES - {ONNX_FILE}

Weights = Literal["float32", "float16", "int8"]
# "auto" is bf16 on a processor with AMX and f32 elsewhere; "int8" is in the files themselves.
FloatPrecision = Literal["auto", "f32", "bf16"]
StoredPrecision = FloatPrecision | Literal["int8"]

_CLOSED = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Share = Annotated[float, Field(ge=0.0, le=1.0)]
_Count = Annotated[int, Field(ge=0)]
# 16 megapixels: the size of an input, not of an image.
_Side = Annotated[int, Field(ge=8, le=4096)]


class NetworkEntry(BaseModel):
    """Which network this is: its name in `NETWORKS` and the options it was built with."""

    model_config = _CLOSED
    name: str
    options: dict[str, JsonValue]


class PreprocessingEntry(BaseModel):
    """What the network expects, as `preprocess.Preprocessing`; images are stretched to it."""

    model_config = _CLOSED
    input_size: tuple[_Side, _Side]
    channels: Literal[1, 3]
    mean: float
    std: Annotated[float, Field(gt=0.0)]
    padding: Literal["stretch"] = "stretch"


class OperatingPointEntry(BaseModel):
    """How probabilities become a mask, as `postprocess.OperatingPoint`.

    ``presence_threshold`` is the probability of a lesion below which the mask is empty, None
    where the network does not tell it.
    """

    model_config = _CLOSED
    threshold: _Share
    smallest_area: _Share
    components: Literal["all", "largest"]
    presence_threshold: _Share | None = None


class SourcesEntry(BaseModel):
    """What the network was made from, by SHA-256, and how the data was laid out and split.

    ``fold`` is None where the split has no folds.
    """

    model_config = _CLOSED
    images_sha256: str
    split_sha256: str
    recipe_sha256: str
    checkpoint_sha256: _Sha256
    layout: str
    protocol: str
    fold: int | None = None


class TrainingEntry(BaseModel):
    """How the training went; `validation` scores stand for `validation_images` images.

    ``initial_weights`` says what it began with: ImageNet, the name of a file, or nothing.
    """

    model_config = _CLOSED
    initial_weights: str = FROM_SCRATCH
    epochs: int
    best_epoch: int
    validation: dict[str, float]
    validation_images: int


class AgreementEntry(BaseModel):
    """How far a runtime was from torch on real validation images when the bundle was made.

    ``largest_difference`` is that of the logits over max(1, largest logit), ``differing_pixels``
    the share of mask pixels, ``dice_change`` the mean Dice minus that of torch.
    """

    model_config = _CLOSED
    runtime: str
    precision: str
    images: int
    largest_difference: float
    differing_pixels: float
    dice_change: float


class ScoreEntry(BaseModel):
    """A mean over `n` images with its 95 % interval, None where there are too few.

    ``over`` says which images those are; ``unit`` is '' for a share, else px or mm.
    """

    model_config = _CLOSED
    mean: float
    low: float | None
    high: float | None
    n: int
    over: str
    unit: str = ""


class CrossValidationEntry(BaseModel):
    """Scores of images by networks that had not seen them, one network a fold.

    They stand for the recipe that made this bundle's network, which was trained on all images.
    ``scores`` are averages by the names that a summary gives them, such as "dice_lesion".
    """

    model_config = _CLOSED
    folds: Annotated[int, Field(ge=2)]
    images: int
    protocol: str
    split_sha256: str
    scores: dict[str, ScoreEntry]


class DataEntry(BaseModel):
    """Under which terms the training images come, and what to cite for them."""

    model_config = _CLOSED
    license: str
    citation: str


class DifferenceEntry(BaseModel):
    """A mean difference with its 95 % interval, None for fewer than two groups."""

    model_config = _CLOSED
    mean: float
    low: float | None
    high: float | None


class GateEntry(BaseModel):
    """How the int8 network did beside the same network in f32, on images it was not fitted to.

    Dice is the mean over the `lesions` images with something to find, each at its own size;
    ``difference`` is int8 minus f32, paired. ``newly_missed`` counts images of which only the
    int8 network misses the lesion, false alarms are of images without one. ``over`` says which
    images those are, ``method`` how the network was quantized, ``kept_layers`` which of its
    `layers` layers stayed in floating point, by their names in model.xml.
    """

    model_config = _CLOSED
    over: str
    images: _Count
    lesions: _Count
    dice_float: _Share
    dice_int8: _Share
    difference: DifferenceEntry
    missed_float: _Count
    missed_int8: _Count
    newly_missed: _Count
    false_alarms_float: _Count
    false_alarms_int8: _Count
    method: str
    calibration_images: _Count
    layers: _Count
    kept_layers: tuple[str, ...]
    passed: bool


class Manifest(BaseModel):
    """Everything a bundle says about itself; the schema of manifest.json.

    ``statistics`` are quantiles of the training images, as `likeness.reference_statistics`;
    ``weights`` is how the files store the network's weights, ``precision`` what OpenVINO computes
    in; ``gate`` is that of an int8 network, None for any other. ``members`` counts the networks
    whose probabilities are averaged; ``cross_validation`` and ``data`` are None where nothing is
    known.
    """

    model_config = _CLOSED
    schema_version: Literal[1] = Field(alias="schema")
    featherseg: str
    network: NetworkEntry
    parameters: int
    preprocessing: PreprocessingEntry
    labels: Annotated[tuple[str, ...], Field(min_length=1, max_length=255)]
    operating_point: OperatingPointEntry
    operating_point_chosen_on: str
    statistics: dict[str, dict[str, float]]
    sources: SourcesEntry
    training: TrainingEntry
    checks: tuple[AgreementEntry, ...]
    weights: Weights = "float32"
    precision: StoredPrecision = "auto"
    gate: GateEntry | None = None
    members: Annotated[int, Field(ge=1)] = 1
    cross_validation: CrossValidationEntry | None = None
    data: DataEntry | None = None
    files: dict[str, _Sha256]

    @field_validator("files")
    @classmethod
    def _closed_set(cls, files: dict[str, str]) -> dict[str, str]:
        if set(files) not in (FILES, FILES - IR_FILES, INT8_FILES):
            raise ValueError(
                f"must name exactly {', '.join(sorted(FILES))}; {' and '.join(sorted(IR_FILES))} "
                f"may both be absent, and {ONNX_FILE} of an int8 network"
            )
        return files

    @model_validator(mode="after")
    def _gated(self) -> Self:
        """An int8 network has passed its gate, has its own set of files, and says so."""
        says = {
            self.precision == "int8",
            self.weights == "int8",
            ONNX_FILE not in self.files,
            self.gate is not None and self.gate.passed,
        }
        if len(says) > 1:
            raise ValueError(
                "an int8 network has precision and weights int8, a gate that it passed and no "
                f"{ONNX_FILE}; any other has none of these"
            )
        return self

"""A training run to a bundle: fuse, write the model files, compare the runtimes, describe.

Nothing stands at the bundle's place until everything agreed: it is built in a temporary folder
beside it and renamed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import nn

from featherseg.bundle import (
    CHECK_FILE,
    IR_FILE,
    ONNX_FILE,
    Bundle,
    CheckData,
    FloatPrecision,
    Weights,
    load_bundle,
)
from featherseg.compress.fuse import fuse
from featherseg.export.contents import (
    Kept,
    describe,
    require_agreement,
    simulated_check,
    torch_logits,
    write_check,
)
from featherseg.export.ensemble import joined
from featherseg.export.half import halve_weights
from featherseg.export.models import write_ir, write_onnx
from featherseg.export.place import built_beside, check_place
from featherseg.export.trained import Trained, read_trained
from featherseg.postprocess import OperatingPoint
from featherseg.preprocess import Preprocessing, normalize
from featherseg.runtime import Session
from featherseg.runtime.cpu import default_precision
from featherseg.runtime.onnxruntime import open_onnxruntime
from featherseg.runtime.openvino import open_openvino
from featherseg.verify import compare


def export_bundle(
    run: str | Path,
    out: str | Path,
    overwrite: bool = False,
    weights: Weights = "float32",
    *,
    kept: Kept = "validation",
    precision: FloatPrecision = "auto",
) -> Bundle:
    """Write the best weights of run folder `run` as the bundle `out`.

    Raises RunError for a run that is unfinished or damaged, and what `export_trained` raises.
    """
    check_place(Path(out), overwrite)
    return export_trained(
        read_trained(Path(run)), Path(out), overwrite, weights, kept=kept, precision=precision
    )


def export_ensemble(
    runs: Sequence[str | Path],
    out: str | Path,
    overwrite: bool = False,
    weights: Weights = "float32",
    *,
    kept: Kept = "validation",
    precision: FloatPrecision = "auto",
) -> Bundle:
    """Write several runs of one network as the bundle `out`, which averages their probabilities.

    Raises RunError for runs that do not fit each other (see `ensemble.joined`), and what
    `export_bundle` raises.
    """
    check_place(Path(out), overwrite)
    members = {str(run): read_trained(Path(run)) for run in runs}
    return export_trained(
        joined(members), Path(out), overwrite, weights, kept=kept, precision=precision
    )


def export_trained(
    trained: Trained,
    out: Path,
    overwrite: bool = False,
    weights: Weights = "float32",
    *,
    kept: Kept = "validation",
    precision: FloatPrecision = "auto",
) -> Bundle:
    """Write a trained network as the bundle `out`.

    The runtimes are compared on validation images; with `kept` "simulated" the images that the
    bundle keeps for `verify` are simulated ones instead, for data that must not be given away.
    `precision` is what OpenVINO will compute in: "auto" is bf16 on a processor with AMX, f32
    elsewhere; int8 is made by `export.int8`.
    With `weights` "float16" the bundle is small: it stores rounded weights in one model file, the
    ONNX file that OpenVINO can read too. Raises StorageError when `out` holds anything (with
    `overwrite`: anything but a bundle), and BundleError, leaving `out` as it was, when a weight
    does not fit float16 or a runtime does not agree with torch.
    """
    check_place(out, overwrite)
    with built_beside(out) as folder:
        preprocessing = Preprocessing(**trained.facts["preprocessing"])
        _write_models(trained.network, preprocessing, folder, weights)
        batch = normalize(trained.images, preprocessing)
        check = CheckData(trained.images, trained.masks, torch_logits(trained.network, batch))
        point = OperatingPoint(**trained.facts["operating_point"])
        agreements = [
            compare(session, batch, check, point)
            for session in _sessions(folder, preprocessing, precision)
        ]
        require_agreement(agreements, weights)
        if kept == "simulated":
            check = simulated_check(preprocessing, lambda each: torch_logits(trained.network, each))
        write_check(folder / CHECK_FILE, check, weights)
        describe(folder, trained, agreements, {"weights": weights, "precision": precision})
    return load_bundle(out)


def _write_models(
    network: nn.Module, preprocessing: Preprocessing, folder: Path, weights: Weights
) -> None:
    write_onnx(fuse(network), preprocessing, folder / ONNX_FILE)
    if weights == "float16":
        halve_weights(folder / ONNX_FILE)
    else:
        write_ir(folder / ONNX_FILE, folder / IR_FILE)


def _sessions(
    folder: Path, preprocessing: Preprocessing, precision: FloatPrecision
) -> Iterator[Session]:
    shape = (preprocessing.channels, *preprocessing.input_size)
    yield open_onnxruntime(folder / ONNX_FILE)
    model = folder / (IR_FILE if (folder / IR_FILE).exists() else ONNX_FILE)
    for each in dict.fromkeys(("f32", default_precision(), precision)):
        if each != "auto":
            yield open_openvino(model, shape, each)


__all__ = [
    "Trained",
    "check_place",
    "export_bundle",
    "export_ensemble",
    "export_trained",
    "read_trained",
    "require_agreement",
    "torch_logits",
]

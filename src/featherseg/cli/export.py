"""`featherseg export`: a training run becomes a bundle that needs no PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from featherseg.bundle import Bundle, GateEntry

_CALIBRATION_IMAGES = 128


class Weights(StrEnum):
    """How a bundle's files store the network's weights."""

    fp32 = "fp32"
    fp16 = "fp16"


class Precision(StrEnum):
    """What OpenVINO will compute in."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    int8 = "int8"


@dataclass(frozen=True)
class _Asked:
    """What the command line asked for."""

    runs: Sequence[Path]
    out: Path
    precision: Precision
    weights: Weights
    data: Path | None
    layout: str | None
    calibration: int
    kept: Literal["validation", "simulated"]
    overwrite: bool


def export(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Run folder of `featherseg train`; several: ensemble."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle.")],
    precision: Annotated[
        Precision, typer.Option(help="What OpenVINO will compute in.")
    ] = Precision.auto,
    data: Annotated[
        Path | None, typer.Option(help="For int8: the run's data set, its folder or a pack file.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="How that folder is arranged; the run's split knows it.")
    ] = None,
    calibration: Annotated[
        int, typer.Option(help="Training images that int8 is calibrated on.", min=1)
    ] = _CALIBRATION_IMAGES,
    report: Annotated[
        Path | None, typer.Option(help="Write the figures of the gate to this JSON file, too.")
    ] = None,
    weights: Annotated[
        Weights, typer.Option(help="fp16 makes a bundle a quarter as large.")
    ] = Weights.fp32,
    simulated_check: Annotated[
        bool, typer.Option("--simulated-check", help="Keep no image of the data set.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a bundle that stands there.")
    ] = False,
) -> None:
    """Turn a run into a bundle, checked against PyTorch.

    ONNX Runtime and OpenVINO must find the same masks on the run's validation
    images; otherwise nothing is written. An old bundle is replaced only when
    the new one is complete.

    --precision int8 makes a small, fast network for OpenVINO, if it passes the
    gate: on the run's validation images its mean Dice may be lower by 0.005 at
    most, and no lesion may be missed that was found before. Otherwise nothing is
    written. It takes the run's data to calibrate on. auto is int8 where --data
    is given, the processor has instructions for it and the gate lets it pass;
    otherwise bf16 on processors with AMX, and fp32 on others.

    Several runs of one network, such as the folds of a cross-validation, become
    one bundle that averages their probabilities, at the median of their
    thresholds; it takes that many times as long.

    With --weights fp16 the bundle has one model file for both runtimes, with
    weights rounded to float16; its masks are compared with those of the
    unrounded network.

    A bundle keeps a few validation images, so that `verify` can compare
    runtimes wherever it is. With --simulated-check it keeps simulated images
    instead, for data that must not be given away.

    Examples:

      featherseg export runs/first --out bundle

      featherseg export runs/first --out fast --precision int8 --data BUSI --report gate.json

      featherseg export runs/first --out small --weights fp16

      featherseg export out/fold_*/run --out ensemble
    """
    from featherseg.extras import require

    require("train", "export")
    from featherseg.cli.verify import described

    asked = _Asked(
        runs=runs,
        out=out,
        precision=precision,
        weights=weights,
        data=data,
        layout=layout,
        calibration=calibration,
        kept="simulated" if simulated_check else "validation",
        overwrite=overwrite,
    )
    _check(asked, report)
    obstacle = _obstacle(asked)
    bundle = None if obstacle else _in_int8(asked, report)
    if bundle is None:
        bundle = _in_floats(asked)
        _say_precision(asked, obstacle)
    for check in bundle.manifest.checks:
        typer.echo(described(check))
    typer.echo(f"bundle {bundle.id} ({bundle.size_mb:.1f} MB) is in {out}")


def _check(asked: _Asked, report: Path | None) -> None:
    """Refuse what does not go together, before anything is computed."""
    from featherseg.errors import FeatherSegError, StorageError

    if asked.precision is Precision.int8:
        if asked.data is None:
            raise FeatherSegError(
                "--precision int8 is calibrated on training images and judged on validation "
                "images of the run: name their folder or pack with --data, or use another precision"
            )
        if len(asked.runs) > 1:
            raise FeatherSegError(
                f"--precision int8 is for one run, got {len(asked.runs)}: an image that judges one "
                "network of an ensemble may have trained another; export each, or use fp32"
            )
        if asked.weights is Weights.fp16:
            raise FeatherSegError("--weights fp16 is not for int8, whose weights have 8 bits")
    elif asked.data is not None and asked.precision is not Precision.auto:
        raise FeatherSegError(
            f"--data is for --precision int8 or auto, and {asked.precision.value} needs none; "
            "leave it out"
        )
    if report is not None and asked.data is None:
        raise FeatherSegError("--report is that of the gate of int8, which needs --data")
    if report is not None and report.exists() and not asked.overwrite:
        raise StorageError(f"--report {report} exists; choose another file, or add --overwrite")


def _obstacle(asked: _Asked) -> str | None:
    """Why int8 is not tried; None where it is."""
    from featherseg.runtime.cpu import capabilities

    if asked.precision is Precision.int8:
        return None
    if asked.precision is not Precision.auto:
        return f"{asked.precision.value} was asked for"
    if asked.data is None:
        return "int8 would need --data"
    if len(asked.runs) > 1:
        return "int8 is for one run"
    if asked.weights is Weights.fp16:
        return "--weights fp16 was asked for"
    able = capabilities()
    if not (able.vnni or able.amx_int8):
        return "this processor has no int8 instructions (VNNI or AMX)"
    return None


def _in_int8(asked: _Asked, report: Path | None) -> "Bundle | None":
    """The bundle in int8; None where its gate is shut and the precision was left to us."""
    from featherseg.bundle import GateEntry
    from featherseg.cli.console import remarks, tracked
    from featherseg.compress.gate import described
    from featherseg.errors import GateError
    from featherseg.export import check_place
    from featherseg.export.images import quantizing_images
    from featherseg.export.int8 import Watch, export_int8
    from featherseg.export.trained import trained_of
    from featherseg.train.run import load_run

    assert asked.data is not None
    check_place(asked.out, asked.overwrite)
    run = load_run(asked.runs[0])
    trained = trained_of(run)
    images = quantizing_images(run, asked.data, asked.layout, asked.calibration)
    gates: list[GateEntry] = []

    def tell(gate: GateEntry) -> None:
        gates.append(gate)
        verdict = "passed" if gate.passed else "shut"
        remarks().print(f"gate {verdict}: {described(gate)}", markup=False, soft_wrap=True)
        if report is not None:
            _write_report(report, asked.runs[0], gates)

    watch = Watch(lambda items, what, count: tracked(items, what, count), tell)
    try:
        return export_int8(
            trained, images, asked.out, asked.overwrite, kept=asked.kept, watch=watch
        )
    except GateError:
        if asked.precision is Precision.int8:
            raise
    return None


def _write_report(report: Path, run: Path, gates: "Sequence[GateEntry]") -> None:
    """Every way that was tried, in its order; only the last may have passed."""
    from featherseg.storage import write_json

    tried = [each.model_dump() for each in gates]
    write_json(report, {"run": run.name, "passed": gates[-1].passed, "tried": tried})


def _say_precision(asked: _Asked, obstacle: str | None) -> None:
    """Which floating-point precision the bundle will have, and why not int8."""
    from featherseg.cli.console import remarks
    from featherseg.runtime.cpu import default_precision

    if asked.precision is Precision.auto:
        here = default_precision()
        text = (
            f"precision: bf16 on processors with AMX, f32 on others (here: {here}); "
            f"{obstacle or 'int8 did not pass its gate'}"
        )
    elif asked.precision is Precision.bf16 and default_precision() != "bf16":
        text = "precision: bf16, which is slower than f32 on processors without AMX, as this one"
    else:
        return
    remarks().print(text, markup=False, soft_wrap=True)


def _in_floats(asked: _Asked) -> "Bundle":
    from featherseg.bundle import FloatPrecision
    from featherseg.bundle import Weights as StoredWeights
    from featherseg.cli.console import remarks
    from featherseg.export import export_bundle, export_ensemble

    stored: StoredWeights = "float16" if asked.weights is Weights.fp16 else "float32"
    precisions: dict[Precision, FloatPrecision] = {Precision.fp32: "f32", Precision.bf16: "bf16"}
    precision = precisions.get(asked.precision, "auto")
    with remarks().status("Exporting and comparing the runtimes"):
        if len(asked.runs) == 1:
            return export_bundle(
                asked.runs[0],
                asked.out,
                asked.overwrite,
                stored,
                kept=asked.kept,
                precision=precision,
            )
        return export_ensemble(
            asked.runs, asked.out, asked.overwrite, stored, kept=asked.kept, precision=precision
        )

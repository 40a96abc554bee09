"""`featherseg export`: a training run becomes a bundle that needs no PyTorch."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer


class Weights(StrEnum):
    """How a bundle's files store the network's weights."""

    fp32 = "fp32"
    fp16 = "fp16"


def export(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Run folder of `featherseg train`; several: ensemble."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle.")],
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

      featherseg export runs/first --out small --weights fp16

      featherseg export out/fold_*/run --out ensemble
    """
    from featherseg.extras import require

    require("train", "export")
    from featherseg.cli.console import remarks
    from featherseg.cli.verify import described
    from featherseg.export import export_bundle, export_ensemble

    with remarks().status("Exporting and comparing the runtimes"):
        stored: Literal["float32", "float16"] = "float16" if weights is Weights.fp16 else "float32"
        kept: Literal["validation", "simulated"] = "simulated" if simulated_check else "validation"
        if len(runs) == 1:
            bundle = export_bundle(runs[0], out, overwrite, stored, kept=kept)
        else:
            bundle = export_ensemble(runs, out, overwrite, stored, kept=kept)
    for check in bundle.manifest.checks:
        typer.echo(described(check))
    typer.echo(f"bundle {bundle.id} ({bundle.size_mb:.1f} MB) is in {out}")

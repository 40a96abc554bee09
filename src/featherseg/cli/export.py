"""`featherseg export`: a training run becomes a bundle that needs no PyTorch."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="Run folder, as `featherseg train` wrote it.")],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a bundle that stands there.")
    ] = False,
) -> None:
    """Turn a run into a bundle, checked against PyTorch.

    ONNX Runtime and OpenVINO must find the same masks on the run's validation
    images; otherwise nothing is written. An old bundle is replaced only when
    the new one is complete.

    Example: featherseg export runs/first --out bundle
    """
    from featherseg.extras import require

    require("train", "export")
    from featherseg.cli.console import remarks
    from featherseg.cli.verify import described
    from featherseg.export import export_bundle

    with remarks().status("Exporting and comparing the runtimes"):
        bundle = export_bundle(run, out, overwrite)
    for check in bundle.manifest.checks:
        typer.echo(described(check))
    size_mb = sum((out / name).stat().st_size for name in bundle.manifest.files) / 1e6
    typer.echo(f"bundle {bundle.id} ({size_mb:.1f} MB) is in {out}")

"""`featherseg benchmark`: networks, bundles and peers compared in one interleaved run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featherseg.cli.options import OverwriteFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from featherseg.benchmark.accuracy import Accuracy


def benchmark(
    out: Annotated[Path, typer.Option(help="Folder for the three files.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|BUNDLE",
            help="Networks of `featherseg networks`, folders of bundles, or zoo:NAME.",
        ),
    ] = None,
    size: Annotated[
        int, typer.Option(help="Side of the input; bundles keep their own.", min=32, max=4096)
    ] = 512,
    threads: Annotated[
        int, typer.Option(help="Threads of every runtime; 0: one a core.", min=0)
    ] = 0,
    rounds: Annotated[int, typer.Option(help="Turns of everything compared.", min=1)] = 30,
    starts: Annotated[
        int, typer.Option(help="New processes for the time to a first mask; 0: none.", min=0)
    ] = 3,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantize networks on noise, to see their speed.")
    ] = False,
    bf16: Annotated[
        bool, typer.Option("--bf16", help="Run OpenVINO in bf16 without AMX too.")
    ] = False,
    peers: Annotated[
        bool, typer.Option("--peers", help="Compare with peers; see `make benchmark`.")
    ] = False,
    results: Annotated[
        Path | None,
        typer.Option(help="Folder with results of `evaluate`, for the plot of accuracy."),
    ] = None,
    metric: Annotated[
        str, typer.Option(help="Which mean of a result's summary is its accuracy.")
    ] = "dice_lesion",
    overwrite: OverwriteFolder = False,
) -> None:
    """Compare the speed of networks, bundles and peers on this machine.

    Everything takes turns in one run, so that a busy machine slows all alike; compare the
    ratios. Networks have random weights, which does not change their speed. Without names, all
    networks that have a result in --results are taken.

    Writes benchmark.json, README.md with its tables and, where --results knows the accuracy of
    what was compared, accuracy_latency.svg.

    Examples:

      featherseg benchmark simplified_unet laednet_s --size 256 --out speed

      featherseg benchmark zoo:breast-lesion bundle --out speed

      featherseg benchmark --results results --int8 --out speed
    """
    from featherseg.extras import require

    require("train", "export")
    from featherseg.benchmark.run import Settings, run_benchmark
    from featherseg.benchmark.table import warnings
    from featherseg.cli.console import output, remarks, tracked
    from featherseg.cli.files import refuse_occupied

    refuse_occupied(out, overwrite)
    known = _known(results, metric)
    settings = Settings(size, threads, rounds, starts, int8=int8, bf16=bf16, peers=peers)
    content = run_benchmark(names or _with_result(known), settings, known, tracked)
    _write(content, out)
    output().print(_table(content))
    for warning in warnings(content):
        remarks().print(f"note: {warning}", style="yellow", markup=False)


def _known(results: Path | None, metric: str) -> "Sequence[Accuracy]":
    from featherseg.benchmark.accuracy import read_accuracies

    return [] if results is None else read_accuracies(results, metric)


def _with_result(known: "Sequence[Accuracy]") -> list[str]:
    """The networks that have a result, each once."""
    from featherseg.networks import NETWORKS

    names = dict.fromkeys(each.model.get("network", "") for each in known)
    return [name for name in names if name in NETWORKS]


def _write(content: "Mapping[str, Any]", out: Path) -> None:
    from featherseg.benchmark.table import JSON_FILE, PLOT_FILE, TABLE_FILE, markdown, plot
    from featherseg.cli.console import remarks
    from featherseg.storage import write_json, write_text

    drawn = plot(content)
    if drawn is None:
        # One of an earlier run would stand for this one.
        (out / PLOT_FILE).unlink(missing_ok=True)
        remarks().print("no plot: nothing that was compared has a result in --results")
    else:
        write_text(out / PLOT_FILE, drawn)
    picture = "" if drawn is None else f"![Accuracy against latency]({PLOT_FILE})\n\n"
    write_text(out / TABLE_FILE, f"# Benchmark\n\n{picture}{markdown(content)}")
    write_json(out / JSON_FILE, content)


def _table(content: "Mapping[str, Any]") -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold")
    table.add_column("run by")
    for name in ("ms", "95 %", "times eager", "frames/s"):
        table.add_column(name, justify="right")
    for subject in content["subjects"]:
        for place, way in enumerate(subject["contenders"]):
            latency, eager, frame = way["latency"], way["times_eager"], way["frame"]
            remark = "only speed" if way["only_speed"] else way["note"]
            table.add_row(
                "" if place else subject["name"],
                f"{way['runtime']} {way['precision']}" + (f", {remark}" if remark else ""),
                f"{latency['p50_ms']:.1f}",
                f"{latency['p95_ms']:.1f}",
                "" if eager is None else f"{eager:.1f}",
                "" if frame is None else f"{frame['per_s']:.1f}",
            )
        table.add_section()
    return table

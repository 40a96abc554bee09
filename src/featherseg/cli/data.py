"""`featherseg data`: look into a data set, split it, pack it, or simulate one."""

from pathlib import Path
from typing import Annotated

import typer

from featherseg.cli import audit_data, export_data, layouts, split_data
from featherseg.cli.console import output, tracked
from featherseg.cli.layouts import LayoutName
from featherseg.errors import DataError, StorageError

app = typer.Typer(
    help="Audit, split, pack or simulate a data set.",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what stands at --out.")]


@app.command()
def pack(
    folder: Folder,
    layout: LayoutName,
    size: Annotated[int, typer.Option(help="Height and width in pixels.")],
    out: Annotated[Path, typer.Option(help="The pack file to write.")],
    channels: Annotated[int, typer.Option(help="1 (gray) or 3 (RGB).")] = 3,
    overwrite: Overwrite = False,
) -> None:
    """Decode and resize a data set once, into one file that training maps into memory.

    Example: featherseg data pack BUSI --layout busi --size 256 --out busi256.pack
    """
    from featherseg.datasets import load_dataset
    from featherseg.datasets.pack import pack as pack_dataset
    from featherseg.datasets.pack import save_pack

    _refuse_file(out, overwrite)
    dataset = load_dataset(folder, layout)
    packed = pack_dataset(dataset, (size, size), channels, lambda cases: tracked(cases, "packing"))
    save_pack(packed, out)
    _say(f"{out}: {len(packed.ids)} images of {size}x{size}x{channels}")


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    cases: Annotated[int, typer.Option(help="How many images.")],
    seed: Annotated[int, typer.Option(help="Another seed simulates other images.")] = 0,
    size: Annotated[int, typer.Option(help="Nominal height and width in pixels.")] = 256,
    marks: Annotated[
        float, typer.Option(help="Share of images with burned-in calipers and a label.")
    ] = 0.0,
    overwrite: Overwrite = False,
) -> None:
    """Simulate breast ultrasound: benign, malignant and normal images with masks.

    Example: featherseg data phantom --out phantoms --cases 200 --seed 1
    """
    from featherseg.datasets.phantom import write_phantom

    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not overwrite):
        raise StorageError(
            f"{out}: expected an empty or new folder; choose another or give --overwrite"
        )
    write_phantom(out, cases, seed, (size, size), lambda items: tracked(items, "simulating"), marks)
    _say(f"{out}: {cases} simulated images; use it with --layout phantom")


app.command("audit")(audit_data.audit)
app.command("fix-outlines")(audit_data.fix_outlines)
app.command("export")(export_data.export)
app.command("layouts")(layouts.layouts)
app.command("split")(split_data.split)


def _say(text: str) -> None:
    """Print one line as it is: names may hold brackets, which rich would take for markup."""
    output().print(text, markup=False, soft_wrap=True)


def _refuse_file(out: Path, overwrite: bool) -> None:
    if out.is_dir():
        raise DataError(f"{out}: expected a file's name after --out, got a folder")
    if out.exists() and not overwrite:
        raise StorageError(f"{out} exists; choose another name or give --overwrite")

"""`featherseg data export`: a data set, or predicted masks of it, for another tool."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featherseg.errors import DataError

if TYPE_CHECKING:
    from featherseg.datasets import Dataset
    from featherseg.datasets.exchange import Export
    from featherseg.splits import Split

# nnU-Net keeps the numbers below 500 for public data sets.
_OWN_DATASET = 501


class Format(StrEnum):
    """What other tools read."""

    nnunet = "nnunet"
    npz = "npz"
    coco = "coco"
    nifti = "nifti"


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder.")],
    layout: Annotated[
        str, typer.Option(help="How it is arranged; with --masks also: images (a plain folder).")
    ],
    to: Annotated[Format, typer.Option(help="What to write.")],
    out: Annotated[Path, typer.Option(help="Folder for the export.")],
    split: Annotated[
        Path | None, typer.Option(help="Split file: its test part is kept apart.")
    ] = None,
    fold: Annotated[
        int | None, typer.Option(help="Of a split in folds: the one to leave out for testing.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Predicted masks, to take the place of the true ones.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="npz: stretch all images to this height and width.")
    ] = None,
    name: Annotated[
        str, typer.Option(help="nnunet, npz: the data set's name; the layout's if not given.")
    ] = "",
    number: Annotated[
        int, typer.Option(help="nnunet: NNN of DatasetNNN_NAME.", metavar="NNN")
    ] = _OWN_DATASET,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export.")
    ] = False,
) -> None:
    """Write a data set as nnU-Net, npz, COCO or NIfTI.

    nnunet: OUT/DatasetNNN_NAME with imagesTr, labelsTr, dataset.json; with a split its test
    part in imagesTs and labelsTs, and splits_final.json for nnUNet_preprocessed.

    npz: OUT/NAME_SIZE.npz with train_images, train_label and so on, uint8, all of one size.

    coco: OUT/images and OUT/annotations, masks as uncompressed RLE.

    nifti: OUT/images and OUT/masks, .nii.gz with the spacing where it is known.

    names.json says which case each file is. With --masks the predictions of `featherseg
    predict` are exported instead of the true masks; cases without one are left out. Read an
    export again with --layout nnunet, npz, coco or nifti.

    Examples:

      featherseg data export BUSI --layout busi --to nnunet --out nnUNet_raw --split split.json

      featherseg data export scans --layout images --masks masks --to nifti --out to-correct
    """
    from featherseg.cli.console import tracked
    from featherseg.cli.files import refuse_occupied
    from featherseg.datasets.exchange import export_root, write_export

    if size is not None and to is not Format.npz:
        raise DataError(f"--size is for --to npz; {to.value} keeps every image's own size")
    name = name or layout
    if not name.isascii() or not name.replace("_", "").isalnum():
        raise DataError(f"--name: expected letters, digits and _, got '{name}'")
    root = export_root(to.value, out, name, number)
    refuse_occupied(root, overwrite)
    made = _export(folder, layout, masks, (split, fold), name, size)
    write_export(to.value, made, root, lambda cases: tracked(cases, "exporting"))
    counts = ", ".join(f"{part} {len(cases)}" for part, cases in made.subsets.items())
    typer.echo(f"{root}: {counts}; names.json says which case each file is")


def _export(
    folder: Path,
    layout: str,
    masks: Path | None,
    parts: tuple[Path | None, int | None],
    name: str,
    size: int | None,
) -> "Export":
    from functools import partial

    from featherseg.datasets import read_case
    from featherseg.datasets.exchange import Export, arrange, safe_names
    from featherseg.datasets.exchange.predictions import read_predicted, with_predictions

    dataset = _dataset(folder, layout, masks)
    dataset, subsets = _parted(dataset, *parts)
    cases = with_predictions(dataset, masks) if masks else dataset.cases
    if masks and len(cases) < len(dataset.cases):
        left_out = len(dataset.cases) - len(cases)
        typer.echo(f"{left_out} of {len(dataset.cases)} cases have no mask in {masks}", err=True)
    return Export(
        name=name,
        labels=dataset.labels,
        subsets=arrange(cases, subsets),
        read=partial(read_predicted if masks else read_case, dataset),
        names=safe_names(case.id for case in dataset.cases),
        size_px=None if size is None else (size, size),
    )


def _dataset(folder: Path, layout: str, masks: Path | None) -> "Dataset":
    from featherseg.datasets import load_dataset
    from featherseg.datasets.exchange.predictions import IMAGES_LAYOUT, unlabeled

    if layout != IMAGES_LAYOUT:
        return load_dataset(folder, layout)
    if masks is None:
        raise DataError(f"--layout {IMAGES_LAYOUT} has no masks of its own; give --masks")
    return unlabeled(folder, masks)


def _parted(
    dataset: "Dataset", path: Path | None, fold: int | None
) -> tuple["Dataset", dict[str, tuple[str, ...]] | None]:
    """The data set with the split's groups, and the case ids of each subset."""
    from featherseg.splits import SUBSETS, check_split, grouped, load_split, subset

    if path is None:
        if fold is not None:
            raise DataError("--fold belongs to a split in folds; give --split")
        return dataset, None
    split: Split = load_split(path)
    check_split(split, dataset)
    return grouped(dataset, split), {n: subset(split, n, fold) for n in SUBSETS}

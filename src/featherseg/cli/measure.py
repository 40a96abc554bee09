"""`featherseg measure`: area, axes and center of the labels in mask files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from featherseg.types import Mask

_BINARY_VALUE = 255
# Mask files with more values than this are gray images, not masks.
_MOST_LABELS = 32


def measure(
    masks: Annotated[list[str], typer.Argument(help="Mask files, folders or quoted patterns.")],
    spacing_mm: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Millimeters per pixel along rows and columns.", metavar="ROW COL"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure masks: area, axes, center.

    In px, and in mm when spacing is given. A mask holds 0 and 255, or label values 0 to K. The
    axes are those of each label's largest connected part. Files that cannot be used are listed
    at the end, with exit status 1.

    Examples:

      featherseg measure masks/case1.png --spacing-mm 0.1 0.2

      featherseg measure masks/ --json
    """
    from featherseg.cli.console import print_json
    from featherseg.cli.files import end_with_errors, find_images
    from featherseg.errors import ImageError
    from featherseg.measure import check_spacing

    if spacing_mm is not None:
        check_spacing(spacing_mm)
    results, errors = [], []
    for path in find_images(masks):
        try:
            results.append({"mask": str(path), "measurements": _measure_file(path, spacing_mm)})
        except ImageError as error:
            errors.append({"input": str(path), "error": str(error)})
    if json:
        spacing = None if spacing_mm is None else list(spacing_mm)
        print_json({"spacing_mm": spacing, "masks": results, "errors": errors})
    else:
        _print_table(results)
    end_with_errors(errors)


def _measure_file(path: Path, spacing_mm: tuple[float, float] | None) -> list[dict[str, Any]]:
    from featherseg.images.raster import read_mask
    from featherseg.measure import as_json
    from featherseg.measure import measure as measure_mask

    mask, labels = _as_labels(read_mask(path), path)
    return [as_json(each) for each in measure_mask(mask, spacing_mm, labels)]


def _as_labels(stored: "Mask", path: Path) -> tuple["Mask", tuple[str, ...]]:
    """Labels from 0 and their names: one for 0 and 255, else one for each value up to the largest.

    Raises ImageError for a picture that is no mask.
    """
    import numpy as np

    from featherseg.errors import ImageError

    values = np.unique(stored).tolist()
    if set(values) <= {0, _BINARY_VALUE}:
        return (stored > 0).astype(np.uint8), ("foreground",)
    if values[-1] > _MOST_LABELS:
        raise ImageError(
            f"{path}: expected a mask with values 0 and 255, or labels 0 to {_MOST_LABELS}, got "
            f"{len(values)} values from {values[0]} to {values[-1]}; is this an image?"
        )
    return stored, tuple(str(value) for value in range(1, values[-1] + 1))


def _print_table(results: list[dict[str, Any]]) -> None:
    for result in results:
        typer.echo(result["mask"])
        for measurement in result["measurements"]:
            typer.echo(f"  {measurement['label']}: {_described(measurement)}")


def _described(measurement: dict[str, Any]) -> str:
    if not measurement["area_px"]:
        return "nothing found"
    unit = "mm" if "area_mm2" in measurement else "px"
    area = f"{measurement['area_mm2']:.2f} mm2" if unit == "mm" else f"{measurement['area_px']} px"
    long_axis, short_axis = measurement[f"long_axis_{unit}"], measurement[f"short_axis_{unit}"]
    return (
        f"area {area}, axes {long_axis:.1f} x {short_axis:.1f} {unit}, "
        f"{measurement['components']} part(s)"
    )

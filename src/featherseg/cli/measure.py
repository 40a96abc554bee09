"""`featherseg measure`: area, axes and shape of the labels in mask files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from featherseg.ellipse import Ellipse
    from featherseg.measure import Spacing
    from featherseg.types import Mask

_BINARY_VALUE = 255
# Mask files with more values than this are gray images, not masks.
_MOST_LABELS = 32
# What the parts of a pair are called in a CSV file.
_PAIRS = {
    "centroid_px": ("row", "column"),
    "ellipse_center_px": ("row", "column"),
    "ellipse_axes_px": ("long", "short"),
    "ellipse_axes_mm": ("long", "short"),
}


def measure(
    masks: Annotated[list[str], typer.Argument(help="Mask files, folders or quoted patterns.")],
    spacing_mm: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Millimeters per pixel along rows and columns.", metavar="ROW COL"),
    ] = None,
    circumference: Annotated[
        bool, typer.Option("--circumference", help="Add the perimeter of the fitted ellipse.")
    ] = False,
    outline: Annotated[
        bool,
        typer.Option("--outline", help="The files hold drawn outlines: give only their ellipse."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write a CSV file, one row a label.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file at --csv.")
    ] = False,
) -> None:
    """Measure masks: area, axes, perimeter, ellipse, roundness, margin.

    In px, and in mm when spacing is given. A mask holds 0 and 255, or label values 0 to K. All
    but the area and the centroid are of each label's largest connected part. A head circumference
    is that of the fitted ellipse: --circumference for filled masks, --outline for a drawn line as
    in HC18. Files that cannot be used are listed at the end, with exit status 1.

    Examples:

      featherseg measure masks/case1.png --spacing-mm 0.1 0.2

      featherseg measure head.png --spacing-mm 0.1 0.1 --circumference

      featherseg measure masks/ --csv measured.csv --json
    """
    from featherseg.cli.console import print_json, tracked
    from featherseg.cli.files import end_with_errors, find_images
    from featherseg.errors import ImageError, StorageError
    from featherseg.measure import check_spacing

    if spacing_mm is not None:
        check_spacing(spacing_mm)
    if csv is not None and csv.exists() and not overwrite:
        raise StorageError(f"{csv} exists; choose another name or give --overwrite")
    read = _outlines if outline else _circumferences if circumference else _measurements
    results, errors = [], []
    for path in tracked(find_images(masks), "measuring"):
        try:
            results.append({"mask": str(path), "measurements": read(path, spacing_mm)})
        except ImageError as error:
            errors.append({"input": str(path), "error": str(error)})
    if csv is not None:
        _write_csv(csv, results)
    if json:
        spacing = None if spacing_mm is None else list(spacing_mm)
        print_json({"spacing_mm": spacing, "masks": results, "errors": errors})
    else:
        _print_table(results)
    end_with_errors(errors)


def _measurements(path: Path, spacing_mm: "Spacing | None") -> list[dict[str, Any]]:
    from featherseg.images.raster import read_mask
    from featherseg.measure import as_json
    from featherseg.measure import measure as measure_mask

    mask, labels = _as_labels(read_mask(path), path)
    return [as_json(each) for each in measure_mask(mask, spacing_mm, labels)]


def _circumferences(path: Path, spacing_mm: "Spacing | None") -> list[dict[str, Any]]:
    """The measurements, and the circumference of the ellipse around each label."""
    from featherseg.circumference import ellipse_of_mask
    from featherseg.errors import ImageError
    from featherseg.images.raster import read_mask

    mask, _ = _as_labels(read_mask(path), path)
    measured = _measurements(path, spacing_mm)
    for each in measured:
        found = mask == each["value"]
        try:
            each["circumference_px"] = _around(ellipse_of_mask(found))
            if spacing_mm is not None:
                each["circumference_mm"] = _around(ellipse_of_mask(found, spacing_mm))
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from error
    return measured


def _outlines(path: Path, spacing_mm: "Spacing | None") -> list[dict[str, Any]]:
    """The ellipse through the line of each label, and its circumference."""
    from featherseg.circumference import ellipse_of_outline
    from featherseg.images.raster import read_mask

    mask, labels = _as_labels(read_mask(path), path)
    measured = []
    for value, label in enumerate(labels, start=1):
        found = ellipse_of_outline(mask == value)
        each = {
            "label": label,
            "value": value,
            "ellipse_center_px": found and found.center,
            "ellipse_axes_px": found and (found.long_axis, found.short_axis),
            "ellipse_angle_deg": found and found.angle_deg,
            "circumference_px": _around(found),
        }
        if spacing_mm is not None:
            found = ellipse_of_outline(mask == value, spacing_mm)
            each |= {
                "ellipse_axes_mm": found and (found.long_axis, found.short_axis),
                "ellipse_angle_deg": found and found.angle_deg,
                "circumference_mm": _around(found),
            }
        measured.append(each)
    return measured


def _around(ellipse: "Ellipse | None") -> float | None:
    return None if ellipse is None else ellipse.circumference


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


def _write_csv(path: Path, results: list[dict[str, Any]]) -> None:
    """One row a mask and label; pairs become two columns, what is unknown an empty field."""
    import csv
    import io

    from featherseg.storage import write_text

    rows = [
        {"mask": result["mask"], **_flat(measurement)}
        for result in results
        for measurement in result["measurements"]
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["mask"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _flat(measurement: dict[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in measurement.items():
        if name in _PAIRS:
            stem, unit = name.rsplit("_", 1)
            for part, one in zip(_PAIRS[name], value or (None, None), strict=True):
                flat[f"{stem}_{part}_{unit}"] = one
        else:
            flat[name] = value
    return flat


def _print_table(results: list[dict[str, Any]]) -> None:
    for result in results:
        typer.echo(result["mask"])
        for measurement in result["measurements"]:
            for line in _described(measurement):
                typer.echo(f"  {line}")


def _described(measurement: dict[str, Any]) -> list[str]:
    label = measurement["label"]
    unit = "mm" if any(name.endswith("_mm") for name in measurement) else "px"
    around = measurement.get(f"circumference_{unit}")
    circumference = [] if around is None else [f"  circumference {around:.2f} {unit} (ellipse)"]
    if "area_px" not in measurement:
        return [f"{label}: {circumference[0].strip() if circumference else 'no ellipse'}"]
    if not measurement["area_px"]:
        return [f"{label}: nothing found"]
    area = f"{measurement['area_mm2']:.2f} mm2" if unit == "mm" else f"{measurement['area_px']} px"
    long_axis, short_axis = measurement[f"long_axis_{unit}"], measurement[f"short_axis_{unit}"]
    margin = measurement["margin_irregularity"]
    return [
        f"{label}: area {area}, axes {long_axis:.1f} x {short_axis:.1f} {unit}, "
        f"{measurement['components']} part(s)",
        f"  perimeter {measurement[f'perimeter_{unit}']:.1f} {unit}, "
        f"circularity {measurement['circularity']:.2f}, solidity {measurement['solidity']:.2f}, "
        f"depth/width {measurement['depth_to_width']:.2f}, "
        f"margin {'-' if margin is None else format(margin, '.2f')}",
        *circumference,
    ]

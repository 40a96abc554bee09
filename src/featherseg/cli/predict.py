"""`featherseg predict`: masks, overlays and measurements for images, with a bundle."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featherseg.cli.options import FlipsOfImages, OverwriteFolder

if TYPE_CHECKING:
    from featherseg.bundle import Bundle
    from featherseg.cli.stream import StreamOptions

# The status of a process that Ctrl-C ended; a camera has no other end.
_INTERRUPTED = 130


def predict(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[BUNDLE] INPUTS",
            help="Bundle folder (not with --zoo); image files, folders or quoted patterns. With "
            "--stream: one video file, folder or camera:N.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for masks and predictions.json.")],
    zoo: Annotated[
        str | None, typer.Option(help="A bundle that came with featherseg; see `featherseg zoo`.")
    ] = None,
    runtime: Annotated[
        str, typer.Option(help="openvino, onnxruntime, onnxruntime-cuda or onnxruntime-tensorrt.")
    ] = "openvino",
    flips: FlipsOfImages = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also draw each mask.")] = False,
    spacing_mm: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Millimeters per pixel along rows and columns.", metavar="ROW COL"),
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Take the input as moving pictures.")
    ] = False,
    smooth: Annotated[
        int | None,
        typer.Option(help="With --stream: masks that vote, an odd number; 3 lag one frame.", min=3),
    ] = None,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="With --stream: drop frames as a camera does.")
    ] = False,
    frames: Annotated[
        int | None, typer.Option(help="With --stream: stop after so many frames.", min=1)
    ] = None,
    overwrite: OverwriteFolder = False,
) -> None:
    """Segment images or moving pictures with a bundle; needs no PyTorch.

    For each PNG, JPEG, TIFF or PPM image, OUT gets STEM.png on the image's
    own grid (0 and 255, or label values where the bundle has several labels)
    and, if asked, STEM_overlay.png. Images with equal stems keep their suffix
    (a_png.png, a_jpg.png); what would still clash is numbered (a_png_2.png).

    predictions.json holds area and axes in px (and in mm with --spacing-mm),
    the model's mean confidence, the time from pixels to mask, and in what an
    image is unlike the training images.

    Images that cannot be used are listed at the end, with exit status 1.

    With --stream the input is a video file, a folder of frames or a camera
    (camera:0), and OUT gets overlay.mp4, measurements.csv and summary.json.
    A camera's newest frame is always the next one, and dropped ones are
    counted; of files and folders none is dropped, unless with --realtime.
    Ctrl-C finishes the files.

    Examples:

      featherseg predict --zoo fetal-head scans/ --out masks

      featherseg predict bundle scans/ --out masks --overlay

      featherseg predict bundle 'scans/*.png' --out masks --spacing-mm 0.1 0.2

      featherseg predict bundle clip.mp4 --stream --out clip --smooth 3

      featherseg predict --zoo fetal-head camera:0 --stream --out live
    """
    from featherseg.bundle import load_bundle
    from featherseg.cli.console import tracked
    from featherseg.cli.files import find_images, refuse_occupied
    from featherseg.cli.predictions import plan, predict_images, write_predictions
    from featherseg.cli.stream import StreamOptions, check_stream
    from featherseg.errors import FeatherSegError
    from featherseg.measure import check_spacing
    from featherseg.runtime.cache import model_cache
    from featherseg.segment import Segmenter, with_flips

    if spacing_mm is not None:
        check_spacing(spacing_mm)
    folder, inputs = _bundle_and_inputs(arguments, zoo)
    loaded = load_bundle(folder)
    if stream:
        options = StreamOptions(realtime, smooth or 1, spacing_mm, frames)
        check_stream(inputs, options, flips is not None)
        refuse_occupied(out, overwrite)
        _stream(loaded, runtime, inputs[0], out, options)
        return
    if smooth or realtime or frames:
        raise FeatherSegError("--smooth, --realtime and --frames are for moving pictures: --stream")
    targets = plan(find_images(inputs), out, overlay)
    refuse_occupied(out, overwrite)
    segmenter = Segmenter.from_bundle(loaded, runtime, cache_dir=model_cache())
    segmenter = with_flips(segmenter, flips.value if flips else None)
    progress = tracked(targets, "Predicting", len(targets))
    predictions = predict_images(segmenter, progress, spacing_mm)
    write_predictions(out, predictions)
    _summarize(predictions, out)


def _stream(
    bundle: "Bundle", runtime: str, argument: str, out: Path, options: "StreamOptions"
) -> None:
    from featherseg.cli.stream import (
        SUMMARY_FILE,
        TABLE_FILE,
        is_in_time,
        open_stream_session,
        stream_to_folder,
    )
    from featherseg.images.video import open_source
    from featherseg.runtime.cache import model_cache

    source = open_source(argument)
    in_time = is_in_time(source, options)
    session = open_stream_session(bundle, runtime, in_time=in_time, cache_dir=model_cache())
    summary = stream_to_folder(session, bundle, source, out, options)
    latency = summary["latency_ms"]
    typer.echo(
        f"{summary['frames']} frames, {summary['frames_per_s']:.1f} a second, {summary['dropped']} "
        f"dropped; latency p50 {latency['p50']:.1f} ms, p95 {latency['p95']:.1f} ms"
    )
    typer.echo(f"{summary['overlay']}, {TABLE_FILE} and {SUMMARY_FILE} are in {out}")
    if summary["problem"]:
        typer.echo(f"the stream broke off: {summary['problem']}", err=True)
        raise typer.Exit(1)
    if summary["ended"] == "interrupted" and not source.is_live:
        raise typer.Exit(_INTERRUPTED)


def _bundle_and_inputs(arguments: list[str], zoo: str | None) -> tuple[Path, list[str]]:
    """Which bundle and which images are meant: without --zoo the first argument is the bundle."""
    from featherseg.bundle import MANIFEST_FILE
    from featherseg.cli.options import bundle_folder
    from featherseg.errors import BundleError

    if zoo is not None:
        from featherseg.zoo import zoo_bundle

        if (Path(arguments[0]) / MANIFEST_FILE).is_file():
            raise BundleError(f"expected {arguments[0]} or --zoo {zoo} as bundle, got both")
        return zoo_bundle(zoo), arguments
    if len(arguments) == 1:
        raise BundleError(
            f"expected a bundle and images, got only {arguments[0]}; "
            "name a bundle's folder before the images, or one of the zoo by --zoo NAME"
        )
    return bundle_folder(arguments[0]), arguments[1:]


def _summarize(predictions: dict[str, Any], out: Path) -> None:
    from featherseg.cli.files import end_with_errors

    images = predictions["images"]
    typer.echo(f"{len(images)} masks and predictions.json are in {out}")
    unlike = sum(bool(image["unlike_training"]) for image in images)
    if unlike:
        typer.echo(
            f"{unlike} of {len(images)} images are unlike the training images; "
            "predictions.json says in what"
        )
    end_with_errors(predictions["errors"])

"""A training run to an int8 bundle for OpenVINO, if the gate lets it pass.

Several ways are tried in a fixed order, and the first that passes the gate is written: plain
post-training quantization; the same with the first and the last layer kept in floating point, which
costs little; with the most harmful eighth and quarter of all layers as well; and, after fine-tuning
the network on its own answers, the second and the last of these again.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from featherseg.bundle import (
    CHECK_FILE,
    IR_FILE,
    AgreementEntry,
    Bundle,
    CheckData,
    GateEntry,
    load_bundle,
)
from featherseg.compress.finetune import fine_tune
from featherseg.compress.fuse import fuse
from featherseg.compress.gate import Quantized, described, judge, score_cases
from featherseg.compress.quantize import harms, layer_names, quantize, save_int8
from featherseg.errors import GateError
from featherseg.export.contents import (
    Kept,
    describe,
    require_agreement,
    simulated_check,
    torch_logits,
    write_check,
)
from featherseg.export.images import QuantizingImages
from featherseg.export.models import write_ir, write_onnx
from featherseg.export.place import built_beside, check_place
from featherseg.export.trained import Trained
from featherseg.postprocess import OperatingPoint
from featherseg.preprocess import Preprocessing, normalize
from featherseg.runtime.cpu import default_precision
from featherseg.runtime.openvino import open_openvino
from featherseg.segment import Segmenter
from featherseg.verify import as_int8, compare

# Beside the first and the last layer, the share of layers that are kept in floating point.
KEPT_SHARES = (1 / 8, 1 / 4)
_PLAIN = "post-training quantization"
_TUNED = "post-training quantization after fine-tuning"


def _untracked(items: Iterable[Any], _: str, __: int) -> Iterable[Any]:
    return items


def _untold(_: GateEntry) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Watch:
    """Who is told how far it is: `track` wraps items, their name and number, `tell` every gate."""

    track: Callable[[Iterable[Any], str, int], Iterable[Any]] = _untracked
    tell: Callable[[GateEntry], None] = _untold


def export_int8(
    trained: Trained,
    images: QuantizingImages,
    out: Path,
    overwrite: bool = False,
    *,
    kept: Kept = "validation",
    watch: Watch = Watch(),
) -> Bundle:
    """Write a trained network in int8 as the bundle `out`.

    Raises GateError, with the figures of the best try, where none passes the gate; then, and on
    any other error of `export_trained`, `out` is left as it was.
    """
    check_place(out, overwrite)
    with built_beside(out) as folder:
        preprocessing = Preprocessing(**trained.facts["preprocessing"])
        batch = normalize(trained.images, preprocessing)
        check = CheckData(trained.images, trained.masks, torch_logits(trained.network, batch))
        with tempfile.TemporaryDirectory(prefix="featherseg-") as scratch:
            model = _float_model(fuse(trained.network), preprocessing, Path(scratch) / "float")
            require_agreement([_agreement(model, "f32", trained, check)])
            gate = _first_to_pass(trained, images, model, folder / IR_FILE, watch)
        agreement = as_int8(_agreement(folder / IR_FILE, default_precision(), trained, check))
        session = _open(folder / IR_FILE, preprocessing, default_precision())
        own = (
            simulated_check(preprocessing, session.logits)
            if kept == "simulated"
            else CheckData(check.images, check.masks, session.logits(batch))
        )
        write_check(folder / CHECK_FILE, own, "int8")
        stored = {"weights": "int8", "precision": "int8", "gate": gate}
        describe(folder, trained, [agreement], stored)
    return load_bundle(out)


def _first_to_pass(
    trained: Trained, images: QuantizingImages, model: Path, target: Path, watch: Watch
) -> GateEntry:
    """Write the first quantized model that passes to `target`, and give its gate."""
    preprocessing = Preprocessing(**trained.facts["preprocessing"])

    def scores(file: Path, precision: Any, name: str) -> Any:
        segmenter = Segmenter(
            session=_open(file, preprocessing, precision),
            preprocessing=preprocessing,
            operating_point=OperatingPoint(**trained.facts["operating_point"]),
            labels=tuple(trained.facts["labels"]),
            model_id=name,
        )
        return score_cases(segmenter, watch.track(images.cases(), f"Scoring {name}", images.count))

    before = scores(model, "f32", "f32")
    tried: list[GateEntry] = []
    for source, how in _ways(trained.network, preprocessing, images, model, watch):
        save_int8(quantize(source, images.calibration, how.kept_layers), target)
        gate = judge(before, scores(target, default_precision(), "int8"), how, images.over)
        watch.tell(gate)
        if gate.passed:
            return gate
        tried.append(gate)
    best = max(tried, key=lambda each: (-each.newly_missed, each.difference.mean))
    raise GateError(
        f"no bundle was written, since int8 does not pass the gate in {len(tried)} ways that were "
        f"tried; the best: {described(best)}; export with --precision fp32"
    )


def _ways(
    network: nn.Module,
    preprocessing: Preprocessing,
    images: QuantizingImages,
    model: Path,
    watch: Watch,
) -> Iterator[tuple[Path, Quantized]]:
    """The models to quantize and how, each made only when those before it did not pass."""
    layers, count = layer_names(model), len(images.calibration)
    yield model, Quantized(_PLAIN, count, len(layers))
    yield model, Quantized(_PLAIN, count, len(layers), kept_layers(layers, {}, 0.0))
    harm = harms(
        model,
        images.calibration,
        lambda names: watch.track(names, "Looking for harmful layers", len(names)),
    )
    for share in KEPT_SHARES:
        yield model, Quantized(_PLAIN, count, len(layers), kept_layers(layers, harm, share))
    tuned = fine_tune(
        fuse(network),
        images.calibration,
        progress=lambda epochs: watch.track(epochs, "Fine-tuning", len(epochs)),
    )
    tuned_model = _float_model(tuned, preprocessing, model.parent / "tuned")
    # The same network has the same names, so that harm still fits.
    for share in (0.0, KEPT_SHARES[-1]):
        yield tuned_model, Quantized(_TUNED, count, len(layers), kept_layers(layers, harm, share))


def kept_layers(layers: Sequence[str], harm: Mapping[str, float], share: float) -> tuple[str, ...]:
    """The first and the last layer, and the most harmful `share` of all, in the layers' order.

    >>> kept_layers("abcdefgh", dict(zip("abcdefgh", (9, 1, 2, 8, 3, 4, 5, 6))), 0.25)
    ('a', 'd', 'h')
    """
    worst = sorted(layers, key=lambda name: -harm.get(name, 0.0))[: ceil(share * len(layers))]
    chosen = {layers[0], layers[-1], *worst}
    return tuple(name for name in layers if name in chosen)


def _float_model(network: nn.Module, preprocessing: Preprocessing, place: Path) -> Path:
    """Write a fused network as OpenVINO IR in f32 and give the .xml."""
    onnx_file, ir_file = place.with_suffix(".onnx"), place.with_suffix(".xml")
    write_onnx(network, preprocessing, onnx_file)
    write_ir(onnx_file, ir_file)
    return ir_file


def _open(model: Path, preprocessing: Preprocessing, precision: Any) -> Any:
    shape = (preprocessing.channels, *preprocessing.input_size)
    return open_openvino(model, shape, precision)


def _agreement(model: Path, precision: Any, trained: Trained, check: CheckData) -> AgreementEntry:
    preprocessing = Preprocessing(**trained.facts["preprocessing"])
    point = OperatingPoint(**trained.facts["operating_point"])
    batch = np.asarray(normalize(check.images, preprocessing))
    return compare(_open(model, preprocessing, precision), batch, check, point)

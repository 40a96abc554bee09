"""Post-training quantization to int8, with NNCF, of a network in OpenVINO's format.

Weights are rounded to 8 bits for each output channel, symmetrically; what flows between the
layers is rounded to 8 bits for the whole tensor, from the smallest to the largest value that
calibration images give there. Rounding shifts a layer's mean output; that shift is measured on
the same images and taken off its bias (Nagel et al. 2019, doi:10.1109/ICCV.2019.00141).
Logits are never rounded: the last layer's result leaves in floating point.
"""

import contextlib
import io
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from featherseg.errors import BundleError, DataError
from featherseg.postprocess import class_probabilities, foreground
from featherseg.runtime.library import load_openvino
from featherseg.types import Floats

# Ranges of fewer images say little of what a network will see.
FEWEST_IMAGES = 8
# How a layer's harm is measured: few images, as every layer is tried.
_HARM_IMAGES = 4
_LAYERS = frozenset({"Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul"})
_NO_OPERATION = frozenset({"Constant", "Parameter", "Result"})

Progress = Callable[[Sequence[str]], Iterable[str]]


def quantize(model_file: Path, calibration: Floats, kept: Collection[str] = ()) -> Any:
    """The `openvino.Model` of `model_file` (IR or ONNX) with its layers in int8.

    `calibration` is float32 (n, C, h, w), n >= 8, as the network takes it; `kept` names layers
    (of `layer_names`) that stay in floating point. Raises DataError for too few images and
    BundleError where the network cannot be quantized.
    """
    check_calibration(len(calibration))
    return _quantized(_read(model_file), calibration, kept)


def check_calibration(count: int) -> None:
    """Raise DataError unless `count` images are enough to measure ranges on."""
    if count < FEWEST_IMAGES:
        raise DataError(
            f"int8 measures the ranges of a network's values on training images and needs at "
            f"least {FEWEST_IMAGES}, got {count}; export with --precision fp32, or train on more"
        )


def layer_names(model_file: Path) -> tuple[str, ...]:
    """The layers that int8 is for (convolutions and products with weights), first to last."""
    return tuple(
        operation.get_friendly_name()
        for operation in _read(model_file).get_ordered_ops()
        if operation.get_type_name() in _LAYERS
    )


def harms(model_file: Path, calibration: Floats, progress: Progress = iter) -> dict[str, float]:
    """How much each layer harms: the mean change of probability where only it is in int8.

    Layers have the names of `layer_names`; the change is that of the foreground, absolute, over
    all pixels of the first few images of `calibration`.
    """
    images = calibration[:_HARM_IMAGES]
    exact = _foregrounds(_read(model_file), images)
    found = {}
    for layer in progress(layer_names(model_file)):
        model = _read(model_file)
        others = {
            each.get_friendly_name()
            for each in model.get_ops()
            if each.get_type_name() not in _NO_OPERATION
        }
        alone = _quantized(model, images, others - {layer}, corrected=False)
        found[layer] = float(np.abs(_foregrounds(alone, images) - exact).mean())
    return found


def save_int8(model: Any, path: Path) -> None:
    """Write a quantized model as OpenVINO IR; what is not int8 stays float32."""
    load_openvino().save_model(model, path, compress_to_fp16=False)


def _quantized(
    model: Any, calibration: Floats, kept: Collection[str], *, corrected: bool = True
) -> Any:
    nncf = _load_nncf()
    batches = [calibration[index : index + 1] for index in range(len(calibration))]
    with _quiet():
        try:
            return nncf.quantize(
                model,
                nncf.Dataset(batches),
                # Activations are rarely symmetric: those behind a ReLU have no negative half.
                preset=nncf.QuantizationPreset.MIXED,
                target_device=nncf.TargetDevice.CPU,
                subset_size=len(batches),
                # A kept layer may have been folded into another one: that is no error.
                ignored_scope=nncf.IgnoredScope(names=sorted(kept), validate=False),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    disable_bias_correction=not corrected
                ),
            )
        except (nncf.ValidationError, nncf.InternalError, RuntimeError) as error:
            reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
            raise BundleError(
                f"this network cannot be quantized: {reason}; export it with --precision fp32"
            ) from error


def _read(model_file: Path) -> Any:
    return load_openvino().Core().read_model(model_file)


def _foregrounds(model: Any, images: Floats) -> Floats:
    """Foreground probabilities (n, h, w) of a model that has not been compiled."""
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = load_openvino().Core().compile_model(model, "CPU", settings)
    answers = [compiled(each[np.newaxis])[0][0] for each in images]
    return np.stack([foreground(class_probabilities(each)) for each in answers])


def _load_nncf() -> ModuleType:
    """NNCF, after OpenVINO has been loaded without telemetry, and silent below errors."""
    load_openvino()
    import nncf

    nncf.set_log_level(logging.ERROR)
    module: ModuleType = nncf
    return module


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep NNCF's own bars out of standard output, which is for results."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield

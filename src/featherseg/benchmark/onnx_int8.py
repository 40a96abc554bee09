"""Static quantization of an ONNX file to int8, by ONNX Runtime's own tool.

The file stays plain ONNX: pairs of QuantizeLinear and DequantizeLinear say what is rounded, and
ONNX Runtime runs what stands between them in integers. Activations are uint8 for the whole
tensor, weights int8 for each output channel, as ONNX Runtime advises for these processors.
Unlike in `compress.quantize` the logits are rounded, too.
"""

from collections.abc import Iterable
from pathlib import Path

from featherseg.runtime.cpu import capabilities
from featherseg.types import Floats

_INPUT = "image"
# Their scales have one axis, where the tool looks for a second and then warns.
_CHANNEL_AXES = {"InstanceNormalization": 0, "LayerNormalization": 0}


class _Batches:
    """Images of float32 (C, h, w) as ONNX Runtime's calibration asks for them, one by one."""

    def __init__(self, images: Iterable[Floats]) -> None:
        self._left = iter(images)

    def get_next(self) -> dict[str, Floats] | None:
        image = next(self._left, None)
        return None if image is None else {_INPUT: image[None]}


def write_int8_onnx(model: Path, calibration: Floats, path: Path) -> None:
    """Write the network of `model`, which takes `image`, in int8 to `path`.

    `calibration` is float32 (n, C, h, w), as the network takes it. Without VNNI the products of
    8 bits overflow the 16 bits they are added in: weights then have 7 bits.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = path.with_suffix(".prepared")
    # Shapes follow from the operations; deriving them in symbols is for transformers.
    quant_pre_process(model, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        path,
        _Batches(calibration),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=not capabilities().vnni,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options={"QDQOpTypePerChannelSupportToAxis": _CHANNEL_AXES},
    )
    prepared.unlink()

"""The rule of `runtime.masks` as part of an OpenVINO model: uint8 pixels in, label masks out.

Normalization and threshold then run where the network runs, on its threads and in its layout,
and a fourth (uint8 instead of float32) of the input and of the answer crosses the border.
"""

from typing import Any

import numpy as np

from featherseg.preprocess import Preprocessing, scale_and_shift
from featherseg.runtime.library import load_openvino
from featherseg.runtime.masks import PRESENCE, MaskRule, logit_cutoff

_CHANNELS_FIRST = (0, 3, 1, 2)


def with_masks(network: Any, rule: MaskRule) -> Any:
    """A new model: uint8 pixels (1, h, w, C) to one uint8 label mask (1, h, w).

    `network` is an `openvino.Model` of input (1, C, h, w) and output logits (1, K, h, w), with a
    second output `presence` (1, 1) or without; it is not changed.
    """
    openvino = load_openvino()
    ops = openvino.opset13
    network = network.clone()
    named = {op.get_friendly_name() for op in network.get_ops()}
    (image,) = network.get_parameters()
    height, width = rule.preprocessing.input_size
    pixels = ops.parameter([1, height, width, rule.preprocessing.channels], np.uint8, "pixels")
    image.output(0).replace(_normalized(ops, pixels, rule.preprocessing).output(0))
    made = [output.get_node().input_value(0) for output in network.outputs]
    labels = _labels(ops, made[0], rule.point.threshold)
    presence = presence_place(network)
    if presence is not None and rule.point.presence_threshold is not None:
        cutoff = logit_cutoff(rule.point.presence_threshold)
        found = ops.reshape(ops.greater(made[presence], cutoff), [1, 1, 1], special_zero=False)
        labels = ops.select(found, labels, np.uint8(0))
    pixels.output(0).set_names({"pixels"})
    labels.output(0).set_names({"masks"})
    model = openvino.Model([labels], [pixels], "masks")
    # Names that OpenVINO makes up count what was made before in the process, and a cache of
    # compiled models would not know the model again.
    new = (op for op in model.get_ordered_ops() if op.get_friendly_name() not in named)
    for place, op in enumerate(new):
        op.set_friendly_name(f"masks_{place}")
    return model


def presence_place(network: Any) -> int | None:
    """Which of a model's outputs is the presence; None where none is."""
    named = [PRESENCE in output.get_names() for output in network.outputs]
    return named.index(True) if any(named) else None


def _normalized(ops: Any, pixels: Any, expected: Preprocessing) -> Any:
    """`preprocess.normalize`, in its order of operations."""
    scale, shift = scale_and_shift(expected)
    planes = ops.convert(ops.transpose(pixels, _CHANNELS_FIRST), np.float32)
    return ops.subtract(ops.multiply(planes, scale), shift)


def _labels(ops: Any, logits: Any, threshold: float) -> Any:
    """`postprocess.label_pixels` of logits (1, K, h, w): uint8 (1, h, w)."""
    if logits.get_partial_shape()[1].get_length() == 1:
        found = ops.greater(logits, logit_cutoff(threshold))
        return ops.squeeze(ops.convert(found, np.uint8), [1])
    shares = ops.softmax(logits, 1)
    background = ops.gather(shares, 0, 1)
    found = ops.greater(ops.subtract(np.float32(1), background), np.float32(threshold))
    if logits.get_partial_shape()[1].get_length() == 2:
        return ops.convert(found, np.uint8)
    foreground = ops.slice(shares, [1], [np.iinfo(np.int32).max], [1], [1])
    likeliest = ops.topk(foreground, 1, 1, "max", "value", "i32", stable=True).output(1)
    label = ops.add(ops.squeeze(likeliest, [1]), np.int32(1))
    return ops.convert(ops.select(found, label, np.int32(0)), np.uint8)

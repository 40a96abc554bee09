"""Masks made inside the graph and in numpy are those of thresholded probabilities."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from featherseg.bundle import Bundle, read_check
from featherseg.postprocess import (
    OperatingPoint,
    class_probabilities,
    is_present,
    label_pixels,
    sigmoid,
)
from featherseg.preprocess import Preprocessing, normalize
from featherseg.runtime import RUNTIMES, MaskRule, MaskSession, open_session
from featherseg.runtime.flips import FlippedSession
from featherseg.runtime.library import load_openvino
from featherseg.runtime.mask_graph import with_masks
from featherseg.runtime.masks import Answer, answer_masks, logit_cutoff
from featherseg.runtime.onnxruntime import open_onnxruntime
from featherseg.runtime.openvino import open_openvino
from featherseg.segment import Segmenter
from featherseg.types import Floats, Mask, Pixels
from tests.tiny import SIZE, blob_images, tiny_onnx, write_tiny_bundle

THRESHOLDS = st.one_of(st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]), st.floats(0.0, 1.0))
# Whole numbers make ties likely, of labels with each other and of probabilities with thresholds.
LOGITS = st.one_of(st.integers(-3, 3).map(float), st.floats(-40.0, 40.0, width=32))
# Two ways to compute a softmax in float32 may differ by so much.
ROUNDING = 1e-6


def thresholded(logits: Floats, threshold: float) -> Mask:
    return label_pixels(class_probabilities(logits), threshold)


@settings(max_examples=60, deadline=None)
@given(THRESHOLDS, st.integers(-300, 300))
def test_the_cutoff_is_where_the_probability_crosses(threshold: float, steps: int) -> None:
    cutoff = logit_cutoff(threshold)
    if not np.isfinite(cutoff):
        assert np.float32(threshold) == 1.0
        assert not sigmoid(np.array([500.0], np.float32)) > threshold
        return
    if 0.001 < threshold < 0.999:
        assert cutoff == pytest.approx(np.log(threshold / (1 - threshold)), rel=1e-4, abs=1e-6)
    near = np.array([cutoff, cutoff + steps * np.spacing(cutoff)], np.float32)
    np.testing.assert_array_equal(sigmoid(near) > threshold, near > cutoff)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, (2, 1, 3, 4), elements=LOGITS), THRESHOLDS)
def test_one_channel_in_numpy_is_exact(logits: Floats, threshold: float) -> None:
    found = answer_masks(Answer(logits), OperatingPoint(threshold))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, [thresholded(each, threshold) for each in logits])


def from_graph(logits: Floats, point: OperatingPoint, presence: float | None = None) -> Mask:
    """The mask that OpenVINO makes of given logits (K, h, w): a network that is a constant."""
    openvino = load_openvino()
    ops = openvino.opset13
    image = ops.parameter([1, 1, *logits.shape[1:]], np.float32, "image")
    nothing = ops.multiply(ops.reduce_max(image, [1, 2, 3], keep_dims=True), np.float32(0))
    answers = [ops.add(nothing, logits[np.newaxis])]
    if presence is not None:
        answers.append(
            ops.add(ops.reshape(nothing, [1, 1], False), np.array([[presence]], np.float32))
        )
    network = openvino.Model(answers, [image])
    if presence is not None:
        network.outputs[1].set_names({"presence"})
    rule = MaskRule(Preprocessing(logits.shape[1:], 1), point)
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(with_masks(network, rule), "CPU", settings)
    pixels = np.full((1, *logits.shape[1:], 1), 7, np.uint8)
    return np.array(compiled([pixels])[0][0])


@settings(max_examples=15, deadline=None)
@given(arrays(np.float32, (1, 5, 6), elements=LOGITS), THRESHOLDS)
@example(np.full((1, 5, 6), np.inf, np.float32), 1.0 - 2.0**-53)
def test_one_channel_in_the_graph_is_exact(logits: Floats, threshold: float) -> None:
    found = from_graph(logits, OperatingPoint(threshold))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, thresholded(logits, threshold))


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), THRESHOLDS, st.data())
def test_several_channels_in_the_graph(channels: int, threshold: float, data: Any) -> None:
    logits = data.draw(arrays(np.float32, (channels, 5, 6), elements=LOGITS))
    found, expected = from_graph(logits, OperatingPoint(threshold)), thresholded(logits, threshold)
    shares = class_probabilities(logits)
    differs = found != expected
    # Only where the rounding of a softmax decides may they differ; equal logits are no such place.
    at_threshold = np.abs(1.0 - shares[0] - threshold) <= ROUNDING
    ordered = np.sort(shares[1:], axis=0)
    apart = ordered[-1] - ordered[-2] if channels > 2 else np.ones(shares.shape[1:])
    best = np.sort(logits[1:], axis=0)
    tied = (best[-1] == best[-2]) if channels > 2 else np.zeros(shares.shape[1:], bool)
    near = (apart <= ROUNDING) & ~tied
    assert not (differs & ~at_threshold & ~near).any()


def test_equal_logits_give_the_first_label() -> None:
    logits = np.zeros((4, 2, 3), np.float32)
    logits[3, 0] = 1.0
    expected = [[3, 3, 3], [1, 1, 1]]
    np.testing.assert_array_equal(from_graph(logits, OperatingPoint(0.5)), expected)
    np.testing.assert_array_equal(thresholded(logits, 0.5), expected)


@pytest.mark.parametrize("presence", [-3.0, 0.0, 0.4, 3.0])
@pytest.mark.parametrize("threshold", [None, 0.5, 0.6])
def test_presence_gates_alike(presence: float, threshold: float | None) -> None:
    point = OperatingPoint(presence_threshold=threshold)
    logits = np.full((1, 3, 4), 2.0, np.float32)
    answer = Answer(logits[np.newaxis], np.array([[presence]], np.float32))
    expected = answer_masks(answer, point)[0]
    assert bool(expected.all()) is is_present(np.array([presence], np.float32), point)
    np.testing.assert_array_equal(from_graph(logits, point, presence), expected)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.3, 0.21)])
def test_normalization_in_the_graph_is_exact(mean: float, std: float) -> None:
    openvino = load_openvino()
    expected = Preprocessing((16, 16), 1, mean, std)
    image = openvino.opset13.parameter([1, 1, 16, 16], np.float32, "image")
    network = openvino.Model([openvino.opset13.multiply(image, np.float32(1.5))], [image])
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    for threshold in (0.3, 0.5, 0.61):
        rule = MaskRule(expected, OperatingPoint(threshold))
        compiled = openvino.Core().compile_model(with_masks(network, rule), "CPU", settings)
        logits = normalize(pixels, expected) * np.float32(1.5)
        np.testing.assert_array_equal(
            compiled([pixels])[0], answer_masks(Answer(logits), rule.point)
        )


@pytest.fixture(scope="module", params=[("lesion",), ("faint", "bright")])
def bundle(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("masks") / "bundle"
    return write_tiny_bundle(folder, request.param, channels=len(request.param) * 2 - 1)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_bundle_thresholds_its_own_logits(bundle: Bundle, runtime: str) -> None:
    session = open_session(bundle, runtime, "f32", threads=1)
    images = read_check(bundle).images
    logits = session.logits(normalize(images, bundle.preprocessing))
    expected = np.stack([thresholded(each, bundle.operating_point.threshold) for each in logits])
    found = session.masks(images)
    assert found.dtype == np.uint8
    assert found.shape == images.shape[:3]
    assert found.any()
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(session.start(images[1:2])(), expected[1:2])


def test_bf16_thresholds_its_own_logits(bundle: Bundle) -> None:
    session = open_session(bundle, "openvino", "bf16", threads=1)
    images = read_check(bundle).images
    answer = session.answer(normalize(images, bundle.preprocessing))
    differing = session.masks(images) != answer_masks(answer, bundle.operating_point)
    # Fusing the normalization into the first layer moves a bfloat16 by one rounding.
    assert differing.mean() < 1e-3


def presence_onnx(path: Path) -> Path:
    """The tiny network with a presence: how much brighter than 0.55 its brightest part is."""
    model = tiny_onnx(labels=1, channels=3)
    make = onnx.helper.make_node
    model.graph.node.extend(
        [
            make("ReduceMax", ["light", "axes"], ["brightest"], keepdims=0),
            make("Sub", ["brightest", "middle"], ["above"]),
            make("Mul", ["above", "sharp"], ["presence"]),
        ]
    )
    tensors = {
        "axes": np.array([2, 3], np.int64),
        "middle": np.float32(0.55),
        "sharp": np.float32(30),
    }
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()
    )
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("presence", onnx.TensorProto.FLOAT, ["batch", 1])
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_presence_of_a_real_network(runtime: str, tmp_path: Path) -> None:
    model = presence_onnx(tmp_path / "model.onnx")
    expected = Preprocessing(SIZE)
    point = OperatingPoint(0.5, presence_threshold=0.5)
    rule = MaskRule(expected, point)
    session: MaskSession = (
        open_openvino(model, (3, *SIZE), "f32", rule=rule, threads=1)
        if runtime == "openvino"
        else open_onnxruntime(model, rule=rule, threads=1)
    )
    bright, _ = blob_images(1, seed=1)
    images: Pixels = np.repeat(np.concatenate([bright, bright * 0 + 120])[..., np.newaxis], 3, 3)
    answer = session.answer(normalize(images, expected))
    assert answer.presence is not None
    assert answer.presence.shape == (2, 1)
    assert answer.presence[0] > 0 > answer.presence[1]
    masks = session.masks(images)
    assert masks[0].any()
    assert not masks[1].any()
    segmenter = Segmenter(session, expected, point, ("lesion",), "made")
    assert_gated(segmenter, images)
    assert_gated(replace(segmenter, session=FlippedSession(session, "both")), images)


def assert_gated(segmenter: Segmenter, images: Pixels) -> None:
    from featherseg.types import Image

    first, second = (segmenter(Image(each, None, "made")) for each in images)
    assert first.mask.any()
    assert not second.mask.any()
    # Half of the pixels are above 0.45, the network's own middle; only the presence says no.
    assert second.probability.max() > 0.5


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_masks_need_a_rule(runtime: str, bundle: Bundle) -> None:
    size = bundle.preprocessing.input_size
    channels = bundle.preprocessing.channels
    session: MaskSession = (
        open_openvino(bundle.openvino_file, (channels, *size), "f32")
        if runtime == "openvino"
        else open_onnxruntime(bundle.folder / "model.onnx")
    )
    with pytest.raises(ValueError, match="masks need a rule"):
        session.masks(np.zeros((1, *size, channels), np.uint8))

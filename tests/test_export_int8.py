"""From a run to an int8 bundle: the gate, the ways tried, and what stays when it is shut."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import PIL.Image
import pytest
import torch
from torch import nn

import featherseg.export.int8 as exporting
from featherseg.bundle import (
    INT8_FILES,
    MANIFEST_FILE,
    Bundle,
    GateEntry,
    load_bundle,
    read_check,
)
from featherseg.compress.gate import GateCase, judge
from featherseg.datasets import load_dataset
from featherseg.datasets.pack import pack
from featherseg.duplicates import Duplicates
from featherseg.errors import BundleError, GateError
from featherseg.export import Trained, read_trained
from featherseg.export.images import QuantizingImages, quantizing_images
from featherseg.export.int8 import Watch, export_int8, kept_layers
from featherseg.preprocess import Preprocessing, normalize
from featherseg.runtime import open_session
from featherseg.segment import Segmenter
from featherseg.splits import make_split, save_split, subset
from featherseg.train.data import provenance_of
from featherseg.train.loop import fit
from featherseg.train.recipe import load_recipe
from featherseg.train.run import load_run
from featherseg.types import Image
from featherseg.verify import disagreements, verify_bundle
from tests.conftest import Cli
from tests.tiny import SIZE, blob_images, seal, tiny_facts, tiny_logits, tiny_onnx


class Tiny(nn.Module):
    """The network of `tiny_onnx`, in torch, and something to fine-tune."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(0.0))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(tiny_logits(batch.detach().numpy(), 1)) + self.shift


@pytest.fixture(scope="module")
def tiny() -> Iterator[Trained]:
    """A trained network whose slow way to ONNX is replaced by what it would give."""

    def write(network: nn.Module, preprocessing: Any, path: Path) -> None:
        onnx.save(tiny_onnx(1, 3), path)

    gray, masks = blob_images(6, seed=2)
    images = np.repeat(gray[..., np.newaxis], 3, axis=3)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(exporting, "write_onnx", write)
        yield Trained(Tiny(), images, masks, tiny_facts(("lesion",), 3, gray))


@pytest.fixture(scope="module")
def images() -> QuantizingImages:
    calibrating, _ = blob_images(8, seed=5)
    judging, masks = blob_images(6, seed=6, size=(50, 60))
    masks[0] = 0
    colored = np.repeat(calibrating[..., np.newaxis], 3, axis=3)
    pairs = [
        GateCase(Image(pixels, None, "memory"), mask, str(at))
        for at, (pixels, mask) in enumerate(zip(judging, masks, strict=True))
    ]
    return QuantizingImages(
        normalize(colored, Preprocessing(SIZE)), lambda: iter(pairs), len(pairs), "validation"
    )


@pytest.fixture(scope="module")
def made(
    tiny: Trained, images: QuantizingImages, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bundle, list[GateEntry]]:
    """A bundle that passed at the first try, and the gates that were told."""
    gates: list[GateEntry] = []
    out = tmp_path_factory.mktemp("made") / "bundle"
    return export_int8(tiny, images, out, watch=Watch(tell=gates.append)), gates


@pytest.fixture
def bundle(made: tuple[Bundle, list[GateEntry]], tmp_path: Path) -> Bundle:
    """A copy of it, to be changed."""
    return load_bundle(shutil.copytree(made[0].folder, tmp_path / "bundle"))


def test_a_network_that_passes(made: tuple[Bundle, list[GateEntry]], cli: Cli) -> None:
    bundle, gates = made
    assert {path.name for path in bundle.folder.iterdir()} == INT8_FILES | {MANIFEST_FILE}
    manifest = bundle.manifest
    assert (manifest.precision, manifest.weights) == ("int8", "int8")
    assert manifest.gate == gates[0]
    assert len(gates) == 1
    assert (gates[0].images, gates[0].lesions) == (6, 5)
    assert gates[0].dice_float > 0.9
    assert (gates[0].layers, gates[0].kept_layers) == (2, ())
    assert gates[0].calibration_images == 8
    assert [(each.runtime, each.precision) for each in manifest.checks] == [("openvino", "int8")]
    assert 0 < manifest.checks[0].largest_difference < 0.05
    verification = verify_bundle(bundle)
    assert verification.findings == ()
    # The stored logits are the network's own, as float16 keeps them.
    assert verification.agreements[0].largest_difference < 1e-3
    assert len(read_check(bundle).images) == 2
    card = (bundle.folder / "README.md").read_text()
    assert "## Gate (6 validation images, 5 with something to find)" in card
    assert "int8, in OpenVINO alone" in card
    ended = cli("verify", bundle.folder)
    assert (ended.code, ended.err) == (0, "")
    assert "openvino int8, 2 images" in ended.out


def test_the_gate_judges_the_very_file_that_is_kept(
    bundle: Bundle, images: QuantizingImages
) -> None:
    segmenter = Segmenter.from_bundle(bundle)
    dice = [
        2 * int((found & (case.mask > 0)).sum()) / (int(found.sum()) + int(case.mask.sum()))
        for case in images.cases()
        if case.mask.any()
        for found in [segmenter(case.image).mask > 0]
    ]
    assert bundle.manifest.gate is not None
    assert bundle.manifest.gate.dice_int8 == pytest.approx(float(np.mean(dice)))


def test_a_shut_gate_tries_all_ways_and_leaves_what_was_there(
    tiny: Trained,
    images: QuantizingImages,
    made: tuple[Bundle, list[GateEntry]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "bundle"
    before = load_bundle(shutil.copytree(made[0].folder, out)).id
    monkeypatch.setattr("featherseg.compress.gate.LARGEST_FALL", -1.0)
    gates: list[GateEntry] = []
    with pytest.raises(GateError, match=r"no bundle was written.* in 6 ways .*Dice 0\.\d+ in f32"):
        export_int8(tiny, images, out, overwrite=True, watch=Watch(tell=gates.append))
    assert [len(gate.kept_layers) for gate in gates] == [0, 2, 2, 2, 2, 2]
    assert ["fine-tuning" in gate.method for gate in gates] == [False] * 4 + [True] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert load_bundle(out).id == before


def test_the_first_way_that_passes_is_kept(
    tiny: Trained, images: QuantizingImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strict(before: Any, after: Any, how: Any, over: str) -> GateEntry:
        gate = judge(before, after, how, over)
        return gate.model_copy(update={"passed": gate.passed and bool(how.kept_layers)})

    monkeypatch.setattr(exporting, "judge", strict)
    bundle = export_int8(tiny, images, tmp_path / "bundle")
    gate = bundle.manifest.gate
    assert gate is not None
    assert len(gate.kept_layers) == 2
    assert "fine-tuning" not in gate.method
    card = (bundle.folder / "README.md").read_text()
    assert all(f"`{name}`" in card for name in gate.kept_layers)


def test_a_float_network_that_disagrees_with_torch_is_not_quantized(
    tiny: Trained, images: QuantizingImages, tmp_path: Path
) -> None:
    network = Tiny()
    with torch.no_grad():
        network.shift.fill_(0.5)
    with pytest.raises(BundleError, match="openvino in f32: logits differ"):
        export_int8(replace(tiny, network=network), images, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_no_real_image_is_kept_where_that_is_asked_for(
    tiny: Trained, images: QuantizingImages, tmp_path: Path
) -> None:
    bundle = export_int8(tiny, images, tmp_path / "bundle", kept="simulated")
    real = {image.tobytes() for image in tiny.images}
    assert not real & {image.tobytes() for image in read_check(bundle).images}
    assert verify_bundle(bundle).findings == ()


def test_another_runtime_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"for OpenVINO alone.*--precision fp32"):
        open_session(bundle, "onnxruntime")


def test_what_int8_bundles_must_and_others_must_not_say(bundle: Bundle) -> None:
    path = bundle.folder / MANIFEST_FILE
    right = json.loads(path.read_text())
    for change in (
        {"precision": "auto"},
        {"weights": "float32"},
        {"gate": None},
        {"gate": {**right["gate"], "passed": False}},
    ):
        path.write_text(json.dumps({**right, **change}))
        with pytest.raises(BundleError, match="an int8 network has precision and weights int8"):
            load_bundle(bundle.folder)
    path.write_text(json.dumps(right))
    onnx.save(tiny_onnx(1, 3), bundle.folder / "model.onnx")
    facts = bundle.manifest.model_dump(exclude={"schema_version", "files"})
    with pytest.raises(ValueError, match="an int8 network has precision and weights int8"):
        seal(bundle.folder, facts)


def test_verify_judges_pixels_and_dice(bundle: Bundle) -> None:
    (agreement,) = verify_bundle(bundle).agreements
    for values, count in (
        ({"largest_difference": 0.1, "differing_pixels": 0.005, "dice_change": -0.01}, 0),
        ({"differing_pixels": 0.0051}, 1),
        ({"dice_change": 0.011}, 1),
        ({"largest_difference": 1e30}, 1),
    ):
        assert len(disagreements(agreement.model_copy(update=values), "int8")) == count
    check = read_check(bundle)
    arrays = {**asdict(check), "logits": check.logits + np.float32(6.0)}
    np.savez(bundle.folder / "check.npz", **arrays)
    seal(bundle.folder, bundle.manifest.model_dump(exclude={"schema_version", "files"}))
    findings = verify_bundle(load_bundle(bundle.folder)).findings
    assert any("mask pixels differ" in each for each in findings)


def test_layers_are_kept_by_their_harm() -> None:
    layers = tuple("abcdefghij")
    harm = dict.fromkeys(layers, 0.0) | {"d": 3.0, "g": 2.0, "b": 1.0}
    assert kept_layers(layers, harm, 1 / 8) == ("a", "d", "g", "j")
    assert kept_layers(layers, harm, 1 / 4) == ("a", "b", "d", "g", "j")
    # A layer that was not measured harms nothing.
    assert kept_layers(layers, {}, 1 / 10) == ("a", "j")


COUNT = 32
SIDE = 64


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images with a bright blob each, every eighth without."""
    folder = tmp_path_factory.mktemp("int8") / "data"
    gray, masks = blob_images(COUNT, seed=0, size=(SIDE, SIDE))
    for place in range(0, COUNT, 8):
        gray[place], masks[place] = gray[place] % 40, 0
    for name, arrays in (("images", gray), ("masks", masks * np.uint8(255))):
        (folder / name).mkdir(parents=True)
        for number, pixels in enumerate(arrays):
            PIL.Image.fromarray(pixels).save(folder / name / f"case{number}.png")
    return folder


def train_run(data: Path, out: Path, *settings: str) -> Path:
    """A finished run, beside its split, that has learned to find blobs."""
    dataset = load_dataset(data, "folder")
    split = make_split(dataset, Duplicates((), ()), seed=0, fractions=(0.6, 0.2, 0.2))
    save_split(split, data.parent / "split.json")
    common = [f"input_size={SIDE}", "batch_size=4", "lr=0.003", *settings]
    return fit(
        load_recipe("simplified_unet", common),
        pack(dataset, (SIDE, SIDE), 3),
        {name: subset(split, name) for name in ("train", "validation")},
        out,
        provenance=provenance_of(split, data.parent / "split.json"),
    )


@pytest.mark.slow
def test_the_verb_from_a_run_to_scores(data: Path, tmp_path: Path, cli: Cli) -> None:
    run = train_run(data, tmp_path / "run", "epochs=15", "network_options={width: 4}")
    common = ("--data", data, "--layout", "folder")
    out, report = tmp_path / "bundle", tmp_path / "gate.json"
    ended = cli("export", run, "--out", out, "--precision", "int8", *common, "--report", report)
    assert ended.code == 0, ended.err
    assert "gate passed: Dice 0." in ended.err
    assert "openvino int8" in ended.out
    gate = json.loads(report.read_text())
    bundle = load_bundle(out)
    assert bundle.manifest.gate is not None
    assert gate["passed"] is True
    assert gate["tried"][-1] == json.loads(bundle.manifest.gate.model_dump_json())
    assert bundle.manifest.gate.dice_float > 0.7
    assert cli("verify", out).code == 0
    assert cli("predict", out, data / "images", "--out", tmp_path / "masks").code == 0
    split = ("--split", data.parent / "split.json", "--subset", "validation", "--json")
    scored = cli("evaluate", out, *common, *split, "--out", tmp_path / "scores")
    assert scored.code == 0, scored.err
    summary = json.loads(scored.out)
    assert summary["dice_lesion"]["mean"] == pytest.approx(bundle.manifest.gate.dice_int8, abs=1e-5)
    assert summary["presence"]["missed"] == bundle.manifest.gate.missed_int8
    refused = cli(
        "predict", out, data / "images", "--out", tmp_path / "o", "--runtime", "onnxruntime"
    )
    assert refused.code == 2
    assert "--precision fp32" in refused.err


@pytest.mark.slow
def test_a_fused_network_of_parallel_branches_passes(data: Path, tmp_path: Path) -> None:
    """AL-Net's RepVGG blocks, whose merged weights spread far, are the hard case for 8 bits."""
    run = train_run(
        data, tmp_path / "run", "epochs=12", "network=alnet", "network_options={width: 16}"
    )
    images = quantizing_images(load_run(run), data)
    bundle = export_int8(read_trained(run), images, tmp_path / "bundle")
    gate = bundle.manifest.gate
    assert gate is not None
    assert gate.passed
    assert gate.dice_float > 0.7
    assert len(gate.kept_layers) < gate.layers / 2

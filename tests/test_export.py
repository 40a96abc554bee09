"""From a run to a bundle: the files, the comparison, and nothing left behind when it fails."""

import json
import os
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import featherseg.export as exporting
from featherseg.bundle import FILES, MANIFEST_FILE, Bundle, load_bundle, read_check
from featherseg.compress.fuse import fuse
from featherseg.datasets.pack import Packed
from featherseg.errors import BundleError, RunError, StorageError
from featherseg.export import Trained, export_bundle, export_trained, torch_logits
from featherseg.export.half import halve_weights
from featherseg.export.models import write_ir, write_onnx
from featherseg.networks import build_network
from featherseg.preprocess import Preprocessing, normalize
from featherseg.runtime import RUNTIMES, open_session
from featherseg.train.loop import fit
from featherseg.train.recipe import load_recipe
from featherseg.verify import verify_bundle
from tests.conftest import Cli
from tests.tiny import SIZE, blob_images, tiny_facts, tiny_onnx


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: one epoch of a narrow network on sixteen pictures of blobs."""
    gray, masks = blob_images(16, seed=0)
    ids = tuple(f"case{index}" for index in range(16))
    data = Packed(
        images=np.repeat(gray[..., np.newaxis], 3, axis=3),
        masks=masks,
        ids=ids,
        classes=("benign",) * 16,
        groups=ids,
        labels=("lesion",),
        layout="phantom",
        images_sha256="0" * 64,
    )
    settings = [f"input_size=[{SIZE[0]},{SIZE[1]}]", "epochs=1", "network_options.width=4"]
    recipe = load_recipe("simplified_unet", settings)
    subsets = {"train": ids[:8], "validation": ids[8:]}
    folder = tmp_path_factory.mktemp("export") / "run"
    return fit(recipe, data, subsets, folder, provenance={"protocol": "test"})


@pytest.fixture(scope="module")
def bundle(run: Path) -> Bundle:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return export_bundle(run, run.parent / "bundle")


def test_the_bundle_is_complete(bundle: Bundle, run: Path) -> None:
    assert {path.name for path in bundle.folder.iterdir()} == FILES | {MANIFEST_FILE}
    assert load_bundle(bundle.folder) == bundle
    manifest, content = bundle.manifest, json.loads((run / "run.json").read_text())
    assert manifest.network.name == "simplified_unet"
    assert manifest.labels == ("lesion",)
    assert manifest.operating_point.model_dump() == content["operating_point"]
    assert manifest.training.validation_images == 8
    assert manifest.sources.protocol == "test"
    assert {(check.runtime, check.precision) for check in manifest.checks} >= {
        ("onnxruntime", "f32"),
        ("openvino", "f32"),
    }
    assert {check.images for check in manifest.checks} == {8}
    assert set(manifest.statistics) >= {"mean", "sd", "sharpness", "saturation"}


def test_every_runtime_gives_what_torch_gave(bundle: Bundle) -> None:
    check = read_check(bundle)
    assert len(check.images) == 4
    batch = normalize(check.images, bundle.preprocessing)
    for runtime in RUNTIMES:
        found = open_session(bundle, runtime, "f32").logits(batch)
        np.testing.assert_allclose(found, check.logits, atol=1e-4)
    assert verify_bundle(bundle).findings == ()


def test_the_onnx_file_is_plain_small_and_says_nothing_of_this_machine(bundle: Bundle) -> None:
    path = bundle.folder / "model.onnx"
    model = onnx.load(path)
    assert {item.domain for item in model.opset_import} == {""}
    assert len(model.functions) == 0
    # Batch norms are folded into the convolutions.
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert {prop.key for prop in model.metadata_props} >= {"input_size", "mean", "std"}
    for name in ("model.onnx", "model.xml"):
        content = (bundle.folder / name).read_bytes()
        assert b"site-packages" not in content
        assert str(Path.cwd()).encode() not in content


@pytest.fixture(scope="module")
def small(run: Path) -> Bundle:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return export_bundle(run, run.parent / "small", weights="float16")


def test_float16_weights_make_one_small_model_file_for_all_runtimes(
    small: Bundle, bundle: Bundle
) -> None:
    names = {path.name for path in small.folder.iterdir()}
    assert names == {"manifest.json", "README.md", "check.npz", "model.onnx"}
    assert load_bundle(small.folder) == small
    assert small.manifest.weights == "float16"
    assert bundle.manifest.weights == "float32"
    assert "stored as float16" in (small.folder / "README.md").read_text()
    halved, whole = (each.folder / "model.onnx" for each in (small, bundle))
    assert halved.stat().st_size < 0.7 * whole.stat().st_size
    kinds = {tensor.data_type for tensor in onnx.load(halved).graph.initializer if tensor.dims[1:]}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert verify_bundle(small).findings == ()


def test_float16_weights_are_those_of_torch_rounded_once(
    small: Bundle, bundle: Bundle, run: Path
) -> None:
    from featherseg.train.run import load_run

    network = fuse(load_run(run).network)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.copy_(parameter.half().float())
    check = read_check(bundle)
    assert len(read_check(small).images) == 2
    batch = normalize(check.images, bundle.preprocessing)
    expected = torch_logits(network, batch)
    assert np.abs(expected - check.logits).max() > 4e-6
    for runtime in RUNTIMES:
        found = open_session(small, runtime, "f32").logits(batch)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_weight_that_float16_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = tiny_onnx(1, 3)
    whole = [tensor for tensor in model.graph.initializer if len(tensor.dims) > 1]
    whole[0].CopyFrom(onnx.numpy_helper.from_array(np.full((1, 3, 3, 3), 7e4, "f4"), "mean"))
    onnx.save(model, path)
    before = path.read_bytes()
    with pytest.raises(BundleError, match=r"'mean' holds 70000.*--weights fp32"):
        halve_weights(path)
    assert path.read_bytes() == before


def test_a_full_size_bundle_of_float16_weights_is_below_5_mb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = build_network("simplified_unet")
    expected = Preprocessing((256, 256))
    noise = np.random.default_rng(0).integers(0, 256, (2, 256, 256), dtype=np.uint8)
    images = np.repeat(noise[..., np.newaxis], 3, axis=3)
    facts = {**tiny_facts(("lesion",), 3, noise), "preprocessing": asdict(expected)}
    masks = np.zeros((2, 256, 256), np.uint8)
    # Without training every logit is near 0: a threshold there would compare rounding errors.
    facts["operating_point"] = {"threshold": 0.9, "smallest_area": 0.0, "components": "all"}
    made = export_trained(
        Trained(network, images, masks, facts), tmp_path / "bundle", weights="float16"
    )
    assert made.size_mb < 5.0
    assert verify_bundle(made).findings == ()


def test_no_image_of_the_data_is_kept_where_that_is_asked_for(run: Path, tmp_path: Path) -> None:
    bundle = export_bundle(run, tmp_path / "bundle", weights="float16", kept="simulated")
    check = read_check(bundle)
    with np.load(run / "check.npz") as real:
        kept = {image.tobytes() for image in real["images"]}
    assert not kept & {image.tobytes() for image in check.images}
    areas = (check.masks > 0).sum(axis=(1, 2))
    assert (len(areas), areas[0]) == (2, 0)
    assert areas[1] > 0
    assert verify_bundle(bundle).findings == ()
    # What stands in the card is the agreement on the real validation images all the same.
    assert {each.images for each in bundle.manifest.checks} == {len(kept)}


def test_the_onnx_file_takes_other_sizes(bundle: Bundle, run: Path) -> None:
    from featherseg.train.run import load_run

    images = np.random.default_rng(0).random((3, 3, 64, 32), dtype=np.float32)
    session = onnxruntime.InferenceSession(bundle.folder / "model.onnx")
    (found,) = session.run(None, {"image": images})
    np.testing.assert_allclose(found, torch_logits(load_run(run).network, images), atol=1e-4)


def test_the_card_says_what_it_is(bundle: Bundle) -> None:
    card = (bundle.folder / "README.md").read_text()
    for part in ("# simplified_unet: lesion", "8 images", "not a medical device", "openvino f32"):
        assert part in card


def test_the_card_of_a_cross_validated_network_shows_that_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_models(monkeypatch)
    made = trained(Tiny())
    every = "images with a lesion"
    facts = {
        **made.facts,
        "cross_validation": {
            "folds": 5,
            "images": 780,
            "protocol": "safe",
            "split_sha256": "4" * 64,
            "scores": {
                "dice_lesion": {"mean": 0.7612, "low": 0.74, "high": None, "n": 647, "over": every},
                "hd95_px": {"mean": 41.26, "low": 38, "high": 44, "n": 647, "over": every}
                | {"unit": "px"},
            },
        },
        "data": {"license": "CC BY 4.0", "citation": "Someone 2018."},
    }
    bundle = export_trained(replace(made, facts=facts), tmp_path / "bundle")
    card = (bundle.folder / "README.md").read_text()
    assert "## Cross-validation (780 images in 5 folds)" in card
    assert f"| Dice | 0.761 | - | 647 | {every} |" in card
    assert f"| HD95 (px) | 41.3 | 38.0 to 44.0 | 647 | {every} |" in card
    assert "Someone 2018. License: CC BY 4.0." in card
    assert "used to choose the weights" not in card
    assert bundle.manifest.cross_validation is not None
    assert bundle.manifest.cross_validation.scores["dice_lesion"].high is None


def test_the_place_must_be_free_or_a_bundle(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(StorageError, match="--overwrite"):
        export_bundle(run, out)
    with pytest.raises(StorageError, match=r"no part of a bundle \(thesis\.txt\)"):
        export_bundle(run, out, overwrite=True)
    with pytest.raises(StorageError, match="found something else"):
        export_bundle(run, out / "thesis.txt", overwrite=True)
    assert (out / "thesis.txt").read_text() == "mine"


def fake_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the slow exporter; what these tests look at comes after it."""
    from tests.tiny import tiny_onnx

    def write(network: nn.Module, preprocessing: Any, path: Path) -> None:
        onnx.save(tiny_onnx(1, 3), path)

    monkeypatch.setattr(exporting, "write_onnx", write)


class Tiny(nn.Module):
    """The network of `tiny_onnx`, in torch; `shift` is added to its logits."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        from tests.tiny import tiny_logits

        return torch.from_numpy(tiny_logits(batch.numpy(), 1)) + self.shift


def trained(network: nn.Module) -> Trained:
    gray, masks = blob_images(6, seed=2)
    masks[0] = 0
    images = np.repeat(gray[..., np.newaxis], 3, axis=3)
    return Trained(network, images, masks, tiny_facts(("lesion",), 3, gray))


def test_overwriting_replaces_the_whole_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_models(monkeypatch)
    out = tmp_path / "deep" / "bundle"
    first = export_trained(trained(Tiny()), out)
    with pytest.raises(StorageError, match="--overwrite"):
        export_trained(trained(Tiny()), out)
    other = trained(Tiny())
    other = replace(other, facts={**other.facts, "labels": ("nerve",)})
    second = export_trained(other, out, overwrite=True)
    assert first.id != second.id == load_bundle(out).id
    assert [path.name for path in out.parent.iterdir()] == ["bundle"]
    areas = (read_check(second).masks > 0).sum(axis=(1, 2))
    assert areas[0] == 0
    assert list(areas) == sorted(areas)


@pytest.mark.parametrize("exists", [False, True])
def test_a_disagreement_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    fake_models(monkeypatch)
    out = tmp_path / "bundle"
    before = export_trained(trained(Tiny()), out).id if exists else None
    with pytest.raises(
        BundleError, match="disagrees with torch: onnxruntime in f32: logits differ"
    ):
        export_trained(trained(Tiny(shift=0.5)), out, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == (["bundle"] if exists else [])
    assert not exists or load_bundle(out).id == before


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    fake_models(monkeypatch)
    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(StorageError, match="No space left on device"):
        export_trained(trained(Tiny()), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("exists", [False, True])
def test_a_failed_rename_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    fake_models(monkeypatch)
    out = tmp_path / "bundle"
    before = export_trained(trained(Tiny()), out).id if exists else None
    rename = os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(source).name == "new":
            raise OSError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(StorageError, match="Permission denied"):
        export_trained(trained(Tiny()), out, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == (["bundle"] if exists else [])
    assert not exists or load_bundle(out).id == before


def test_the_precision_that_predict_will_use_is_compared_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_models(monkeypatch)
    monkeypatch.setattr(exporting, "default_precision", lambda: "bf16")
    *_, last = export_trained(trained(Tiny()), tmp_path / "bundle").manifest.checks
    # OpenVINO computes in f32 where the processor has no bf16.
    assert last.runtime == "openvino"
    assert last.precision in ("bf16", "f32")
    assert last.largest_difference < 0.02


def test_what_the_exporters_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(BundleError, match="OpenVINO cannot convert"):
        write_ir(tmp_path / "bad.onnx", tmp_path / "bad.xml")
    monkeypatch.setattr(torch.onnx, "export", lambda *arguments, **named: None)
    with pytest.raises(BundleError, match="gave no program"):
        write_onnx(Tiny(), Preprocessing(SIZE), tmp_path / "none.onnx")


def test_an_unfinished_run(tmp_path: Path, run: Path) -> None:
    with pytest.raises(RunError):
        export_bundle(tmp_path / "absent", tmp_path / "bundle")
    for path in run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "check.npz").write_bytes(b"PK")
    with pytest.raises(RunError, match=r"check\.npz: cannot be read"):
        export_bundle(tmp_path, tmp_path / "bundle")


def test_the_verb(run: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_models(monkeypatch)
    monkeypatch.setattr(exporting, "read_trained", lambda folder: trained(Tiny()))
    out = tmp_path / "bundle"
    first = cli("export", run, "--out", out)
    assert first.code == 0
    assert "openvino f32, 6 images: logits within" in first.out
    assert load_bundle(out).id in first.out
    refused = cli("export", run, "--out", out)
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert "--overwrite" in refused.err

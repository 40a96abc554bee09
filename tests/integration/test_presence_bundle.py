"""A presence gate from the run to the bundle: the same masks with torch and both runtimes."""

import json
from pathlib import Path

import numpy as np
import pytest

from featherseg.bundle import load_bundle
from featherseg.export import export_bundle
from featherseg.segment import Segmenter, with_flips
from featherseg.train.loop import fit
from featherseg.train.recipe import load_recipe
from featherseg.train.run import run_segmenter
from featherseg.types import Image
from tests.train.blobs import SETTINGS, blob_pack, halves

PACK = blob_pack(12, (64, 64))


@pytest.mark.slow
def test_the_gate_of_a_run_is_that_of_its_bundle(tmp_path: Path) -> None:
    settings = ("input_size=64", "network=feathernet_s", "presence_weight=1", "epochs=2")
    recipe = load_recipe("breast_lesion", [*SETTINGS, *settings, "precision=32-true"])
    run = fit(recipe, PACK, halves(PACK), tmp_path / "run")
    images = [Image(pixels, None, f"{place}") for place, pixels in enumerate(PACK.images)]
    # In the middle of what the network says, and masks that are never empty by themselves.
    segmenter = run_segmenter(run)
    said = [segmenter._run(image)[0].presence for image in images]
    probability = [1 / (1 + np.exp(-each.item())) for each in said if each is not None]
    content = json.loads((run / "run.json").read_text())
    content["operating_point"] = {
        "threshold": 0.0,
        "smallest_area": 0.0,
        "components": "all",
        "presence_threshold": float(np.sort(probability)[5:7].mean()),
    }
    (run / "run.json").write_text(json.dumps(content))
    expected = [run_segmenter(run)(image).mask.any() for image in images]
    assert sum(expected) == 6
    bundle = export_bundle(run, tmp_path / "bundle")
    assert bundle.operating_point == run_segmenter(run).operating_point
    for runtime in ("openvino", "onnxruntime"):
        found = Segmenter.from_bundle(load_bundle(tmp_path / "bundle"), runtime, "f32")
        assert [found(image).mask.any() for image in images] == expected
        assert found(images[0]).probability.max() > 0
        assert with_flips(found, "horizontal")(images[0]).mask.shape == (64, 64)

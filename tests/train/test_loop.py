"""Training from end to end on boxes, and everything that must be refused before it starts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from featherseg.errors import DataError, FeatherSegError, RecipeError, RunError, StorageError
from featherseg.losses import LOSSES
from featherseg.storage import locked
from featherseg.train.loop import fit
from featherseg.train.recipe import Recipe, load_recipe
from featherseg.train.run import load_run, run_segmenter
from featherseg.train.training import Tick
from featherseg.types import Image
from tests.train.blobs import SETTINGS, blob_pack, halves

PACK = blob_pack(16)


def recipe(*settings: str) -> Recipe:
    return load_recipe("simplified_unet", [*SETTINGS, *settings])


@pytest.fixture(scope="module")
def ticks() -> list[Tick]:
    return []


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, ticks: list[Tick]) -> Path:
    """A finished training of eight epochs."""
    out = tmp_path_factory.mktemp("fit") / "run"
    settings = recipe("epochs=8", "lr=1e-2", "augment={horizontal_flip: 0.5}", "loss=dice_bce")
    provenance = {"protocol": "safe", "split_sha256": "5" * 64, "split": {"schema": 1}}
    return fit(settings, PACK, halves(PACK), out, provenance=provenance, progress=ticks.append)


def test_the_run_folder_is_complete(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == {
        ".lock",
        "best.safetensors",
        "check.npz",
        "curves.svg",
        "last.previous.safetensors",
        "last.safetensors",
        "log.jsonl",
        "recipe.yaml",
        "run.json",
        "split.json",
    }
    content = json.loads((run / "run.json").read_text())
    assert content["network"] == {
        "name": "simplified_unet",
        "options": {"in_channels": 3, "out_channels": 1, "width": 4},
    }
    assert content["preprocessing"]["input_size"] == [32, 32]
    assert content["labels"] == ["label 1"]
    assert (content["protocol"], content["split_sha256"]) == ("safe", "5" * 64)
    assert content["images"] == {"train": 8, "validation": 8}
    assert set(content["statistics"]) >= {"mean", "sd"}
    assert content["operating_point_dice"] >= content["best"]["validation_dice"] - 1e-6


def test_it_learns(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 9))
    assert [line["step"] for line in lines] == list(range(2, 17, 2))
    assert lines[-1]["train_loss"] < 0.9 * lines[0]["train_loss"]
    best = json.loads((run / "run.json").read_text())["best"]
    assert best["validation_dice"] == max(line["validation_dice"] for line in lines)


def test_progress_is_told_after_every_step_and_epoch(run: Path, ticks: list[Tick]) -> None:
    assert len(ticks) == 8 * 3
    assert [(tick.epoch, tick.step, tick.steps) for tick in ticks[:3]] == [
        (1, 1, 2),
        (1, 2, 2),
        (1, 2, 2),
    ]
    assert ticks[0].validation_dice is None
    assert ticks[2].validation_dice == ticks[3].validation_dice is not None


def test_the_best_weights_are_loaded_and_run(run: Path) -> None:
    loaded = load_run(run)
    weights = safetensors.numpy.load_file(run / "best.safetensors")
    state = loaded.network.state_dict()
    assert all(np.array_equal(state[name].numpy(), value) for name, value in weights.items())
    assert not loaded.network.training
    segmenter = run_segmenter(run)
    pixels = np.zeros((50, 70, 3), np.uint8)
    found = segmenter(Image(pixels, None, "test"))
    assert found.mask.shape == (50, 70)
    assert found.labels == ("label 1",)
    assert segmenter.session.runtime == "torch"


def test_the_session_gives_the_networks_logits(run: Path) -> None:
    segmenter = run_segmenter(run)
    images = np.load(run / "check.npz")["images"]
    batch = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
    logits = segmenter.session.logits(batch)
    assert logits.shape == (len(images), 1, 32, 32)
    alone = segmenter.session.logits(batch[:1])
    assert np.allclose(alone, logits[:1], atol=1e-5)


def test_check_images_are_validation_images_of_both_kinds(run: Path) -> None:
    with np.load(run / "check.npz", allow_pickle=False) as check:
        images, masks = check["images"], check["masks"]
    validation = PACK.select(halves(PACK)["validation"])
    assert np.array_equal(images, validation.images)
    assert np.array_equal(masks, validation.masks)
    assert 0 < masks.any(axis=(1, 2)).sum() < len(masks)


def test_check_images_are_at_most_sixteen() -> None:
    import io

    from featherseg.train.outcome import _check_images

    for count, normals in ((60, 8), (17, 5)):
        with np.load(io.BytesIO(_check_images(blob_pack(count)))) as check:
            masks = check["masks"]
        assert len(masks) == 16
        assert (~masks.any(axis=(1, 2))).sum() == normals


@pytest.mark.parametrize("labels", [2, 3])
def test_several_labels_are_a_softmax(labels: int, tmp_path: Path) -> None:
    pack = blob_pack(12, labels=labels)
    out = fit(recipe("epochs=1"), pack, halves(pack), tmp_path / "run")
    assert load_run(out).content["network"]["options"]["out_channels"] == labels + 1
    found = run_segmenter(out)(Image(pack.images[1], None, "test"))
    assert found.labels == pack.labels
    assert int(found.mask.max()) <= labels


def test_gray_input_and_oblong_sizes(tmp_path: Path) -> None:
    pack = blob_pack(8, (32, 48), channels=1)
    settings = recipe("epochs=1", "input_size=[32, 48]", "in_channels=1")
    assert fit(settings, pack, halves(pack), tmp_path / "run").is_dir()


def test_early_stop_and_schedule_act(tmp_path: Path) -> None:
    settings = recipe(
        "epochs=30", "lr=1e-30", "early_stop={patience: 4}", "schedule={patience: 2, factor: 0.1}"
    )
    out = fit(settings, PACK, halves(PACK), tmp_path / "run")
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert len(lines) < 30
    losses = [line["validation_loss"] for line in lines]
    assert len(losses) - 1 - losses.index(min(losses)) == 4
    assert lines[-1]["lr"] < 1e-30


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (["input_size=48"], DataError, "the pack holds 32x32 with 3"),
        (["in_channels=1"], DataError, "with 1 channel(s), the pack holds 32x32 with 3"),
        (["network_options.widht=3"], RecipeError, "; did you mean width"),
        (["network_options.out_channels=4"], RecipeError, "1 label(s) need out_channels=2 or 1"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_folder_is_made(
    settings: list[str], error: type[FeatherSegError], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error) as caught:
        fit(recipe(*settings), PACK, halves(PACK), tmp_path / "run")
    assert words in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_sizes_the_network_cannot_take_are_refused(tmp_path: Path) -> None:
    pack = blob_pack(8, (40, 40))
    with pytest.raises(FeatherSegError, match="multiples of 16, got 40x40; pad to 48x48"):
        fit(recipe("input_size=40"), pack, halves(pack), tmp_path / "run")


@pytest.mark.parametrize(
    ("subsets", "words"),
    [
        ({"train": PACK.ids[:1], "validation": PACK.ids[1:]}, "at least 2 image(s) in the subset"),
        ({"train": PACK.ids, "validation": ()}, "at least 1 image(s) in the subset 'validation'"),
        ({"train": PACK.ids[:9], "validation": PACK.ids[8:]}, "share 1 case(s): case 8"),
        ({"train": (*PACK.ids[:8], "other"), "validation": PACK.ids[8:]}, "other"),
    ],
)
def test_bad_subsets_are_refused(
    subsets: dict[str, tuple[str, ...]], words: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        fit(recipe(), PACK, subsets, tmp_path / "run")
    assert words in str(caught.value)


def test_a_folder_with_something_in_it_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not empty; go on with the run in it by --resume"):
        fit(recipe(), PACK, halves(PACK), run)
    (tmp_path / "photo.png").touch()
    with pytest.raises(RunError, match="holds no run to resume"):
        fit(recipe(), PACK, halves(PACK), tmp_path, resume=True)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="expected a folder for the run, found a file"):
        fit(recipe(), PACK, halves(PACK), tmp_path / "file")


def test_two_processes_on_one_run_folder(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom featherseg.storage import locked\n"
        "with locked(Path(sys.argv[1]), 'training'):\n"
        "    print('held', flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StorageError, match="in use by another process"):
            fit(recipe(), PACK, halves(PACK), tmp_path / "run")
        other.communicate("")
    with locked(tmp_path / "run", "test"):
        pass


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    honest = LOSSES["weight_balance"]
    calls = iter(range(100))

    def failing(logits: Any, mask: Any) -> Any:
        return honest(logits, mask) * (float("nan") if next(calls) == 6 else 1)

    monkeypatch.setitem(LOSSES, "weight_balance", failing)
    # Two steps and one validation an epoch: the seventh call is the first step of epoch 3.
    with pytest.raises(RunError, match=r"the loss is nan at step 5 \(epoch 3\).*lower --set lr"):
        fit(recipe("epochs=4"), PACK, halves(PACK), out)
    monkeypatch.setitem(LOSSES, "weight_balance", honest)
    assert len((out / "log.jsonl").read_text().splitlines()) == 2
    with pytest.raises(RunError, match=r"found no run\.json"):
        load_run(out)
    fit(recipe("epochs=4"), PACK, halves(PACK), out, resume=True)
    assert load_run(out).content["epochs"] == 4


def test_damaged_runs_are_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected a run folder, found nothing"):
        load_run(tmp_path / "none")
    for text, words in (
        ("{", "cannot be read"),
        ('{"schema": 9}', "expected a run of schema 1"),
        ('{"schema": 1}', "an entry is missing or wrong"),
    ):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(RunError, match=words):
            load_run(tmp_path)

"""The whole way once, on simulated ultrasound: from a folder of images to a scored bundle.

This file holds only the order of the steps; each step is what the command of the same name does.
"""

import json
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from featherseg.audit import Audit, audit
from featherseg.bundle import Bundle
from featherseg.datasets import Dataset, load_dataset, read_case
from featherseg.datasets.pack import pack
from featherseg.datasets.phantom import write_phantom
from featherseg.duplicates import find_duplicates
from featherseg.errors import StorageError
from featherseg.evaluation import Evaluation, Scoring, evaluate
from featherseg.export import export_bundle
from featherseg.images.overlay import overlay
from featherseg.images.raster import write_png
from featherseg.measure import measure
from featherseg.report.html import Report, Section, render_report
from featherseg.report.pictures import Picture, image_uri
from featherseg.report.scores import REPORT_FILE, SUMMARY_FILE, evaluation_report, write_scores
from featherseg.segment import Segmenter
from featherseg.splits import Split, make_split, save_split, subset
from featherseg.storage import write_json, write_text
from featherseg.summary import Stamp
from featherseg.train.files import LOG_FILE
from featherseg.train.loop import fit
from featherseg.train.recipe import load_recipe
from featherseg.train.show import Show
from featherseg.types import Mask
from featherseg.verify import verify_bundle

# As many for validation as for testing: fewer cannot choose an operating point.
FRACTIONS = (0.6, 0.2, 0.2)
_TITLE = "FeatherSeg demo: lesions in simulated breast ultrasound"
_FRESH_CASES = 6
# Fresh images come from another seed, far from those that users try one after the other.
_FRESH_SEED_OFFSET = 1_000_003
_PARTS = ("data", "run", "bundle", "scores", "fresh")
# Stands in a folder that the demo made, complete or not: only there it may remove anything.
_MARKER = ".featherseg-demo"


def prepare_folder(out: Path, overwrite: bool) -> None:
    """Make `out` ready: a new or empty folder, or with `overwrite` that of an earlier demo."""
    if out.exists() and not out.is_dir():
        raise StorageError(f"{out}: expected a folder for the demo, found a file")
    if out.is_dir() and any(out.iterdir()):
        if not overwrite:
            raise StorageError(
                f"{out} is not empty; choose another --out, or add --overwrite to replace the "
                "demo in it"
            )
        if not (out / _MARKER).is_file():
            raise StorageError(f"{out} holds files that no demo made; choose another --out")
        for name in _PARTS:
            shutil.rmtree(out / name, ignore_errors=True)
    write_text(out / _MARKER, "made by featherseg demo; --overwrite replaces what is here\n")


def run_demo(out: Path, settings: Sequence[str], cases: int, seed: int, show: Show) -> Path:
    """Run every step below folder `out` and give the path of the report.

    `settings` change the recipe `demo` ("key=value"). Writes summary.json (`test`, `seconds`,
    `bundle`, `report`, ...) and report.html beside what each step leaves.
    """
    started = time.perf_counter()
    show.say(f"1/6  simulating {cases} images of breast ultrasound")
    write_phantom(out / "data", cases, seed, progress=lambda all_: show.track(all_, "simulating"))
    dataset = load_dataset(out / "data", "phantom")

    show.say("2/6  auditing and splitting them")
    split, findings = _split(dataset, seed, out, show)

    show.say("3/6  training a lightweight network")
    _train(dataset, split, settings, out, show)

    show.say("4/6  exporting a bundle and comparing the runtimes with PyTorch")
    with show.busy("exporting"):
        bundle = export_bundle(out / "run", out / "bundle")
        verification = verify_bundle(bundle)
    if verification.findings:
        raise StorageError(f"{bundle.folder} does not verify: {'; '.join(verification.findings)}")

    show.say("5/6  scoring the bundle on the test images")
    segmenter = Segmenter.from_bundle(bundle)
    evaluation, summary = _score(segmenter, dataset, split, out, show)

    show.say("6/6  segmenting fresh images and writing the report")
    with show.busy("drawing"):
        fresh = _segment_fresh(segmenter, out / "fresh", seed + _FRESH_SEED_OFFSET)
        report = evaluation_report(_TITLE, summary, evaluation, segmenter, dataset)
        page = _with_demo(report, bundle, findings, fresh, out)
        write_text(out / REPORT_FILE, render_report(page))
    write_json(out / SUMMARY_FILE, _summary(summary, bundle, started))
    return out / REPORT_FILE


def _split(dataset: Dataset, seed: int, out: Path, show: Show) -> tuple[Split, Audit]:
    duplicates = find_duplicates(dataset, lambda cases: show.track(cases, "comparing"))
    split = make_split(dataset, duplicates, fractions=FRACTIONS, seed=seed)
    save_split(split, out / "data" / "split.json")
    return split, audit(dataset, split, lambda cases: show.track(cases, "auditing"))


def _train(dataset: Dataset, split: Split, settings: Sequence[str], out: Path, show: Show) -> None:
    recipe = load_recipe("demo", settings)
    packed = pack(
        dataset,
        recipe.input_size,
        recipe.in_channels,
        lambda cases: show.track(cases, "packing"),
    )
    subsets = {name: subset(split, name) for name in ("train", "validation")}
    provenance = {
        "protocol": split.protocol,
        "split_sha256": split.sha256,
        "split": json.loads((out / "data" / "split.json").read_text()),
    }
    with show.training() as tell:
        fit(recipe, packed, subsets, out / "run", provenance=provenance, progress=tell)


def _score(
    segmenter: Segmenter, dataset: Dataset, split: Split, out: Path, show: Show
) -> tuple[Evaluation, dict[str, Any]]:
    ids = subset(split, "test")
    evaluation = evaluate(
        segmenter,
        dataset,
        ids,
        lambda cases: show.track(list(cases), "scoring"),
        Scoring.of(segmenter),
    )
    stamp = Stamp(
        subset="test",
        external=False,
        protocol=split.protocol,
        split_sha256=split.sha256,
        images_sha256=split.images_sha256,
        chosen_on="validation",
        model={"id": segmenter.model_id, "kind": "bundle"},
    )
    return evaluation, write_scores(evaluation, stamp, out / "scores")


def _segment_fresh(segmenter: Segmenter, out: Path, seed: int) -> tuple[Picture, ...]:
    """Simulate images that no step has seen, segment them, and draw the results."""
    write_phantom(out, _FRESH_CASES, seed)
    dataset = load_dataset(out, "phantom")
    pictures = []
    for case in dataset.cases:
        image, truth = read_case(dataset, case)
        found = segmenter(image)
        write_png(out / "found" / f"{case.id}.png", found.mask * 255)
        drawn = overlay(image.pixels, found.mask, truth)
        pictures.append(Picture(case.label, _sizes(found.mask), image_uri(drawn)))
    return tuple(pictures)


def _sizes(mask: Mask) -> str:
    """What was measured in a mask of one label, in pixels."""
    found = measure(mask)[0]
    if not found.area_px:
        return "nothing found"
    return f"{found.area_px:.0f} px, axes {found.long_axis_px:.0f} x {found.short_axis_px:.0f} px"


def _with_demo(
    report: Report, bundle: Bundle, findings: Audit, fresh: tuple[Picture, ...], out: Path
) -> Report:
    """Add curves, cost, audit and fresh images to the report of the scores."""
    log = (out / "run" / LOG_FILE).read_text().splitlines()
    history = [json.loads(line) for line in log]
    size_mb = sum((bundle.folder / name).stat().st_size for name in bundle.manifest.files) / 1e6
    height, width = bundle.manifest.preprocessing.input_size
    network = bundle.manifest.network.name
    cost = (
        ("Network", f"{network}, input {height} x {width}"),
        ("Parameters", f"{bundle.manifest.parameters:,}"),
        ("Bundle, both formats", f"{size_mb:.1f} MB"),
        ("Training, median epoch", f"{median(entry['seconds'] for entry in history):.1f} s"),
        ("Processor", platform.processor() or platform.machine()),
    )
    return replace(
        report,
        history=history,
        cost=cost + report.cost,
        sections=(_fresh_section(fresh), _audit_section(findings)),
    )


def _fresh_section(fresh: tuple[Picture, ...]) -> Section:
    return Section(
        "Fresh images",
        ("Simulated after training with another seed; segmented by the bundle, without PyTorch.",),
        pictures=fresh,
    )


def _audit_section(findings: Audit) -> Section:
    values = findings.to_json()
    names = ("images", "distinct", "duplicate_groups", "contradictions", "unreadable", "empty")
    shown = ((name, values[name]) for name in names)
    table = tuple(
        (name.replace("_", " "), str(len(value) if isinstance(value, list) else value))
        for name, value in shown
    )
    return Section("What the audit found", table=table)


def _summary(scores: dict[str, Any], bundle: Bundle, started: float) -> dict[str, Any]:
    return {
        "schema": "featherseg.demo/1",
        "test": scores,
        "seconds": round(time.perf_counter() - started, 1),
        "bundle": bundle.folder.name,
        "bundle_id": bundle.id,
        "report": REPORT_FILE,
    }

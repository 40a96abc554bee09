"""Do the runtimes on this machine give a bundle's own masks? Compared with its stored logits.

Export applies the same limits to all validation images it has before a bundle is written.
"""

from dataclasses import dataclass

import numpy as np

from featherseg.bundle import (
    AgreementEntry,
    Bundle,
    CheckData,
    FloatPrecision,
    Weights,
    read_check,
)
from featherseg.extras import installed_version
from featherseg.postprocess import (
    OperatingPoint,
    class_probabilities,
    label_pixels,
    select_components,
)
from featherseg.preprocess import normalize
from featherseg.runtime import Precision, Session, open_session
from featherseg.runtime.cpu import default_precision
from featherseg.types import Floats, Mask

# Rounding differs between runtimes: in f32 logits may move by a thousandth of the largest, and one
# pixel in ten thousand may cross the threshold. bf16 keeps eight bits of mantissa, so that only
# its pixels are judged; its limit on logits catches what is not a number. Weights rounded to
# float16 (11 bits, an error of 3e-4 on average) are compared with torch's unrounded ones: over
# twenty layers such errors add up to about a thousandth, and ten times that is allowed. In bf16
# they drown in its own rounding.
_HALVED = "f32 with float16 weights"
#
# An int8 network is compared with its own logits on the machine that made it. Processors multiply
# its integers alike but round differently in between, and a value next to a step of 1/255 of its
# layer's range then falls on either side of it: as for bf16 only its pixels are judged, and the
# mean Dice, by twice what the gate allows since a bundle keeps few images.
LARGEST_DIFFERENCE = {"f32": 1e-3, _HALVED: 1e-2, "bf16": 1.0, "int8": 1.0}
DIFFERING_PIXELS = {"f32": 1e-4, _HALVED: 1e-3, "bf16": 5e-3, "int8": 5e-3}
DICE_CHANGE = {"int8": 0.01}
_NOT_A_NUMBER = 1e30


@dataclass(frozen=True)
class Verification:
    """How each runtime did, and one sentence for each that did not agree."""

    agreements: tuple[AgreementEntry, ...]
    findings: tuple[str, ...]


def verify_bundle(bundle: Bundle) -> Verification:
    """Run a bundle's check images with every runtime and precision that `predict` can use here.

    Raises BundleError for check data that cannot be read or a model that a runtime refuses.
    """
    check = read_check(bundle)
    batch = normalize(check.images, bundle.preprocessing)
    if bundle.manifest.precision == "int8":
        session = open_session(bundle)
        agreements = [as_int8(compare(session, batch, check, bundle.operating_point))]
    else:
        agreements = [
            compare(open_session(bundle, runtime, precision), batch, check, bundle.operating_point)
            for runtime, precision in usable_runtimes(bundle.manifest.precision)
        ]
    weights = bundle.manifest.weights
    findings = tuple(each for one in agreements for each in disagreements(one, weights))
    return Verification(tuple(agreements), findings)


def usable_runtimes(stored: FloatPrecision = "auto") -> tuple[tuple[str, Precision], ...]:
    """The (runtime, precision) pairs that can run here; ONNX Runtime only where installed.

    `stored` is the precision that a bundle asks OpenVINO for; f32 is always among them.
    """
    own = default_precision() if stored == "auto" else stored
    pairs: list[tuple[str, Precision]] = [
        ("openvino", each) for each in dict.fromkeys(("f32", own))
    ]
    if installed_version("onnxruntime") is not None:
        pairs.append(("onnxruntime", "f32"))
    return tuple(pairs)


def compare(
    session: Session, batch: Floats, check: CheckData, point: OperatingPoint
) -> AgreementEntry:
    """Compare a session's logits for `batch` (n, C, h, w) with the stored ones.

    Pixels are compared as thresholded, before parts are dropped: that step is the same code for
    all, but would turn one differing pixel into a whole part. Dice is that of the final masks.
    """
    logits = session.logits(batch)
    difference = np.abs(logits - check.logits).max() / max(1.0, np.abs(check.logits).max())
    expected = [label_pixels(class_probabilities(each), point.threshold) for each in check.logits]
    found = [label_pixels(class_probabilities(each), point.threshold) for each in logits]
    change = _mean_dice(check.masks, found, point) - _mean_dice(check.masks, expected, point)
    return AgreementEntry(
        runtime=session.runtime,
        precision=session.precision,
        images=len(batch),
        largest_difference=float(np.nan_to_num(difference, nan=_NOT_A_NUMBER)),
        differing_pixels=float(np.mean(np.stack(expected) != np.stack(found))),
        dice_change=change,
    )


def as_int8(agreement: AgreementEntry) -> AgreementEntry:
    """The same, named after the network's integers and not after what is computed between them."""
    return agreement.model_copy(update={"precision": "int8"})


def disagreements(agreement: AgreementEntry, weights: Weights = "float32") -> list[str]:
    """One sentence for each limit that an agreement breaks; `weights` is how they are stored."""
    is_halved = agreement.precision == "f32" and weights == "float16"
    how = _HALVED if is_halved else agreement.precision
    who = f"{agreement.runtime} in {how}"
    sentences = []
    limit = LARGEST_DIFFERENCE[how]
    if agreement.largest_difference > limit:
        sentences.append(
            f"{who}: logits differ by {agreement.largest_difference:.2e} of the largest, "
            f"over the limit of {limit:g}"
        )
    limit = DIFFERING_PIXELS[how]
    if agreement.differing_pixels > limit:
        sentences.append(
            f"{who}: {agreement.differing_pixels:.2e} of the mask pixels differ, "
            f"over the limit of {limit:g}"
        )
    limit = DICE_CHANGE.get(how, 1.0)
    if abs(agreement.dice_change) > limit:
        sentences.append(
            f"{who}: mean Dice changes by {agreement.dice_change:+.4f}, over the limit of {limit:g}"
        )
    return sentences


def _mean_dice(truths: Mask, found: list[Mask], point: OperatingPoint) -> float:
    """Mean Dice of any foreground over all images, two empty masks counting 1."""
    scores = []
    for truth, mask in zip(truths > 0, found, strict=True):
        kept = select_components(mask, point) > 0
        both = int(truth.sum()) + int(kept.sum())
        scores.append(2.0 * int((truth & kept).sum()) / both if both else 1.0)
    return float(np.mean(scores))

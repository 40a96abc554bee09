"""An image to a mask: preprocess, run, postprocess, and nothing else."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from featherseg.bundle import Bundle
from featherseg.likeness import Reference, image_statistics, unlike
from featherseg.postprocess import (
    OperatingPoint,
    class_probabilities,
    postprocess,
    resize_maps,
    select_components,
)
from featherseg.preprocess import (
    Geometry,
    Preprocessing,
    fit_mask,
    fit_pixels,
    normalize,
    preprocess,
)
from featherseg.runtime import Answer, MaskSession, Precision, Session, answer_of, open_session
from featherseg.runtime.flips import FlippedSession, Flips
from featherseg.runtime.masks import answer_masks
from featherseg.types import Floats, Image, Mask, Segmentation


@dataclass(frozen=True)
class Segmenter:
    """A network with everything that turns an image into a mask on the image's own grid.

    ``labels`` names the mask's values 1, 2, ...; ``model_id`` is the bundle's id, or whatever
    names the model that `session` runs; ``reference`` holds statistics of the training images,
    nothing where they are not known.
    """

    session: Session
    preprocessing: Preprocessing
    operating_point: OperatingPoint
    labels: tuple[str, ...]
    model_id: str
    reference: Reference = field(default_factory=dict)

    @classmethod
    def from_bundle(
        cls,
        bundle: Bundle,
        runtime: str = "openvino",
        precision: Precision | None = None,
        *,
        cache_dir: Path | None = None,
    ) -> Self:
        """Open a bundle's network; `cache_dir` and the errors are those of `open_session`."""
        return cls(
            session=open_session(bundle, runtime, precision, cache_dir=cache_dir),
            preprocessing=bundle.preprocessing,
            operating_point=bundle.operating_point,
            labels=bundle.manifest.labels,
            model_id=bundle.id,
            reference=bundle.manifest.statistics,
        )

    def __call__(self, image: Image) -> Segmentation:
        """Find the labels in one image."""
        answer, geometry = self._run(image)
        mask, probability = postprocess(
            answer.logits[0], geometry, self.operating_point, answer.presence
        )
        return Segmentation(mask, probability, self.labels, image, self.model_id)

    def fast_mask(self, image: Image) -> Mask:
        """The mask (H, W) made at the network's size and enlarged, without probabilities.

        Quicker than a call, as for video, and a little coarser: a call enlarges probabilities and
        thresholds them on the image's grid, this thresholds first and repeats pixels.
        """
        expected, point = self.preprocessing, self.operating_point
        batch = fit_pixels(image.pixels, expected.input_size, expected.channels)[np.newaxis]
        if isinstance(self.session, MaskSession):
            found = self.session.masks(batch)[0]
        else:
            found = answer_masks(answer_of(self.session, normalize(batch, expected)), point)[0]
        height, width = image.pixels.shape[:2]
        return fit_mask(select_components(found, point), (height, width))

    def probabilities(self, image: Image) -> Floats:
        """Class probabilities (C, H, W) on the image's grid, as `class_probabilities` has them."""
        answer, geometry = self._run(image)
        return resize_maps(class_probabilities(answer.logits[0]), geometry.image_size)

    def unlike(self, image: Image) -> list[str]:
        """In what an image is unlike the training images; `likeness.unlike`."""
        return unlike(image_statistics(image.pixels), self.reference)

    def _run(self, image: Image) -> tuple[Answer, Geometry]:
        batch, geometry = preprocess(image.pixels, self.preprocessing)
        return answer_of(self.session, batch), geometry


def with_flips(segmenter: Segmenter, flips: Flips | None) -> Segmenter:
    """The same segmenter, asked in several views of each image; None leaves it as it is."""
    if flips is None:
        return segmenter
    return replace(segmenter, session=FlippedSession(segmenter.session, flips))

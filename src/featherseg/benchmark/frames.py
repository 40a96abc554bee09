"""A frame as a clinic sees it: the bytes of a JPEG in, a picture with the outline out."""

from dataclasses import dataclass

import cv2
import numpy as np

from featherseg.datasets.simulate import simulate
from featherseg.images.overlay import overlay
from featherseg.segment import Segmenter
from featherseg.types import Image, Mask, Pixels

# What a scanner's screen is cut to, (height, width), and how cameras and archives store it.
_SCREEN = (540, 800)
_QUALITY = 90


@dataclass(frozen=True)
class Frame:
    """A stored gray picture and the mask that is drawn on it.

    Random weights find noise, whose outline takes longer than the network: everyone draws the
    true mask instead of what was found.
    """

    jpeg: bytes
    mask: Mask

    def as_scored(self, segmenter: Segmenter) -> Pixels:
        """Decode, segment as for a score, and draw."""
        image = self._decoded()
        segmenter(image)
        return overlay(image.pixels, self.mask)

    def as_video(self, segmenter: Segmenter) -> Pixels:
        """Decode, segment as for video, and draw."""
        image = self._decoded()
        segmenter.fast_mask(image)
        return overlay(image.pixels, self.mask)

    def _decoded(self) -> Image:
        stored = np.frombuffer(self.jpeg, np.uint8)
        pixels = np.asarray(cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE), np.uint8)
        return Image(pixels, None, "frame")


def simulated_frame() -> Frame:
    """A simulated image of a breast with a lesion, of a screen's size."""
    pixels, mask = simulate(0, "benign", _SCREEN)
    stored = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return Frame(stored.tobytes(), mask)

"""Test-time flips: an image is run as it is and flipped, and the answers are averaged."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from featherseg.types import Floats

if TYPE_CHECKING:
    from featherseg.runtime import Session

Flips = Literal["horizontal", "both"]

_ROW, _COLUMN = 2, 3
# The axes that each view turns around; the first is the image as it is.
VIEWS: dict[Flips, tuple[tuple[int, ...], ...]] = {
    "horizontal": ((), (_COLUMN,)),
    "both": ((), (_COLUMN,), (_ROW,), (_ROW, _COLUMN)),
}
# Far below any probability that counts, and far above the smallest float32; the probability of a
# logit of about -69.
_LEAST_PROBABILITY = 1e-30
_FARTHEST = 69.0


@dataclass(frozen=True)
class FlippedSession:
    """A session that sees every image in several views, and so takes that many times as long.

    "horizontal" adds the image with left and right exchanged; "both" adds the one upside down
    and the one turned by 180 degrees as well.
    """

    session: "Session"
    flips: Flips

    @property
    def runtime(self) -> str:
        """That of the session."""
        return self.session.runtime

    @property
    def precision(self) -> str:
        """That of the session."""
        return self.session.precision

    def logits(self, batch: Floats) -> Floats:
        """Run float32 (N, C, h, w) to logits (N, K, h, w) of the views' mean probability.

        Each view's answer is turned back before the mean is taken.
        """
        answers = []
        for axes in VIEWS[self.flips]:
            turned = np.ascontiguousarray(np.flip(batch, axes))
            answers.append(np.flip(self.session.logits(turned), axes))
        return mean_as_logits(np.stack(answers))


def mean_as_logits(answers: Floats) -> Floats:
    """The logits (N, K, h, w) of the mean probability of several answers (M, N, K, h, w).

    Probabilities are averaged, not logits, so that one sure view cannot outvote the others. One
    channel is a sigmoid: the logit of the mean. Several are a softmax, of which the logarithm of
    the mean is one set of logits. Probabilities below 1e-30 count as that.
    """
    if answers.shape[2] == 1:
        return np.asarray(_log_mean(_sigmoid(answers)) - _log_mean(_sigmoid(-answers)), np.float32)
    raised = np.exp(answers - answers.max(axis=2, keepdims=True))
    return _log_mean(raised / raised.sum(axis=2, keepdims=True))


def _log_mean(probabilities: Floats) -> Floats:
    mean = probabilities.mean(axis=0)
    return np.asarray(np.log(np.maximum(mean, _LEAST_PROBABILITY)), np.float32)


def _sigmoid(values: Floats) -> Floats:
    """The logistic function, with all its digits where it is near 0, too."""
    bounded = np.clip(values, -_FARTHEST, _FARTHEST)
    return np.asarray(1.0 / (1.0 + np.exp(-bounded)), np.float32)

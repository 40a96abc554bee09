"""Test-time flips: an image is run as it is and flipped, and the answers are averaged."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from featherseg.runtime import Answer, Session, answer_of
from featherseg.types import Floats

Flips = Literal["horizontal", "both"]

_ROW, _COLUMN = 2, 3
# The axes that each view turns around; the first is the image as it is.
VIEWS: dict[Flips, tuple[tuple[int, ...], ...]] = {
    "horizontal": ((), (_COLUMN,)),
    "both": ((), (_COLUMN,), (_ROW,), (_ROW, _COLUMN)),
}


@dataclass(frozen=True)
class FlippedSession:
    """A session that sees every image in several views, and so takes that many times as long.

    "horizontal" adds the image with left and right exchanged; "both" adds the one upside down
    and the one turned by 180 degrees as well.
    """

    session: Session
    flips: Flips

    @property
    def runtime(self) -> str:
        """That of the session."""
        return self.session.runtime

    @property
    def precision(self) -> str:
        """That of the session."""
        return self.session.precision

    def answer(self, batch: Floats) -> Answer:
        """Run float32 (N, C, h, w) to the logits of the views' mean probabilities.

        Each view's answer is turned back before the mean is taken.
        """
        answers = [
            _turned_back(answer_of(self.session, np.ascontiguousarray(np.flip(batch, axes))), axes)
            for axes in VIEWS[self.flips]
        ]
        logits = mean_as_logits(np.stack([each.logits for each in answers]))
        presences = [each.presence for each in answers if each.presence is not None]
        if not presences:
            return Answer(logits)
        mean = mean_as_logits(np.stack(presences)[..., np.newaxis, np.newaxis])
        return Answer(logits, mean[..., 0, 0])

    def logits(self, batch: Floats) -> Floats:
        """Run float32 (N, C, h, w) to logits (N, K, h, w) of the views' mean probability."""
        return self.answer(batch).logits


def _turned_back(answer: Answer, axes: tuple[int, ...]) -> Answer:
    return Answer(np.flip(answer.logits, axes), answer.presence)


def mean_as_logits(answers: Floats) -> Floats:
    """The logits (N, K, h, w) of the mean probability of several answers (M, N, K, h, w).

    Probabilities are averaged, not logits, so that one sure view cannot outvote the others. One
    channel is a sigmoid: the logit of the mean. Several are a softmax, of which the logarithm of
    the mean is one set of logits. In logarithms, so that nothing sure is rounded to certainty.
    """
    if answers.shape[2] == 1:
        is_not = -_softplus(answers)
        mean = _log_sum(answers + is_not, axis=0) - _log_sum(is_not, axis=0)
    else:
        shares = answers - np.expand_dims(_log_sum(answers, axis=2), 2)
        mean = _log_sum(shares, axis=0) - np.float32(np.log(len(answers)))
    return np.asarray(mean, np.float32)


def _softplus(values: Floats) -> Floats:
    """log(1 + exp(x)), without overflow; minus it is the logarithm of one minus the sigmoid."""
    return np.asarray(np.maximum(values, 0) + np.log1p(np.exp(-np.abs(values))), np.float32)


def _log_sum(values: Floats, axis: int) -> Floats:
    """log of the sum of exp along an axis, without overflow."""
    highest = values.max(axis=axis, keepdims=True)
    total = np.exp(values - highest).sum(axis=axis)
    return np.asarray(np.squeeze(highest, axis) + np.log(total), np.float32)

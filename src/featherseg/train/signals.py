"""What a student learns from a teacher, and what it costs the student not to have learned it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from featherseg.losses import attention_map, attention_transfer, channel_wise, kl_divergence
from featherseg.losses.labels import log_probabilities
from featherseg.networks.presence import with_presence

# Beyond these a probability's logit says more about rounding than about the teacher.
_LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True, eq=False)
class Answer:
    """What a network makes of a batch.

    ``logits`` is (N, C, H, W); ``features`` (N, F, h, w) is what its last convolution was given,
    None where a network has none; ``presence`` holds logits (N, 1), None without such a head.
    """

    logits: Tensor
    features: Tensor | None
    presence: Tensor | None = None


@dataclass(frozen=True)
class Transfer:
    """One way of teaching.

    ``say`` makes planes (N, P, H, W) at the logits' size, float32, out of the answers of a
    teacher's networks. ``cost`` is the student's loss against them, 0 where it agrees, of
    (its answer, planes, temperature).
    """

    say: Callable[[Sequence[Answer]], Tensor]
    cost: Callable[[Answer, Tensor, float], Tensor]


def answer(network: Any, images: Tensor) -> Answer:
    """Run a network and catch what enters the last convolution that is executed."""
    seen: list[Tensor] = []

    def catch(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[:] = inputs[:1]

    convolutions = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
    handles = [each.register_forward_pre_hook(catch) for each in convolutions]
    try:
        logits, presence = with_presence(network, images)
    finally:
        for handle in handles:
            handle.remove()
    return Answer(logits, seen[0] if seen else None, presence)


def probabilities(answers: Sequence[Answer]) -> Tensor:
    """The mean probability of each foreground label over some networks (N, K, H, W)."""
    foreground = [log_probabilities(each.logits)[:, 1:].exp() for each in answers]
    return torch.stack(foreground).mean(dim=0)


def attention(answers: Sequence[Answer]) -> Tensor:
    """The mean attention map of some networks (N, 1, H, W), each of mean square 1 an image.

    Maps are made as large as the logits, so that they can be warped as masks are, and averaged
    over networks whose last features differ in size: pixels are repeated, which averaging undoes.
    """
    maps = []
    for each in answers:
        drawn = attention_map(_features(each))
        drawn = F.interpolate(drawn, each.logits.shape[2:], mode="nearest")
        level = drawn.square().mean(dim=(2, 3), keepdim=True).sqrt()
        maps.append(drawn / level.clamp(min=torch.finfo(drawn.dtype).tiny))
    return torch.stack(maps).mean(dim=0)


def foreground_logits(foreground: Tensor, channels: int) -> Tensor:
    """The logits (N, C, H, W) that have these probabilities of the foreground labels (N, K, H, W).

    C = 1 is a sigmoid's, C = K + 1 are a softmax's, normalized: log-probabilities.
    """
    if channels == 1:
        return torch.logit(foreground.float(), eps=_LEAST_PROBABILITY)
    background = 1 - foreground.float().sum(dim=1, keepdim=True)
    every = torch.cat((background, foreground.float()), dim=1)
    return every.clamp(min=_LEAST_PROBABILITY).log()


def _kl(student: Answer, planes: Tensor, temperature: float) -> Tensor:
    return kl_divergence(student.logits, planes, temperature)


def _channel_wise(student: Answer, planes: Tensor, temperature: float) -> Tensor:
    """Softmax logits are compared as log-probabilities: a pixel's common level says nothing."""
    logits = student.logits
    channels = logits.shape[1]
    own = logits if channels == 1 else log_probabilities(logits)
    return channel_wise(own, foreground_logits(planes, channels), temperature)


def _attention(student: Answer, planes: Tensor, _: float) -> Tensor:
    return attention_transfer(_features(student), planes)


def _features(each: Answer) -> Tensor:
    if each.features is None:
        raise TypeError("attention needs a network with a convolution")
    return each.features


TRANSFERS = {
    "predictions": Transfer(probabilities, _kl),
    "channel_wise": Transfer(probabilities, _channel_wise),
    "attention": Transfer(attention, _attention),
}

"""Losses against a teacher, for a student that learns from another network's answers.

Each is a float32 scalar >= 0 that is 0 where student and teacher agree, with finite gradients
for logits and features of any dtype. No gradient reaches the teacher: a teacher that is trained
along learns from its own masks.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from featherseg.losses.labels import log_probabilities

_TINY = torch.finfo(torch.float32).tiny


def kl_divergence(logits: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """T^2 KL(teacher || student), mean over pixels, both softened by the temperature T.

    `logits` is (N, C, H, W), C = 1 a sigmoid. `teacher` is (N, K, H, W), the probabilities in
    [0, 1] of the K = max(1, C - 1) foreground labels; the background has what is left of 1. T
    divides the student's logits and takes the teacher's probabilities to the power 1 / T. That is
    the same thing as far as float32 holds the probabilities: above T = 1, a teacher surer of the
    foreground than about 1 - 1e-5 is read as surer still.

    Hinton et al. 2015, arXiv:1503.02531, section 2; LightBTSeg, equation 8 (T = 1).
    """
    student = log_probabilities(logits.float() / temperature)
    foreground = teacher.detach().float()
    # An average or a warp of probabilities may sum to a rounding error above 1.
    background = (1 - foreground.sum(dim=1, keepdim=True)).clamp(min=0)
    softened = torch.cat((background, foreground), dim=1).pow(1 / temperature)
    target = softened / softened.sum(dim=1, keepdim=True)
    # A label of probability 0 adds 0 to the sum, as the limit of p ln p.
    divergence = (target * (target.clamp(min=_TINY).log() - student)).sum(dim=1)
    return temperature**2 * _not_negative(divergence.mean())


def channel_wise(logits: Tensor, teacher_maps: Tensor, temperature: float = 4.0) -> Tensor:
    """T^2 KL(teacher || student) of where each channel is active, mean over channels and images.

    Both are logits (N, C, H, W) of one shape. The softmax of each channel runs over its pixels,
    so that a channel's level does not matter, only its pattern; the divergence is summed over
    pixels. Shu et al. 2021, arXiv:2011.13256, section 3.2; T = 4 is theirs for logits.
    """
    student = F.log_softmax(logits.float().flatten(2) / temperature, dim=2)
    teacher = F.log_softmax(teacher_maps.detach().float().flatten(2) / temperature, dim=2)
    divergence = (teacher.exp() * (teacher - student)).sum(dim=2)
    return temperature**2 * _not_negative(divergence.mean())


def attention_map(features: Tensor) -> Tensor:
    """Where features (N, C, H, W) are strong: their squares summed over channels (N, 1, H, W).

    float32. Zagoruyko and Komodakis 2017, arXiv:1612.03928, section 3.1, with p = 2.
    """
    return features.float().square().sum(dim=1, keepdim=True)


def attention_transfer(student_features: Tensor, teacher_attention: Tensor) -> Tensor:
    """Squared distance of two attention maps, each of length 1 over its pixels; mean over images.

    `student_features` is (N, C, H, W), `teacher_attention` (N, 1, H', W') an `attention_map`.
    Where their sizes differ, both are averaged down to the smaller height and width. The values
    lie in [0, 2]. Zagoruyko and Komodakis 2017, arXiv:1612.03928, section 3.1.
    """
    student, teacher = attention_map(student_features), teacher_attention.detach().float()
    height = min(student.shape[2], teacher.shape[2])
    width = min(student.shape[3], teacher.shape[3])
    apart = _unit_length(student, (height, width)) - _unit_length(teacher, (height, width))
    return apart.square().sum(dim=1).mean()


def uniform_kl(logits: Tensor) -> Tensor:
    """KL(uniform || student) over the labels, mean over pixels: the pull of label smoothing.

    It is the teacher that knows nothing. (1 - e) cross-entropy + e `uniform_kl` has the gradient
    of cross-entropy with targets smoothed by e (Szegedy et al. 2016, arXiv:1512.00567, section 7).
    """
    log_probability = log_probabilities(logits)
    return _not_negative(-log_probability.mean() - math.log(log_probability.shape[1]))


def _unit_length(attention: Tensor, size: tuple[int, int]) -> Tensor:
    """Attention (N, 1, H, W) averaged to a size, as vectors (N, pixels) of length 1, or of 0s."""
    return F.normalize(F.adaptive_avg_pool2d(attention, size).flatten(1), dim=1)


def _not_negative(divergence: Tensor) -> Tensor:
    """A divergence without the rounding error that can take it below 0."""
    return divergence.clamp(min=0)

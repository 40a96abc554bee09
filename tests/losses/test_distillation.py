"""Losses against a teacher: torch's divergence, closed forms, slow loops, and certain teachers."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from featherseg.losses import (
    attention_map,
    attention_transfer,
    bce,
    channel_wise,
    kl_divergence,
    uniform_kl,
)

every_temperature = pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
every_channels = pytest.mark.parametrize("channels", [1, 2, 4])
seeds = st.integers(0, 10_000)


def maps(channels: int, seed: int = 0, scale: float = 2.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(3, channels, 6, 5, generator=generator)


def foreground(logits: Tensor) -> Tensor:
    """A teacher's probabilities of the foreground labels."""
    return torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)[:, 1:]


def slope(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    leaf = logits.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(leaf), leaf)
    return found


# --- kl_divergence


@every_temperature
@pytest.mark.parametrize("channels", [2, 4])
def test_kl_equals_torch_for_a_softmax(channels: int, temperature: float) -> None:
    student, teacher = maps(channels, 1), maps(channels, 2)
    divergence = torch.nn.KLDivLoss(reduction="sum")(
        F.log_softmax(student / temperature, dim=1), F.softmax(teacher / temperature, dim=1)
    )
    expected = temperature**2 * divergence / (3 * 6 * 5)
    value = kl_divergence(student, foreground(teacher), temperature)
    assert torch.allclose(value, expected, rtol=1e-4)


@every_temperature
def test_kl_of_one_sigmoid_channel_is_that_of_two_labels(temperature: float) -> None:
    student, teacher = maps(1, 1), maps(1, 2)
    p = torch.sigmoid(teacher.double() / temperature)
    q = torch.sigmoid(student.double() / temperature)
    bernoulli = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    value = kl_divergence(student, foreground(teacher), temperature)
    assert value.item() == pytest.approx(temperature**2 * bernoulli.mean().item(), rel=1e-4)
    two = torch.cat((torch.zeros_like(student), student), dim=1)
    assert torch.allclose(value, kl_divergence(two, foreground(teacher), temperature))


def test_kl_by_hand() -> None:
    """Teacher 1/4, student 1/2; at T = 2 the teacher is 1 / (1 + sqrt 3)."""
    student, teacher = torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.25)
    entropy = 0.25 * math.log(0.25) + 0.75 * math.log(0.75)
    assert kl_divergence(student, teacher).item() == pytest.approx(entropy + math.log(2))
    p = 1 / (1 + math.sqrt(3))
    entropy = p * math.log(p) + (1 - p) * math.log(1 - p)
    softened = kl_divergence(student, teacher, 2.0).item()
    assert softened == pytest.approx(4 * (entropy + math.log(2)), rel=1e-5)


@every_channels
def test_kl_to_a_teacher_that_is_the_mask_is_cross_entropy(channels: int) -> None:
    """0 ln 0 counts as 0: a probability of exactly 0 or 1 is an ordinary teacher."""
    student = maps(channels, 1)
    labels = max(2, channels)
    mask = torch.randint(0, labels, (3, 6, 5), generator=torch.Generator().manual_seed(2))
    teacher = F.one_hot(mask, labels).permute(0, 3, 1, 2).float()[:, 1:]
    assert torch.allclose(kl_divergence(student, teacher), bce(student, mask))


@every_temperature
def test_the_temperature_keeps_the_size_of_the_slope(temperature: float) -> None:
    """The slope is T (q - p) a pixel: 1 / T from softening twice, T^2 from the factor."""
    student, teacher = maps(4, 1), maps(4, 2)
    q = torch.softmax(student / temperature, dim=1)
    p = torch.softmax(teacher / temperature, dim=1)
    found = slope(lambda leaf: kl_divergence(leaf, foreground(teacher), temperature), student)
    assert torch.allclose(found, temperature * (q - p) / 90, atol=1e-6)


def test_kl_at_a_high_temperature_compares_logits() -> None:
    """Hinton et al., section 2.1: half the squared difference of logits, weighted 1/4."""
    student, teacher = maps(1, 1, 1.0), maps(1, 2, 1.0)
    expected = (student - teacher).square().mean() / 8
    value = kl_divergence(student, foreground(teacher), 30.0)
    assert value.item() == pytest.approx(expected.item(), rel=5e-3)


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    channels=st.sampled_from([1, 2, 4]),
    scale=st.sampled_from([1.0, 20.0, 80.0]),
    temperature=st.sampled_from([0.5, 1.0, 4.0]),
    sure=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_kl_is_finite_and_not_negative(
    seed: int, channels: int, scale: float, temperature: float, sure: bool, dtype: torch.dtype
) -> None:
    student = maps(channels, seed, scale).to(dtype).requires_grad_()
    teacher = foreground(maps(channels, seed + 1, scale))
    if sure:
        teacher = (teacher > 0.5).float()
    value = kl_divergence(student, teacher, temperature)
    (found,) = torch.autograd.grad(value, student)
    assert value.dtype == torch.float32
    assert 0 <= value < math.inf
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("level", [-80.0, 80.0])
@pytest.mark.parametrize("answer", [0.0, 1.0])
def test_kl_pushes_a_saturated_student_that_is_wrong(level: float, answer: float) -> None:
    student, teacher = torch.full((1, 1, 2, 2), level), torch.full((1, 1, 2, 2), answer)
    value = kl_divergence(student, teacher)
    wrong = (level > 0) != (answer > 0)
    assert value.item() == pytest.approx(80.0 if wrong else 0.0)
    found = slope(lambda leaf: kl_divergence(leaf, teacher), student)
    assert torch.allclose(found, torch.full_like(found, math.copysign(wrong / 4, level)))


@settings(max_examples=25, deadline=None)
@given(seed=seeds, channels=st.sampled_from([1, 2, 4]), scale=st.sampled_from([1.0, 20.0, 80.0]))
def test_a_student_like_its_teacher_costs_nothing(seed: int, channels: int, scale: float) -> None:
    same = maps(channels, seed, scale)
    assert kl_divergence(same, foreground(same)) <= 1e-6
    assert channel_wise(same, same) <= 1e-6
    assert attention_transfer(same, attention_map(same)) <= 1e-6


@every_channels
@pytest.mark.parametrize("temperature", [2.0, 4.0])
def test_a_softened_student_like_its_teacher_costs_nothing(
    channels: int, temperature: float
) -> None:
    same = maps(channels).clamp(-4, 4)
    assert kl_divergence(same, foreground(same), temperature) <= 1e-6


def test_probabilities_that_sum_to_a_little_more_than_one_are_taken() -> None:
    teacher = torch.full((1, 2, 1, 1), 0.5) * (1 + 1e-6)
    value = kl_divergence(torch.tensor([-80.0, 0.0, 0.0]).reshape(1, 3, 1, 1), teacher)
    assert 0 <= value < 1e-5


# --- uniform_kl


def test_uniform_kl_by_hand() -> None:
    assert uniform_kl(torch.zeros(1, 1, 2, 2)).item() == pytest.approx(0, abs=1e-7)
    assert uniform_kl(torch.zeros(1, 3, 2, 2)).item() == pytest.approx(0, abs=1e-7)
    # Labels at 3/4 and 1/4: ln(1/2) - (ln(3/4) + ln(1/4)) / 2.
    quarter = torch.full((1, 1, 2, 2), math.log(1 / 3))
    assert uniform_kl(quarter).item() == pytest.approx(-math.log(math.sqrt(3) / 2))


@every_channels
def test_uniform_kl_is_the_divergence_from_an_even_teacher(channels: int) -> None:
    logits = maps(channels)
    even = torch.full((3, max(1, channels - 1), 6, 5), 1 / max(2, channels))
    assert torch.allclose(uniform_kl(logits), kl_divergence(logits, even), atol=1e-6)


def test_uniform_kl_beside_cross_entropy_is_label_smoothing() -> None:
    logits = maps(4)
    mask = torch.randint(0, 4, (3, 6, 5), generator=torch.Generator().manual_seed(2))
    share = 0.2
    ours = (1 - share) * bce(logits, mask) + share * (uniform_kl(logits) + math.log(4))
    assert torch.allclose(ours, F.cross_entropy(logits, mask, label_smoothing=share))


@settings(max_examples=25, deadline=None)
@given(
    seed=seeds,
    channels=st.sampled_from([1, 2, 4]),
    scale=st.sampled_from([0.0, 1.0, 80.0]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_uniform_kl_is_finite_and_not_negative(
    seed: int, channels: int, scale: float, dtype: torch.dtype
) -> None:
    logits = maps(channels, seed, scale).to(dtype).requires_grad_()
    value = uniform_kl(logits)
    (found,) = torch.autograd.grad(value, logits)
    assert value.dtype == torch.float32
    assert 0 <= value < math.inf
    assert torch.isfinite(found).all()


# --- channel_wise


def slow_channel_wise(student: np.ndarray, teacher: np.ndarray, temperature: float) -> float:
    values = []
    for image in range(len(student)):
        for channel in range(student.shape[1]):
            weights = [
                [math.exp(x / temperature) for x in source[image, channel].ravel()]
                for source in (student, teacher)
            ]
            q, p = ([w / sum(side) for w in side] for side in weights)
            values.append(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    return temperature**2 * sum(values) / len(values)


@every_temperature
@every_channels
def test_channel_wise_equals_a_slow_loop(channels: int, temperature: float) -> None:
    student, teacher = maps(channels, 1), maps(channels, 2)
    expected = slow_channel_wise(student.double().numpy(), teacher.double().numpy(), temperature)
    value = channel_wise(student, teacher, temperature)
    assert value.item() == pytest.approx(expected, rel=1e-4)


def test_channel_wise_has_the_temperature_of_the_paper() -> None:
    student, teacher = maps(2, 1), maps(2, 2)
    assert torch.equal(channel_wise(student, teacher), channel_wise(student, teacher, 4.0))


def test_channel_wise_by_hand() -> None:
    """Two pixels: the student is even, the teacher 3 to 1 at T = 1."""
    student = torch.zeros(1, 1, 1, 2)
    teacher = torch.tensor([math.log(3), 0.0]).reshape(1, 1, 1, 2)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert channel_wise(student, teacher, 1.0).item() == pytest.approx(expected)


def test_channel_wise_sees_patterns_not_levels() -> None:
    student, teacher = maps(3, 1), maps(3, 2)
    value = channel_wise(student, teacher)
    level = torch.tensor([5.0, -3.0, 1.0]).view(1, 3, 1, 1)
    assert torch.allclose(channel_wise(student + level, teacher - level), value, atol=1e-5)
    order = [2, 0, 1]
    assert torch.allclose(channel_wise(student[:, order], teacher[:, order]), value)
    assert not torch.allclose(channel_wise(student[:, order], teacher), value)
    alone = [channel_wise(student[i : i + 1], teacher[i : i + 1]) for i in range(3)]
    assert torch.allclose(torch.stack(alone).mean(), value)


@settings(max_examples=25, deadline=None)
@given(
    seed=seeds,
    channels=st.sampled_from([1, 3]),
    scale=st.sampled_from([0.0, 1.0, 80.0]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_channel_wise_is_finite_and_not_negative(
    seed: int, channels: int, scale: float, dtype: torch.dtype
) -> None:
    student = maps(channels, seed, scale).to(dtype).requires_grad_()
    value = channel_wise(student, maps(channels, seed + 1, scale).to(dtype))
    (found,) = torch.autograd.grad(value, student)
    assert value.dtype == torch.float32
    assert 0 <= value < math.inf
    assert torch.isfinite(found).all()


# --- attention_transfer


def test_attention_map_sums_squares_over_channels() -> None:
    features = torch.tensor([[3.0, -1.0], [4.0, 0.0]]).reshape(1, 2, 1, 2)
    assert torch.equal(attention_map(features), torch.tensor([[[[25.0, 1.0]]]]))
    assert attention_map(features.bfloat16()).dtype == torch.float32


def test_attention_transfer_equals_a_slow_loop() -> None:
    student, teacher = maps(3, 1), maps(7, 2)
    values = []
    for image in range(3):
        lengths = []
        for features in (student, teacher):
            grid = features[image].double().numpy()
            attention = np.zeros(grid.shape[1:])
            for row, col in np.ndindex(*attention.shape):
                attention[row, col] = sum(x * x for x in grid[:, row, col])
            lengths.append(attention / math.sqrt(sum(x * x for x in attention.ravel())))
        values.append(((lengths[0] - lengths[1]) ** 2).sum())
    value = attention_transfer(student, attention_map(teacher))
    assert value.item() == pytest.approx(np.mean(values), rel=1e-5)


def test_attention_at_different_places_costs_two() -> None:
    student = torch.tensor([[5.0, 0.0], [0.0, 0.0]]).reshape(1, 1, 2, 2)
    teacher = torch.tensor([[0.0, 0.0], [0.0, 0.1]]).reshape(1, 1, 2, 2)
    assert attention_transfer(student, attention_map(teacher)).item() == pytest.approx(2)


def test_attention_knows_no_scale_and_no_order_of_channels() -> None:
    student, teacher = maps(4, 1), attention_map(maps(4, 2))
    value = attention_transfer(student, teacher)
    assert torch.allclose(attention_transfer(-7 * student, 0.01 * teacher), value, atol=1e-6)
    assert torch.allclose(attention_transfer(student[:, [3, 1, 0, 2]], teacher), value)


@pytest.mark.parametrize("larger", ["student", "teacher"])
def test_attention_of_different_sizes_meets_at_the_smaller(larger: str) -> None:
    coarse = maps(1)[:, :, :4, :3]
    # Squares in a block: their mean is the coarse map's square.
    share = torch.tensor([[0.0, 0.5], [1.5, 2.0]]).sqrt().repeat(4, 3)
    fine = coarse.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) * share
    student, teacher = (fine, coarse) if larger == "student" else (coarse, fine)
    assert attention_transfer(student, attention_map(teacher)) <= 1e-6
    other = attention_map(maps(1, 5)[:, :, :4, :3])
    assert torch.allclose(
        attention_transfer(fine, other), attention_transfer(coarse, other), atol=1e-6
    )


def test_attention_of_crossed_sizes_takes_the_smaller_side_of_each() -> None:
    wide, tall = torch.ones(1, 2, 2, 6), torch.ones(1, 1, 4, 3)
    assert attention_transfer(wide, tall) <= 1e-6


@settings(max_examples=25, deadline=None)
@given(
    seed=seeds,
    scale=st.sampled_from([0.0, 1e-6, 1.0, 1e4]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_attention_transfer_is_finite_and_at_most_two(
    seed: int, scale: float, dtype: torch.dtype
) -> None:
    student = maps(3, seed, scale).to(dtype).requires_grad_()
    value = attention_transfer(student, attention_map(maps(5, seed + 1)))
    (found,) = torch.autograd.grad(value, student)
    assert value.dtype == torch.float32
    assert 0 <= value <= 2 + 1e-6
    assert torch.isfinite(found).all()


# --- All of them


def test_no_gradient_reaches_the_teacher() -> None:
    student = maps(2, 1).requires_grad_()
    source = maps(2, 2).requires_grad_()
    total = (
        kl_divergence(student, foreground(source))
        + channel_wise(student, source)
        + attention_transfer(student, attention_map(source))
    )
    torch.autograd.backward(total)
    assert student.grad is not None
    assert source.grad is None


def test_a_descent_along_kl_ends_at_the_teacher() -> None:
    """At a temperature, too, the student that costs least has the teacher's probabilities."""
    teacher = maps(3, 2)
    probability = torch.softmax(teacher, dim=1)
    student = maps(3, 1)
    for _ in range(300):
        found = slope(lambda leaf: kl_divergence(leaf, probability[:, 1:], 2.0), student)
        # 90 pixels share the mean.
        student = student - 90 * found
    assert (torch.softmax(student, dim=1) - probability).abs().max() < 0.01

"""Several processes that train one network, started by `torchrun ... -m featherseg train ...`.

Lightning Fabric runs them. The batch size of the recipe is that of all processes together: each
takes a part of every batch, and gradients, batch norm and scores come out as those of one
process that works on the whole batch, but for rounding.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from featherseg.train.precision import Precision


def is_first() -> bool:
    """Whether this process writes and locks; it does where it is the only one."""
    return not distributed.is_torchelastic_launched() or os.environ["RANK"] == "0"


def start_fabric(device: torch.device, precision: "Precision") -> "Fabric":
    """Lightning Fabric, connected with the other processes where torchrun has started several.

    It is imported here because that takes seconds.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy

    # It tells of the precision and of ranks, in the middle of our progress display.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if device.type == "cuda":
        # TensorFloat-32 for what stays in float32.
        torch.set_float32_matmul_precision("high")
    if not distributed.is_torchelastic_launched():
        return Fabric(accelerator=device.type, devices=1, precision=precision)
    here, all_ = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    fabric = Fabric(
        accelerator=device.type,
        devices=here,
        num_nodes=all_ // here,
        # What a loss does not reach (a last layer, where only features are compared) is found
        # in the first step.
        strategy=DDPStrategy(static_graph=True),
        precision=precision,
    )
    fabric.launch()
    return fabric


def part_of(count: int, process: int, processes: int) -> slice:
    """The part of `count` images that a process takes; the parts differ by one at most."""
    least, more = divmod(count, processes)
    start = process * least + min(process, more)
    return slice(start, start + least + (process < more))


def sum_of_all(fabric: "Fabric", values: Tensor) -> Tensor:
    """The sum of a tensor over all processes, on the device that they use."""
    if fabric.world_size == 1:
        return values
    total = fabric.all_reduce(values.to(fabric.device), reduce_op="sum")
    assert isinstance(total, Tensor)
    return total


@contextmanager
def shared_batch_norm(processes: int) -> Iterator[None]:
    """Within it, batch norm in training uses the statistics of all processes' images.

    It works on every device and for every module that calls `torch.nn.functional.batch_norm`
    (torch's own SyncBatchNorm knows one module, and only GPUs); modules stay what they are.
    """
    if processes == 1:
        yield
        return
    with _SharedBatchNorm():
        yield


class _SharedBatchNorm(TorchFunctionMode):
    def __torch_function__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if function is F.batch_norm:
            return _batch_norm(*args, **given)
        return function(*args, **given)


def _batch_norm(
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """As `torch.nn.functional.batch_norm` for (N, C, ...), over the images of all processes."""
    if not training:
        return F.batch_norm(
            images, running_mean, running_var, weight, bias, training, momentum, eps
        )
    values = images if images.dtype == torch.float64 else images.float()
    axes = [axis for axis in range(values.dim()) if axis != 1]
    shape = [-1 if axis == 1 else 1 for axis in range(values.dim())]
    own = values.new_tensor([values.numel() / values.shape[1]])
    sums = _sum(torch.cat((values.sum(axes), own)))
    count = sums[-1].detach()
    mean = sums[:-1] / count
    centered = values - mean.view(shape)
    variance = _sum(centered.square().sum(axes)) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            unbiased = variance * (count / (count - 1))
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    result = centered * (variance + eps).rsqrt().view(shape)
    if weight is not None:
        result = result * weight.view(shape)
    if bias is not None:
        result = result + bias.view(shape)
    return result.to(images.dtype)


def _sum(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)
    return total


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient, since all losses depend on it."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total

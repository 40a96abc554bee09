"""How logits are read as labels, one place for every loss."""

import torch
from torch import Tensor
from torch.nn import functional as F


def log_probabilities(logits: Tensor) -> Tensor:
    """Log-probability of every label, background first, float32 (N, K, H, W).

    One channel is a sigmoid and gives K = 2 labels, K > 1 channels are a softmax. Logarithms are
    never taken of probabilities that have already been rounded to 0 or 1.
    """
    logits = logits.float()
    if logits.shape[1] == 1:
        return torch.cat((F.logsigmoid(-logits), F.logsigmoid(logits)), dim=1)
    return F.log_softmax(logits, dim=1)

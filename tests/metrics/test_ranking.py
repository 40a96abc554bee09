"""AUC and average precision against scikit-learn and against all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from featherseg.metrics.ranking import auc, average_precision, ranks


@pytest.mark.parametrize("decimals", [1, 2, 7])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_both_equal_scikit_learn_with_and_without_ties(share: float, decimals: int) -> None:
    generator = np.random.default_rng(3)
    truth = generator.random((50, 40)) < share
    values = np.round(generator.random((50, 40)) * 0.7 + 0.3 * truth, decimals).astype(np.float32)
    found = ranks(truth, values)
    assert auc(found) == pytest.approx(roc_auc_score(truth.ravel(), values.ravel()), abs=1e-12)
    assert average_precision(found) == pytest.approx(
        average_precision_score(truth.ravel(), values.ravel()), abs=1e-12
    )


@settings(deadline=None)
@given(
    arrays(np.bool_, 12, elements=st.booleans()),
    arrays(np.float32, 12, elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])),
)
def test_auc_is_the_share_of_pairs_in_order(
    truth: NDArray[np.bool_], values: NDArray[np.float32]
) -> None:
    pairs = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high in values[truth]
        for low in values[~truth]
    ]
    expected = pytest.approx(np.mean(pairs)) if pairs else None
    assert auc(ranks(truth, values)) == expected


def test_one_kind_alone() -> None:
    values = np.array([0.2, 0.9])
    none, both = np.array([False, False]), np.array([True, True])
    assert (auc(ranks(none, values)), average_precision(ranks(none, values))) == (None, None)
    assert (auc(ranks(both, values)), average_precision(ranks(both, values))) == (None, 1.0)


def test_a_constant_says_nothing() -> None:
    truth = np.array([True, False, False, False])
    found = ranks(truth, np.full(4, 0.3))
    assert (auc(found), average_precision(found)) == (0.5, 0.25)

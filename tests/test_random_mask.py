import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf.budget import num_kept
from dsr_tf.layers.random_mask import random_mask


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 2**31 - 1),
)
def test_random_mask_keeps_the_papers_count(shape, sparsity, seed):
    mask = random_mask(tuple(shape), sparsity, seed)
    assert mask.dtype == np.uint8 and mask.shape == tuple(shape)
    paper = int((1 - sparsity) * mask.size + 0.1)
    assert int(mask.sum()) == max(1, paper)
    assert (mask == random_mask(tuple(shape), sparsity, seed)).all()


@pytest.mark.parametrize(
    "size, sparsity, kept",
    [(235_200, 0.99, 2352), (30_000, 0.99, 300), (1000, 0.99, 10)]
    + [(10, 0.95, 1), (10, 0.999, 1), (7, 0.0, 7)],
)
def test_num_kept(size, sparsity, kept):
    assert num_kept(size, sparsity) == kept


def test_random_mask_is_the_same_in_every_process():
    # Drawn once, in another process than this one.
    assert random_mask((3, 8), 0.75, seed=7).tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1, 1, 0],
        [0, 1, 1, 1, 0, 0, 0, 0],
    ]


def test_random_mask_is_uniform():
    hits = sum(
        random_mask((50,), 0.8, seed).astype(int) for seed in range(2000)
    )
    expected, spread = 400, np.sqrt(2000 * 0.2 * 0.8)
    assert np.abs(hits - expected).max() < 5 * spread

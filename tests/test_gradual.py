import numpy as np
import pytest
import tensorflow as tf

from dsr_tf import methods
from dsr_tf.budget import num_kept
from dsr_tf.methods import Tensors
from dsr_tf.methods.gradual import ToSparsity
from dsr_tf.methods.tensors import activate


def test_cubic_schedule_worked_by_hand():
    # s (1 - (1 - k/n)³) with s = .8, n = 4: 1 - 27/64, 1 - 8/64, 1 - 1/64, 1.
    prune = ToSparsity(0.8, 4)
    found = [prune.sparsity_after(k) for k in range(5)]
    assert found == pytest.approx([0, 0.4625, 0.7, 0.7875, 0.8])


def test_exponential_schedule_worked_by_hand():
    # Density .25^(k/2): 1, .5, .25.
    prune = ToSparsity(0.75, 2, "exponential")
    found = [prune.sparsity_after(k) for k in range(4)]
    assert found == pytest.approx([0, 0.5, 0.75, 0.75])


@pytest.mark.parametrize("schedule", ["cubic", "exponential"])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.99])
def test_pruning_ends_at_the_exact_count(schedule, sparsity):
    method = methods.gradual_pruning(sparsity, 5, schedule)
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=n) for n in (1, 7, 100, 3000)]
    masks = [tf.ones([w.size], tf.uint8) for w in weights]
    state = method.prune.initial_state()
    for _ in range(7):
        kept = [m.numpy() for m in masks]
        tensors = Tensors([tf.constant(w) * tf.cast(m, tf.float64)
                           for w, m in zip(weights, masks, strict=True)],
                          masks)  # fmt: skip
        result = method.reallocate(tensors, state, tf.constant([0, 0]))
        state, masks = result.state, result.survivors
        assert result.num_grown == [0] * 4
        for old, new, w in zip(kept, masks, weights, strict=True):
            new = new.numpy()
            assert (new <= old).all()
            gone, stays = np.abs(w[old > new]), np.abs(w[new == 1])
            assert not gone.size or gone.max() <= stays.min()
    assert [int(m.numpy().sum()) for m in masks] == [
        num_kept(w.size, sparsity) for w in weights
    ]


def test_nothing_grows():
    method = methods.gradual_pruning(0.5, 1)
    tensors = Tensors([tf.constant([3.0, 1.0])], [tf.ones([2], tf.uint8)])
    result = method.reallocate(tensors, {"prunes": 0}, tf.constant([0, 0]))
    mask = activate(result.survivors[0], result.growth[0].positions)
    assert mask.numpy().tolist() == [1, 0]


@pytest.mark.parametrize(
    "args, message",
    [
        ((1.0, 5), "`sparsity` must be"),
        ((0.5, 0), "`num_prunes` must be"),
        ((0.5, 5, "linear"), "`schedule` must be 'cubic' or"),
    ],
)
def test_arguments_are_checked(args, message):
    with pytest.raises(ValueError, match=message):
        ToSparsity(*args)

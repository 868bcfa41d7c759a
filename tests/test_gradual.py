import numpy as np
import pytest
import tensorflow as tf

from dsr_tf import methods
from dsr_tf.budget import num_kept
from dsr_tf.methods import Tensors
from dsr_tf.methods.gradual import ToSparsity
from dsr_tf.methods.gradual import beyond_largest


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


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("schedule", ["cubic", "exponential"])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.99])
def test_pruning_ends_at_the_exact_count(schedule, sparsity, across):
    method = methods.gradual_pruning(sparsity, 5, schedule, across)
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=n) for n in (1, 7, 100, 3000)]
    masks = [np.ones(w.size, bool) for w in weights]
    state = method.prune.initial_state()
    for _ in range(7):
        tensors = Tensors(
            [tf.constant(w * m) for w, m in zip(weights, masks, strict=True)],
            [tf.constant(mask) for mask in masks],
        )
        result = method.reallocate(tensors, state, tf.constant([0, 0]))
        state = result.state
        assert result.num_grown == [0] * 4
        for gone, mask, w in zip(result.gone, masks, weights, strict=True):
            gone = gone.numpy()
            assert mask[gone].all()
            mask[gone] = False
            largest = np.abs(w[gone]).max(initial=0.0)
            assert largest <= np.abs(w[mask]).min()
    expected = [num_kept(w.size, sparsity) for w in weights]
    found = [int(m.sum()) for m in masks]
    assert sum(found) == sum(expected)
    assert across or found == expected


def test_beyond_largest_worked_by_hand():
    # 4 of 7. The largest of each tensor stay first: .9, .2 and .1; then .8.
    tensors = Tensors(
        [
            tf.constant([0.5, -0.9, 0.8, 0.0]),
            tf.constant([0.2, 0.0]),
            tf.constant([0.1, 0.1, 0.0]),
        ],
        [
            tf.constant([True, True, True, False]),
            tf.constant([True, False]),
            tf.constant([True, True, True]),
        ],
    )
    gone = [row.numpy().tolist() for row in beyond_largest(tensors, 4)]
    assert gone == [[0], [], [1, 2]]


def test_beyond_largest_keeps_units_whole():
    # Units of 9 and of 1, 12 weights to keep: .9 and .1 first, 10 weights;
    # the next, .8, has 9. It does not fit, and nothing smaller jumps the queue.
    tensors = Tensors(
        [tf.constant([0.9, 0.8]), tf.constant([0.1, 0.05])],
        [tf.ones([2], tf.bool), tf.ones([2], tf.bool)],
        [9, 1],
    )
    gone = [row.numpy().tolist() for row in beyond_largest(tensors, 12)]
    assert gone == [[1], [1]]


def test_empty_tensors_stay_empty():
    tensors = Tensors(
        [tf.constant([0.0, 0.0]), tf.constant([0.1, 0.2])],
        [tf.zeros([2], tf.bool), tf.ones([2], tf.bool)],
    )
    gone = [row.numpy().tolist() for row in beyond_largest(tensors, 1)]
    assert gone == [[], [0]]


def test_nothing_grows():
    method = methods.gradual_pruning(0.5, 1)
    tensors = Tensors([tf.constant([3.0, 1.0])], [tf.ones([2], tf.bool)])
    result = method.reallocate(tensors, {"prunes": 0}, tf.constant([0, 0]))
    assert result.gone[0].numpy().tolist() == [1]
    assert len(result.growth[0].positions) == 0


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

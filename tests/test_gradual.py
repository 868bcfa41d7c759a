import numpy as np
import pytest
import tensorflow as tf

from dsr_tf import methods
from dsr_tf.budget import num_kept
from dsr_tf.methods import Tensors
from dsr_tf.methods.gradual import ToSparsity
from dsr_tf.methods.gradual import largest_of_all
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


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("schedule", ["cubic", "exponential"])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.99])
def test_pruning_ends_at_the_exact_count(schedule, sparsity, across):
    method = methods.gradual_pruning(sparsity, 5, schedule, across)
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
    expected = [num_kept(w.size, sparsity) for w in weights]
    found = [int(m.numpy().sum()) for m in masks]
    assert sum(found) == sum(expected)
    assert across or found == expected


def test_largest_of_all_worked_by_hand():
    # 4 of 7. The largest of each tensor stay first: .9, .2 and .1; then .8.
    tensors = Tensors(
        [
            tf.constant([0.5, -0.9, 0.8, 0.0]),
            tf.constant([0.2, 0.0]),
            tf.constant([0.1, 0.1, 0.0]),
        ],
        [
            tf.constant([1, 1, 1, 0], tf.uint8),
            tf.constant([1, 0], tf.uint8),
            tf.constant([1, 1, 1], tf.uint8),
        ],
    )
    kept = [mask.numpy().tolist() for mask in largest_of_all(tensors, 4)]
    assert kept == [[0, 1, 1, 0], [1, 0], [1, 0, 0]]


def test_largest_of_all_keeps_units_whole():
    # Units of 9 and of 1, 12 weights to keep: .9 and .1 first, 10 weights;
    # the next, .8, has 9. It does not fit, and nothing smaller jumps the queue.
    tensors = Tensors(
        [tf.constant([0.9, 0.8]), tf.constant([0.1, 0.05])],
        [tf.ones([2], tf.uint8), tf.ones([2], tf.uint8)],
        [9, 1],
    )
    kept = [mask.numpy().tolist() for mask in largest_of_all(tensors, 12)]
    assert kept == [[1, 0], [1, 0]]


def test_empty_tensors_stay_empty():
    tensors = Tensors(
        [tf.constant([0.0, 0.0]), tf.constant([0.1, 0.2])],
        [tf.zeros([2], tf.uint8), tf.ones([2], tf.uint8)],
    )
    kept = [mask.numpy().tolist() for mask in largest_of_all(tensors, 1)]
    assert kept == [[0, 0], [0, 1]]


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

import numpy as np
import tensorflow as tf

from dsr_tf.methods.allocate import in_proportion_to_survivors
from dsr_tf.methods.plan import plan_across_tensors
from tests.contexts import context


def proportions(active, pruned, unit_sizes=None):
    masks = [np.arange(n + 99) < n for n in active]
    ctx = context([mask * 1.0 for mask in masks], masks, unit_sizes)
    pruned = tf.constant(pruned, tf.int64)
    return in_proportion_to_survivors(ctx, pruned).numpy().tolist()


def test_survivors_share_what_was_pruned():
    # Survivors 300 : 100, 40 pruned: 30 and 10, wherever they were pruned.
    found = proportions([300, 140], [0, 40])
    assert found == [300, 100]
    plan, unspent = plan_across_tensors(
        found, [300, 140], [0, 40], [99, 99], [1, 1]
    )
    assert (plan.grown.tolist(), unspent) == ([30, 10], 0)


def test_survivors_are_counted_in_weights():
    # 30 slices of 9 and 100 weights survive.
    assert proportions([35, 140], [5, 40], [9, 1]) == [270, 100]

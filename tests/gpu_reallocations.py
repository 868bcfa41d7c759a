"""Reallocations of a small network, as graphs."""

from typing import Any

import keras
import tensorflow as tf

from dsr_tf import methods
from dsr_tf.layers import BlockConv2D
from dsr_tf.layers import BlockDense
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.grow import ByScore
from dsr_tf.methods.prune import SmallestFraction
from dsr_tf.methods.shrinking import ShrinkAndReplace
from dsr_tf.schedules import Linear
from dsr_tf.training import Reallocator

METHODS = {
    "dsr": lambda: methods.dsr(3),
    "dsr with stddev": lambda: methods.dsr(3, regrow_stddev=0.1),
    "set": lambda: methods.set_method(0.2),
    "by score": lambda: methods.Method(SmallestFraction(0.2), None, ByScore()),
    "chts": lambda: methods.chts(0.2, 2.0, percolate=True),
    "deepr": lambda: methods.deepr(1e-3),
    "gradual": lambda: methods.gradual_pruning(0.6, 3),
    "gradual within": lambda: methods.gradual_pruning(
        0.6, 3, across_tensors=False
    ),
    "dsr by share": lambda: methods.dsr(0.2, growth="drawn"),
    "snfs": lambda: methods.sparse_momentum(0.3),
    "mest soft": lambda: methods.Method(
        ShrinkAndReplace(Linear(0.2, 0.6, 20), 0.3, 0.5), None, AtRandom()
    ),
}


NUM_TENSORS = 3

CASES = [
    (name, granularity, dtype)
    for name in METHODS
    for granularity in ("weight", "kernel", "2x3", "2x3 stored")
    for dtype in ("float32", "float16", "bfloat16")
    # Several weights have no common sign.
    if name != "deepr" or granularity == "weight"
]


def network(name: str, granularity: str, dtype: str, more: int) -> keras.Model:
    """Returns a network of `NUM_TENSORS` sparse layers and some more, built."""
    sparsity = 0.0 if name.startswith("gradual") else 0.5
    stored = granularity.endswith(" stored")
    moved = granularity.removesuffix(" stored")
    blocks = moved == "2x3"
    conv, dense = (SparseConv2D, SparseDense)
    if stored:
        conv, dense = (BlockConv2D, BlockDense)
    of_dense = moved if blocks else "weight"
    window = 1 if blocks else 3
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            conv(6, window, sparsity, granularity=moved, dtype=dtype),
            keras.layers.Flatten(),
            *(
                dense(units, sparsity, of_dense, dtype=dtype)
                for units in (8, *[6] * more, 5)
            ),
        ]
    )


def functions(
    name: str, granularity: str, dtype: str, more: int = 0
) -> list[Any]:
    """Returns the concrete functions that reallocate a network.

    Args:
        name: One of `METHODS`.
        granularity: What moves as one, and `" stored"` for stored blocks.
        dtype: Type of the kernels.
        more: Tensors beyond `NUM_TENSORS`.
    """
    net = network(name, granularity, dtype, more)
    optimizer = keras.optimizers.Adagrad(0.1)
    optimizer.build(net.trainable_variables)
    method = METHODS[name]()
    layers = [x for x in net.layers if hasattr(x, "kernel_shape")]
    assert len(layers) == NUM_TENSORS + more
    scores = [tf.random.uniform(layer.kernel_shape) for layer in layers]
    known = {"growth_scores": lambda: scores} if method.scores else {}
    reallocator = Reallocator(net, optimizer, method, **known)
    reallocator.reallocate()
    program = reallocator._program
    packed = tf.TensorSpec([len(program.names) + 1], tf.float64)
    seed = tf.TensorSpec([2], tf.int32)
    specs = program._score_specs()
    if method.allocate is None:
        found = [program._at_once.get_concrete_function(packed, seed, specs)]
    else:
        begin = program._begin.get_concrete_function(packed, seed, specs)
        found = [begin, program._end.get_concrete_function()]
    # These are the ones that ran.
    assert program.num_traces == len(found)
    return found

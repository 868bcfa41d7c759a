"""Reallocations of a small network, as graphs."""

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

import dsr_tf
from dsr_tf import methods
from dsr_tf.layers import BlockConv2D
from dsr_tf.layers import BlockDense
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers
from dsr_tf.methods.grow import AtRandom
from dsr_tf.methods.grow import ByScore
from dsr_tf.methods.prune import SmallestFraction
from dsr_tf.methods.shrinking import ShrinkAndReplace
from dsr_tf.schedules import Linear
from dsr_tf.training import Reallocator

METHODS = {
    "dsr": lambda: methods.dsr(0.3),
    "dsr by threshold": lambda: methods.dsr(3, initial_threshold=0.05),
    "dsr with stddev": lambda: methods.dsr(3, regrow_stddev=0.1, min_inputs=1),
    "dsr drawn": lambda: methods.dsr(0.2, growth="drawn"),
    "set": lambda: methods.set_method(0.2),
    "itop": lambda: methods.itop(0.3, "random"),
    "by score": lambda: methods.Method(SmallestFraction(0.2), None, ByScore()),
    "snfs": lambda: methods.sparse_momentum(0.3),
    "mest": lambda: methods.mest(),
    "mest soft": lambda: methods.Method(
        ShrinkAndReplace(Linear(0.2, 0.6, 20), 0.3, 0.5), None, AtRandom()
    ),
    "chts": lambda: methods.chts(0.2, 2.0, percolate=True),
    "deepr": lambda: methods.deepr(1e-3),
    "gradual": lambda: methods.gradual_pruning(0.6, 3),
    "gradual within": lambda: methods.gradual_pruning(
        0.6, 3, across_tensors=False
    ),
}
# Those that draw where weights grow, until enough are inactive.
AT_RANDOM = {
    "dsr",
    "dsr by threshold",
    "dsr with stddev",
    "set",
    "itop",
    "mest",
    "mest soft",
    "deepr",
}
NUM_TENSORS = 3
FORMS = ("weight", "kernel", "2x3", "2x3 stored")


def cases() -> Iterator[tuple[str, str, str]]:
    """Yields a method, how the network is stored, and the type of kernels.

    Every method meets every form in float32, which kernels are in mixed
    precision too; and each of the others once, in turn.
    """
    for i, name in enumerate(METHODS):
        # Several weights have no common sign.
        forms = FORMS if name != "deepr" else FORMS[:1]
        for form in (*forms, "in place", "mirrored"):
            yield name, form, "float32"
        yield name, forms[i % len(forms)], "float16"
        yield name, forms[(i + 1) % len(forms)], "bfloat16"


CASES = list(cases())


def in_place(sparsity: float) -> keras.Model:
    """Returns a network of layers that have no sparse class, built."""
    net = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            keras.layers.Embedding(9, 4),
            keras.layers.LSTM(3),
        ]
    )
    return dsr_tf.sparsify(net, sparsity, include="*")


def network(name: str, form: str, dtype: str, more: int) -> keras.Model:
    """Returns a network of `NUM_TENSORS` sparse layers and some more, built."""
    sparsity = 0.0 if name.startswith("gradual") else 0.5
    if form == "in place":
        return in_place(sparsity)
    moved = form.removesuffix(" stored").replace("mirrored", "weight")
    blocks = moved == "2x3"
    conv, dense = (SparseConv2D, SparseDense)
    if form.endswith(" stored"):
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


def functions(name: str, form: str, dtype: str, more: int = 0) -> list[Any]:
    """Returns the concrete functions that reallocate a network.

    Args:
        name: One of `METHODS`.
        form: What moves as one, and `" stored"` for stored blocks; or
            `"in place"`, or `"mirrored"`, under the strategy of the caller.
        dtype: Type of the kernels.
        more: Tensors beyond `NUM_TENSORS`.
    """
    net = network(name, form, dtype, more)
    optimizer = keras.optimizers.Adagrad(0.1)
    optimizer.build(net.trainable_variables)
    method = METHODS[name]()
    layers = sparse_layers(net)
    assert len(layers) == NUM_TENSORS + more
    scores = [tf.random.uniform(layer.kernel_shape) for layer in layers]
    known = {"growth_scores": lambda: scores} if method.scores else {}
    reallocator = Reallocator(net, optimizer, method, num_steps=20, **known)
    reallocator.reallocate()
    return traced(reallocator._program)


def traced(program: Any) -> list[Any]:
    """Returns the concrete functions of a program that has run once."""
    packed = tf.TensorSpec([len(program.names) + 1], tf.float64)
    seed = tf.TensorSpec([2], tf.int32)
    specs = program._score_specs()
    if program.method.allocate is None:
        found = [program._at_once.get_concrete_function(packed, seed, specs)]
    else:
        begin = program._begin.get_concrete_function(packed, seed, specs)
        found = [begin, program._end.get_concrete_function()]
    # These are the ones that ran.
    assert program.num_traces == len(found)
    return found

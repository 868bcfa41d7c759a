"""The product with a kernel of blocks, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf.layers.block_product import block_product
from dsr_tf.layers.compiled_by_xla import is_compiled_by_xla

TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "float16": 2e-2}
TOLERANCES["bfloat16"] = 1e-1


def dense(blocks, positions, grid):
    """Returns the kernel of which these are the blocks."""
    _, rows, columns = blocks.shape
    kernel = np.zeros((grid[0] * rows, grid[1] * columns))
    for block, position in zip(blocks, positions, strict=True):
        i, j = divmod(int(position), grid[1])
        kernel[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns] = (
            block
        )
    return kernel


def drawn(positions, block, grid, batch, dtype="float64"):
    """Returns inputs, blocks and positions, rounded to a type."""
    rng = np.random.default_rng(0)
    values = [
        rng.normal(size=(batch, grid[0] * block[0])),
        rng.normal(size=(len(positions), *block)),
    ]
    inputs, blocks = (tf.cast(x, dtype) for x in values)
    return inputs, blocks, tf.constant(sorted(positions), tf.int64)


def check(
    positions, block, grid, batch, dtype="float64", compiled=None, expected=9
):
    inputs, blocks, places = drawn(positions, block, grid, batch, dtype)
    upstream = np.random.default_rng(1).normal(size=(batch, grid[1] * block[1]))

    def run(inputs, blocks, places):
        with tf.GradientTape() as tape:
            tape.watch([inputs, blocks])
            outputs = block_product(inputs, blocks, places, grid, expected)
            total = tf.reduce_sum(outputs * tf.cast(upstream, dtype))
        return outputs, *tape.gradient(total, [inputs, blocks])

    if compiled is not None:
        run = tf.function(run, jit_compile=compiled)
    outputs, of_inputs, of_blocks = run(inputs, blocks, places)
    assert {x.dtype.name for x in (outputs, of_inputs, of_blocks)} == {dtype}
    rows = [x.numpy().astype("float64") for x in (inputs, blocks)]
    kernel = dense(rows[1], places.numpy(), grid)
    above = tf.cast(upstream, dtype).numpy().astype("float64")
    whole = rows[0].T @ above
    wanted = [
        whole[
            i * block[0] : (i + 1) * block[0],
            j * block[1] : (j + 1) * block[1],
        ]
        for i, j in (divmod(int(x), grid[1]) for x in places)
    ]
    scale = TOLERANCES[dtype] * np.sqrt(max(batch, *kernel.shape))
    pairs = (
        (outputs, rows[0] @ kernel),
        (of_inputs, above @ kernel.T),
        (of_blocks, np.stack(wanted)),
    )
    for found, right in pairs:
        assert found.shape == right.shape
        found = found.numpy().astype("float64")
        np.testing.assert_allclose(found, right, rtol=scale, atol=scale)


@given(st.data())
def test_product_is_that_of_the_dense_kernel(data):
    grid = data.draw(st.tuples(*[st.integers(1, 5)] * 2))
    block = data.draw(st.tuples(*[st.sampled_from([1, 2, 3, 8, 80])] * 2))
    places = st.sets(st.integers(0, grid[0] * grid[1] - 1), min_size=1)
    positions = data.draw(places)
    batch = data.draw(st.sampled_from([1, 2, 7]))
    # It says how many blocks are multiplied at a time.
    expected = data.draw(st.integers(1, 40))
    check(positions, block, grid, batch, expected=expected)


# A single one, a row or a column of the grid alone, and all.
CASES = ([5], [4, 5, 6, 7], [1, 5, 9], list(range(12)))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    "compiled", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_types_keep_their_precision(dtype, compiled):
    for positions in CASES:
        for expected in (1, 12):
            check(positions, (4, 2), (3, 4), 5, dtype, compiled, expected)


def test_xla_computes_the_same():
    check([0, 4, 5, 11], (4, 2), (3, 4), 5, "float32", compiled=True)


def test_a_batch_of_none_has_outputs_of_none():
    inputs, blocks, places = drawn([1], (2, 2), (2, 2), 0)
    assert block_product(inputs, blocks, places, (2, 2), 1).shape == (0, 4)


def test_one_trace_serves_any_number_of_blocks_and_examples():
    traces = []

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 6], tf.float64),
            tf.TensorSpec([None, 2, 2], tf.float64),
            tf.TensorSpec([None], tf.int64),
        ]
    )
    def run(inputs, blocks, places):
        traces.append(0)
        return block_product(inputs, blocks, places, (3, 2), 4)

    for positions, batch in (([0], 1), ([1, 2, 5], 3), (range(6), 2)):
        inputs, blocks, places = drawn(positions, (2, 2), (3, 2), batch)
        kernel = dense(blocks.numpy(), places.numpy(), (3, 2))
        found = run(inputs, blocks, places)
        np.testing.assert_allclose(found, inputs.numpy() @ kernel)
    assert len(traces) == 1


def test_half_precision_sums_in_single():
    # 4,096 ones and ones: float16 would stop at 2,048.
    ones = tf.ones([1, 4096], tf.float16)
    blocks = tf.ones([64, 64, 1], tf.float16)
    places = tf.range(64, dtype="int64")
    outputs = block_product(ones, blocks, places, (64, 1), 64)
    assert outputs.numpy() == 4096


@pytest.mark.parametrize("compiled", [False, True])
def test_functions_for_xla_are_known(compiled):
    """Keras' and TensorFlow's own name for it must stay, or this fails."""
    seen = []

    @tf.function(jit_compile=compiled)
    def run():
        seen.append(is_compiled_by_xla())
        tf.function(lambda: seen.append(is_compiled_by_xla()))()

    assert not is_compiled_by_xla()
    run()
    assert seen == [compiled] * 2

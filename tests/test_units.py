import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf.budget import num_kept
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.units import GRANULARITIES
from dsr_tf.units import KERNEL
from dsr_tf.units import WEIGHT
from dsr_tf.units import Granularity
from dsr_tf.units import Units

SHAPES = st.lists(st.integers(1, 5), min_size=2, max_size=5).map(tuple)
NAMED = st.builds(Units, SHAPES, st.sampled_from(GRANULARITIES))
LENGTHS = st.integers(1, 9)


@st.composite
def blocks(draw):
    """Draws units of blocks, with any axes as those of the inputs."""
    shape = draw(SHAPES)
    axes = st.permutations(range(len(shape))).flatmap(
        lambda order: st.integers(0, len(order)).map(lambda n: order[:n])
    )
    given = draw(st.none() | axes.map(tuple))
    return Units(shape, Granularity.of((draw(LENGTHS), draw(LENGTHS))), given)


UNITS = NAMED | blocks()


def kernel_of(units):
    values = np.random.default_rng(0).normal(size=units.shape)
    return values.astype("float32")


def test_units_of_single_weights():
    units = Units((3, 3, 4, 8), WEIGHT)
    assert (units.size, units.count) == (1, 288)
    assert units.grid == units.shape == (3, 3, 4, 8)


def test_units_of_slices():
    units = Units((3, 3, 4, 8), KERNEL)
    assert (units.size, units.count, units.grid) == (9, 32, (4, 8))
    # int(.1 * 32 + .1) slices of 9.
    assert units.num_kept(0.9) == 27
    kernel = kernel_of(units)
    # The second input channel's slice to the first output.
    assert np.array_equal(units.rows(kernel)[:, 8], kernel[:, :, 1, 0].ravel())


def test_units_of_blocks():
    #  0  1  2 |  3  4  5
    #  6  7  8 |  9 10 11
    #  -------------------
    # 12 13 14 | 15 16 17
    # 18 19 20 | 21 22 23
    units = Units((4, 6), Granularity.of((2, 3)))
    assert (units.size, units.count, units.grid) == (6, 4, (2, 2))
    assert units.matrix == (4, 6) and units.block == (2, 3)
    rows = units.rows(np.arange(24).reshape(4, 6))
    assert rows.T.tolist() == [
        [0, 1, 2, 6, 7, 8],
        [3, 4, 5, 9, 10, 11],
        [12, 13, 14, 18, 19, 20],
        [15, 16, 17, 21, 22, 23],
    ]
    mask = units.spread(np.array([[0, 1], [1, 0]]))
    assert mask.tolist() == [[0, 0, 0, 1, 1, 1]] * 2 + [[1, 1, 1, 0, 0, 0]] * 2
    assert units.magnitudes(np.arange(24.0).reshape(4, 6))[0] == 4
    # int(.3 * 4 + .1) blocks of 6.
    assert units.num_kept(0.7) == 6


def test_units_of_blocks_whose_inputs_are_the_last_axes():
    # Of shape (outputs, inputs): the matrix is its transpose.
    #  0  2 | 4  6
    #  1  3 | 5  7
    units = Units((4, 2), Granularity.of((2, 2)), (1,))
    assert units.matrix == (2, 4) and units.grid == (1, 2)
    rows = units.rows(np.arange(8).reshape(4, 2))
    assert rows.T.tolist() == [[0, 2, 1, 3], [4, 6, 5, 7]]


@pytest.mark.parametrize(
    "shape, asked, block",
    [
        ((784, 300), (32, 32), (28, 30)),
        ((64, 10), (16, 16), (16, 10)),
        # A prime number of inputs, and one that is short enough.
        ((17, 13), (16, 16), (1, 13)),
        ((1, 1, 8, 8), (16, 4), (8, 4)),
        ((8, 8), (1, 8), (1, 8)),
    ],
)
def test_blocks_have_the_length_of_the_largest_divisor(shape, asked, block):
    units = Units(shape, Granularity.of(asked))
    assert units.block == block
    assert units.size == block[0] * block[1]
    assert units.size * units.count == units.num_weights


@given(blocks())
def test_blocks_are_parts_of_the_matrix(units):
    inputs = (
        units.input_axes
        if units.input_axes is not None
        else tuple(range(len(units.shape) - 1))
    )
    others = [x for x in range(len(units.shape)) if x not in inputs]
    kernel = kernel_of(units)
    matrix = kernel.transpose((*inputs, *others)).reshape(units.matrix)
    (rows, cols), (down, across) = units.block, units.grid
    assert (down * rows, across * cols) == units.matrix
    found = units.rows(kernel)
    for unit in range(units.count):
        i, j = divmod(unit, across)
        part = matrix[i * rows : (i + 1) * rows, j * cols : (j + 1) * cols]
        assert np.array_equal(found[:, unit], part.ravel())


@given(UNITS)
def test_rows_come_back_as_the_kernel(units):
    kernel = kernel_of(units)
    rows = units.rows(kernel)
    assert isinstance(rows, np.ndarray)
    assert rows.shape == (units.size, units.count)
    assert np.array_equal(units.kernel(rows), kernel)


@given(UNITS)
def test_rows_of_tensors_are_those_of_arrays(units):
    kernel = kernel_of(units)
    rows = units.rows(tf.constant(kernel))
    assert isinstance(rows, tf.Tensor)
    assert np.array_equal(rows.numpy(), units.rows(kernel))
    assert np.array_equal(units.kernel(rows).numpy(), kernel)


@given(UNITS, st.floats(0, 0.99))
def test_spread_mask_comes_back(units, sparsity):
    mask = np.arange(units.count) < num_kept(units.count, sparsity)
    spread = units.spread(mask)
    assert spread.shape == units.shape
    assert np.count_nonzero(spread) == units.num_kept(sparsity)
    assert np.array_equal(units.of_mask(spread), mask)
    assert np.array_equal(units.spread(mask.reshape(units.grid)), spread)


@given(UNITS)
def test_units_masked_in_part_are_refused(units):
    mask = np.ones(units.shape, np.uint8)
    mask.flat[0] = 0
    if units.size == 1:
        assert not units.of_mask(mask)[0]
        return
    with pytest.raises(ValueError, match=f"each unit of {units.size} weights"):
        units.of_mask(mask)


@given(UNITS)
def test_magnitudes_are_means(units):
    kernel = kernel_of(units)
    found = units.magnitudes(kernel)
    assert found.shape == (units.count,)
    assert found == pytest.approx(np.abs(units.rows(kernel)).mean(axis=0))
    of_tensor = units.magnitudes(tf.constant(kernel)).numpy()
    assert of_tensor == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_granularity_is_known_by_its_name(granularity):
    assert Granularity.of(str(granularity)) is granularity
    assert Granularity.of(granularity) is granularity


@pytest.mark.parametrize("value", [(16, 4), [16, 4], "16x4"])
def test_granularity_of_a_block_has_one_name(value):
    found = Granularity.of(value)
    assert found == Granularity("16x4", None, (16, 4))
    assert Granularity.of(str(found)) == Granularity.of(found) == found
    assert Granularity.of(tuple(np.array([16, 4]))).block == (16, 4)


@pytest.mark.parametrize(
    "value",
    ["row", None, 1, 16, "16", "0x4", "axb", "04x4", "4X4", "4x4x4", "-4x4"]
    + ["4x4 ", "9" * 5000 + "x1", "", (), (4,), (4, 4, 4), (0, 4), (4, -1)]
    + [(True, 4), (4.0, 4.0), ("4", "4"), {4, 8}, np.array([4, 4])],
    ids=lambda value: repr(value)[:20],
)
def test_granularity_must_be_known(value):
    message = (
        r"one of \('weight', 'kernel'\), or a pair of positive integers.*such "
        r"as \(16, 16\) or '16x16'\. Received: granularity="
    )
    with pytest.raises(ValueError, match=message):
        Granularity.of(value)


def test_granularity_must_be_among_the_allowed():
    with pytest.raises(ValueError, match=r"one of \('weight',\), or a pair"):
        Granularity.of("kernel", [WEIGHT])
    with pytest.raises(ValueError, match=r"one of \('weight',\)\. Received"):
        Granularity.of((2, 2), [WEIGHT], blocks=False)


def test_layers_know_their_units_and_hold_plain_names():
    conv = SparseConv2D(4, 3, 0.5, granularity="kernel")
    conv.build((None, 8, 8, 2))
    assert conv.kernel_units == Units((3, 3, 2, 4), KERNEL)
    assert conv.granularity == conv.get_config()["granularity"] == "kernel"
    dense = SparseDense(4, 0.5)
    dense.build((None, 8))
    assert dense.kernel_units == Units((8, 4), WEIGHT)

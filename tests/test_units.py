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

UNITS = st.builds(
    Units,
    st.lists(st.integers(1, 5), min_size=2, max_size=5).map(tuple),
    st.sampled_from(GRANULARITIES),
)


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


@pytest.mark.parametrize("value", ["row", None, 1, (16, 16)])
def test_granularity_must_be_known(value):
    with pytest.raises(ValueError, match=r"one of \('weight', 'kernel'\)"):
        Granularity.of(value)


def test_granularity_must_be_among_the_allowed():
    with pytest.raises(ValueError, match=r"one of \('weight',\)\. Received"):
        Granularity.of("kernel", [WEIGHT])


def test_layers_know_their_units_and_hold_plain_names():
    conv = SparseConv2D(4, 3, 0.5, granularity="kernel")
    conv.build((None, 8, 8, 2))
    assert conv.kernel_units == Units((3, 3, 2, 4), KERNEL)
    assert conv.granularity == conv.get_config()["granularity"] == "kernel"
    dense = SparseDense(4, 0.5)
    dense.build((None, 8))
    assert dense.kernel_units == Units((8, 4), WEIGHT)

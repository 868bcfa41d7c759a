"""Units as links from inputs to outputs."""

import numpy as np
import tensorflow as tf
from hypothesis import given

from dsr_tf.layers import BlockDense
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.methods.grid import Grid
from dsr_tf.training.storages import all_tensors
from dsr_tf.training.storages import storages
from dsr_tf.units import KERNEL
from dsr_tf.units import WEIGHT
from dsr_tf.units import Units
from tests.test_units import UNITS
from tests.test_units import blocks


def grid_of(units):
    return Grid(units.grid, units.grid_inputs)


def test_weights_of_a_matrix_link_its_rows_to_its_columns():
    # 0 1 2
    # 3 4 5
    grid = Grid((2, 3))
    assert (grid.num_inputs, grid.num_outputs) == (2, 3)
    positions = tf.constant([0, 2, 4], tf.int64)
    assert grid.inputs(positions).numpy().tolist() == [0, 0, 1]
    assert grid.outputs(positions).numpy().tolist() == [0, 2, 1]


def test_inputs_may_be_the_last_axes():
    # Outputs 0 and 1 are the rows, inputs 0 to 2 the columns.
    grid = Grid((2, 3), (1,))
    assert (grid.num_inputs, grid.num_outputs) == (3, 2)
    matrix = grid.matrix(tf.range(6))
    assert matrix.numpy().tolist() == [[0, 3], [1, 4], [2, 5]]
    assert grid.units(matrix).numpy().tolist() == list(range(6))


def test_slices_link_channels():
    assert grid_of(Units((3, 3, 4, 8), KERNEL)) == Grid((4, 8), (0,))
    whole = grid_of(Units((3, 3, 4, 8), WEIGHT))
    assert (whole.num_inputs, whole.num_outputs) == (36, 8)


@given(UNITS)
def test_a_matrix_has_each_unit_at_its_input_and_output(units):
    grid = grid_of(units)
    positions = tf.range(units.count, dtype=tf.int64)
    rows, columns = grid.inputs(positions), grid.outputs(positions)
    assert grid.num_inputs * grid.num_outputs == units.count
    matrix = grid.matrix(positions).numpy()
    assert matrix.shape == (grid.num_inputs, grid.num_outputs)
    assert (matrix[rows.numpy(), columns.numpy()] == positions.numpy()).all()
    assert (grid.units(matrix).numpy() == positions.numpy()).all()


@given(blocks())
def test_a_block_stands_where_the_matrix_of_the_kernel_has_it(units):
    grid, (rows, columns) = grid_of(units), units.block
    (inputs, outputs) = units.matrix
    assert (grid.num_inputs, grid.num_outputs) == (
        inputs // rows,
        outputs // columns,
    )
    mask = np.zeros(units.count, bool)
    mask[units.count // 2] = True
    at = tf.constant([units.count // 2], tf.int64)
    expected = np.zeros(units.matrix, bool)
    row, column = int(grid.inputs(at)[0]), int(grid.outputs(at)[0])
    expected[row * rows : (row + 1) * rows] = True
    expected[:, : column * columns] = False
    expected[:, (column + 1) * columns :] = False
    assert (units.spread(mask) == units.of_matrix(expected)).all()


def test_all_storages_say_where_units_stand():
    layers = [
        SparseConv2D(6, 3, 0.5, granularity="kernel"),
        SparseConv2D(6, 3, 0.5),
        SparseDense(6, 0.5, (2, 3)),
        BlockDense(6, 0.5, (2, 3)),
    ]
    for layer in layers:
        layer.build((None, 8, 8, 4) if "conv" in layer.name else (None, 4))
    none = [()] * len(layers)
    tensors = all_tensors(storages(layers, none, [{}] * len(layers)))
    assert [x.grid for x in tensors] == [
        Grid((4, 6), (0,)),
        Grid((3, 3, 4, 6), (0, 1, 2)),
        Grid((2, 2), (0,)),
        Grid((2, 2), (0,)),
    ]
    assert [x.num_units for x in tensors] == [24, 216, 4, 4]

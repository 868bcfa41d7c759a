"""Dead inputs and outputs, against counts of single weights by hand."""

import itertools
import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import layers

import dsr_tf
from dsr_tf.analysis import DeadUnits
from dsr_tf.analysis import dead_units
from dsr_tf.layers import BlockConv2D
from dsr_tf.layers import BlockDense
from dsr_tf.layers import BlockEinsumDense
from dsr_tf.layers import SparseConv1D
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import SparseEinsumDense
from dsr_tf.layers import sparse_layers


def built(layer, *shape):
    layer.build((None, *shape))
    return layer


def masked(layer, mask):
    layer.set_mask(np.array(mask))
    return dead_units(layer)


def test_a_dense_case_worked_by_hand():
    layer = built(SparseDense(3, 0.5), 4)
    # Rows are inputs: the second leads nowhere, to the first comes nothing.
    mask = [[0, 1, 0], [0, 0, 0], [0, 1, 1], [0, 1, 0]]
    assert masked(layer, mask) == DeadUnits(inputs=1, outputs=1)


def test_a_window_is_one_channel():
    layer = built(SparseConv2D(2, 2, 0.5), 5, 5, 3)
    mask = np.zeros((2, 2, 3, 2))
    mask[1, 0, 2, 0] = mask[0, 1, 0, 0] = 1
    assert masked(layer, mask) == DeadUnits(inputs=1, outputs=1)


def test_channels_of_a_group_lead_to_its_outputs_alone():
    layer = built(SparseConv1D(4, 1, 0.5, groups=2), 7, 6)
    # Three inputs of each group, in rows; two outputs of each, in columns.
    mask = [[[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]]
    # Of the first group inputs 1 and 2, of the second 0 and 2; outputs 1, 3.
    assert masked(layer, mask) == DeadUnits(inputs=4, outputs=2)


def test_a_depthwise_convolution_is_one_of_many_groups():
    layer = built(SparseConv2D(6, 2, 0.5, groups=3), 5, 5, 3)
    mask = np.zeros((2, 2, 1, 6))
    # Two outputs of each input.
    mask[0, 1, 0, [0, 1, 4]] = 1
    assert masked(layer, mask) == DeadUnits(inputs=1, outputs=3)


def test_kernels_of_transposed_convolutions_have_outputs_first():
    plain = keras.Sequential(
        [keras.Input((5, 5, 2)), layers.Conv2DTranspose(3, 2)]
    )
    (part,) = sparse_layers(dsr_tf.sparsify(plain, 0.5))
    mask = np.zeros((2, 2, 3, 2))
    mask[0, 0, :, 0] = 1
    assert masked(part, mask) == DeadUnits(inputs=1, outputs=0)


# Which weights there are, as the equation says: of inputs, then of outputs.
EQUATIONS = {
    # Heads and their lengths come out, or go in.
    "abc,cde->abde": ((10, 3), (None, 4, 2), "c", "de"),
    "abde,dec->abc": ((10, 4, 2), (None, 3), "de", "c"),
    # A matrix for each b.
    "abc,bcd->abd": ((3, 4), (3, 2), "bc", "bd"),
    # d is summed over before it meets an input.
    "ab,bcd->ac": ((3,), (5,), "b", "c"),
    "...b,bc->...c": ((10, 3), (4,), "b", "c"),
}


@settings(max_examples=20)
@given(
    st.sampled_from([x for x in EQUATIONS if x != "ab,bcd->ac"]),
    st.integers(0, 99),
    st.sampled_from([0.3, 0.7]),
)
def test_einsums_are_counted_by_their_letters(equation, seed, sparsity):
    shape, output, into, out = EQUATIONS[equation]
    layer = SparseEinsumDense(equation, output, sparsity, seed=seed)
    layer = built(layer, *shape)
    own = equation.split("->")[0].split(",")[1]
    assert dead_units(layer) == by_hand(
        layer.kernel_mask.numpy(), own, into, out
    )


def by_hand(mask, own, into, out):
    """Looks at every weight: which entries of `into` and `out` it joins."""
    sizes = dict(zip(own, mask.shape, strict=True))
    alive = set(), set()
    for place in itertools.product(*map(range, mask.shape)):
        if mask[place]:
            at = dict(zip(own, place, strict=True))
            for entries, letters in zip(alive, (into, out), strict=True):
                entries.add(tuple(at[x] for x in letters))
    return DeadUnits(
        *(
            math.prod(sizes[x] for x in letters) - len(entries)
            for entries, letters in zip(alive, (into, out), strict=True)
        )
    )


PAIRS = {
    "dense": (
        lambda kind, *a, **k: kind(6, *a, **k),
        (SparseDense, BlockDense),
        (8,),
    ),
    "conv": (
        lambda kind, *a, **k: kind(6, 1, *a, **k),
        (SparseConv2D, BlockConv2D),
        (5, 5, 8),
    ),
    **{
        equation: (
            lambda kind, *a, equation=equation, **k: kind(
                equation, EQUATIONS[equation][1], *a, **k
            ),
            (SparseEinsumDense, BlockEinsumDense),
            EQUATIONS[equation][0],
        )
        for equation in ("abc,cde->abde", "abde,dec->abc")
    },
}


@settings(max_examples=20)
@given(
    st.sampled_from(list(PAIRS)),
    st.tuples(*[st.sampled_from([1, 2, 3])] * 2),
    st.sampled_from([0.5, 0.8]),
    st.integers(0, 99),
)
def test_stored_blocks_are_counted_as_their_masks(name, block, sparsity, seed):
    make, kinds, shape = PAIRS[name]
    found = []
    for kind in kinds:
        layer = make(kind, sparsity, granularity=block, seed=seed)
        layer = built(layer, *shape)
        found.append((dead_units(layer), layer.kernel_mask.numpy().tolist()))
    assert found[0] == found[1]


def test_stored_blocks_are_not_made_dense(monkeypatch):
    layer = built(BlockDense(6, 0.5, (2, 2)), 8)
    expected = dead_units(layer)
    monkeypatch.setattr(BlockDense, "_spread", None)
    assert dead_units(layer) == expected


@pytest.mark.parametrize("storage", ["masks", "blocks"])
def test_attention_is_counted_wherever_its_kernels_are(storage):
    x = keras.Input((5, 8))
    y = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    model = dsr_tf.sparsify(
        keras.Model(x, y), 0.75, granularity=(2, 2), storage=storage
    )
    # Eight inputs and eight outputs of each of four matrices.
    assert len(sparse_layers(model)) == 4
    for part in sparse_layers(model):
        matrix = part.kernel_units.of_matrix(np.zeros((8, 8)))
        keep = np.zeros((8, 8))
        keep[2:4, 4:] = 1
        mask = part.kernel_units.of_matrix(keep)
        assert mask.shape == matrix.shape
        part.set_mask(mask)
        assert dead_units(part) == DeadUnits(inputs=6, outputs=4)

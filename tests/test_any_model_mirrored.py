"""Models in code on several replicas."""

import keras
import numpy as np
import pytest

import dsr_tf
from dsr_tf.layers import sparse_layers
from tests.test_any_model import active
from tests.test_any_model import all_equal
from tests.test_any_model import assert_clean
from tests.test_any_model import coded
from tests.test_any_model import fit
from tests.test_any_model import masks
from tests.test_any_model import moves


@pytest.mark.slow
def test_replicas_of_a_model_in_code_have_equal_masks(strategy):
    with strategy.scope():
        model = dsr_tf.sparsify(coded(), 0.6)
        model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    first, budget = masks(model), sum(active(model))
    fit(model, moves())
    assert sum(active(model)) == budget
    assert not all_equal(first, masks(model))
    for part in sparse_layers(model):
        for variable in (part.kernel, part.kernel_mask):
            one, other = strategy.experimental_local_results(variable.value)
            assert np.array_equal(one, other)
    assert_clean(model)


@pytest.mark.slow
def test_a_mirrored_model_is_made_sparse_in_place(strategy):
    with strategy.scope():
        model = coded()
        model.compile("adam", "mse", jit_compile=False)
    fit(model, epochs=1)
    dsr_tf.sparsify(model, 0.6, in_place=True)
    for part in sparse_layers(model):
        ones = strategy.experimental_local_results(part.kernel_mask.value)
        assert len(ones) == 2
    budget = sum(active(model))
    fit(model, moves())
    assert sum(active(model)) == budget
    assert_clean(model)

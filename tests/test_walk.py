import keras

from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers


def test_sparse_layers_finds_nested_and_shared_layers_once():
    shared = SparseDense(8, 0.5, name="shared")
    inner = keras.Sequential([keras.Input((8,)), SparseDense(8, 0.5)])
    inputs = keras.Input((4, 8))
    x = keras.layers.TimeDistributed(SparseDense(8, 0.5))(inputs)
    x = inner(shared(keras.layers.Flatten()(x)[:, :8]))
    model = keras.Model(inputs, shared(x))
    found = sparse_layers(model)
    assert len(found) == len({id(x) for x in found}) == 3


def test_sparse_layers_relies_on_a_private_name():
    # `sparse_layers` descends by it; this fails when Keras drops it.
    assert callable(keras.Sequential()._flatten_layers)

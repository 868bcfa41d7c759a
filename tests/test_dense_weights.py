import keras
import numpy as np
import pytest

from dsr_tf.layers import copy_masks
from dsr_tf.layers import copy_weights
from dsr_tf.layers import sparse_layers
from dsr_tf.models import lenet_300_100
from dsr_tf.models import wide_resnet


def network(sparsity, seed=0, **kwargs):
    return lenet_300_100((8, 8, 1), sparsity=sparsity, seed=seed, **kwargs)


def kernels(model):
    return [x.kernel.numpy() for x in model.layers if hasattr(x, "kernel")]


def test_dense_weights_go_under_the_masks():
    dense, sparse = network(None, seed=1), network(0.9)
    masks = [x.kernel_mask.numpy() for x in sparse_layers(sparse)]
    copy_weights(dense, sparse)
    for old, new, mask in zip(
        kernels(dense), kernels(sparse), masks, strict=True
    ):
        assert (new == old * mask).all()
    after = [x.kernel_mask.numpy() for x in sparse_layers(sparse)]
    assert all((a == b).all() for a, b in zip(masks, after, strict=True))


def test_at_sparsity_0_outputs_are_equal():
    dense = wide_resnet(10, 0.5, (16, 16, 3), sparsity=None, seed=1)
    sparse = wide_resnet(10, 0.5, (16, 16, 3), sparsity=0.0)
    rng = np.random.default_rng(0)
    dense.set_weights([rng.random(w.shape) for w in dense.get_weights()])
    copy_weights(dense, sparse)
    x = rng.random((4, 16, 16, 3), np.float32)
    assert (np.asarray(dense(x)) == np.asarray(sparse(x))).all()


def test_a_network_starts_with_the_weights_of_its_dense_twin():
    sparse, again = network(0.9, seed=3), network(0.9, seed=3)
    copy_weights(network(None, seed=3), again)
    pairs = zip(sparse.get_weights(), again.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)


def test_sparse_weights_go_into_a_dense_network():
    dense, sparse = network(None), network(0.9, seed=1)
    copy_weights(sparse, dense)
    pairs = zip(kernels(sparse), kernels(dense), strict=True)
    assert all((a == b).all() for a, b in pairs)


def test_masks_are_copied_and_obeyed():
    source, target = network(0.9, seed=1), network(0.9)
    copy_masks(source, target)
    for a, b in zip(sparse_layers(source), sparse_layers(target), strict=True):
        mask = b.kernel_mask.numpy()
        assert (a.kernel_mask.numpy() == mask).all()
        assert not b.kernel.numpy()[mask == 0].any()


@pytest.mark.parametrize("copy", [copy_weights, copy_masks])
def test_other_shapes_are_refused_and_nothing_is_copied(copy):
    source, target = network(0.9, width=0.5), network(0.9, seed=1)
    before = target.get_weights()
    with pytest.raises(ValueError, match=r"must have the weights of 'lenet"):
        copy(source, target)
    pairs = zip(before, target.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)


def test_models_without_masks_are_refused():
    with pytest.raises(ValueError, match="3 tensors. Received: 0"):
        copy_masks(network(None), network(0.9))


@pytest.mark.parametrize("copy", [copy_weights, copy_masks])
def test_unbuilt_models_are_refused(copy):
    unbuilt = keras.Sequential([keras.layers.Dense(3)], name="bare")
    for pair in ((unbuilt, network(0.9)), (network(0.9), unbuilt)):
        with pytest.raises(ValueError, match="must be built.*model 'bare'"):
            copy(*pair)

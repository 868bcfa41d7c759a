"""Maps Keras layers to their sparse and hashed kinds, and back."""

from collections.abc import Mapping
from typing import Any

import keras

from dsr_tf import layers
from dsr_tf.layers.kernel_mask import KernelMask
from dsr_tf.layers.sparse_classes import BLOCK_OF
from dsr_tf.layers.sparse_classes import SPARSE_OF
from dsr_tf.layers.sparse_part import Sparsity
from dsr_tf.layers.trained_variable import TrainedVariable
from dsr_tf.layers.tree import own_weights

Kinds = Mapping[type[keras.layers.Layer], Any]
HASHED_OF = {
    keras.layers.Dense: layers.HashedDense,
    keras.layers.Conv2D: layers.HashedConv2D,
}
DENSE_OF = {
    new: dense
    for kinds in (SPARSE_OF, BLOCK_OF, HASHED_OF)
    for dense, new in kinds.items()
}
# Weights that may have several axes, and are added to inputs or scale them.
_NO_KERNELS = ("alpha", "beta", "bias", "gamma", "mean", "variance", "vector_u")
# What Keras calls the kernels that are multiplied with all their inputs.
_USUAL = ("kernel", "recurrent_kernel", "pointwise_kernel")
# Each output of theirs has few weights already.
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_OWN_ARGUMENTS = ("sparsity", "granularity", "seed")


def usual_kernels(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Returns the weights of a layer itself that are made sparse by default.

    Args:
        layer: A built layer. Layers inside it are left out.
    """
    return [w for w in possible_kernels(layer) if w.name in _USUAL]


def possible_kernels(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Returns the weights of a layer itself that can be made sparse.

    Args:
        layer: A built layer. Layers inside it are left out.
    """
    if isinstance(layer, (*_DEPTHWISE, layers.HashedKernel)):
        return []
    if _has_lora(layer):
        return []
    return [
        weight
        for weight in own_weights(layer)
        if is_kernel(weight)
        and "float" in weight.dtype
        and weight.name != "depthwise_kernel"
        and type(weight) is keras.Variable
    ]


def why_dense(layer: keras.layers.Layer) -> str:
    """Says why a layer has no kernel that is made sparse by default."""
    if isinstance(layer, _DEPTHWISE):
        return "depthwise"
    if isinstance(layer, layers.HashedKernel):
        return "hashed"
    if _has_lora(layer):
        return "LoRA adds to its kernel"
    if possible := possible_kernels(layer):
        names = ", ".join(f"'{x.name}'" for x in possible)
        return f"{names}: sparse if `include` names its layer"
    sparse = any(isinstance(x, TrainedVariable) for x in own_weights(layer))
    return "sparse already" if sparse else "no kernel"


def _has_lora(layer: keras.layers.Layer) -> bool:
    """Tells whether a layer computes with a sum, of which a mask holds no part.

    What Keras then calls its kernel is a tensor.
    """
    return getattr(layer, "lora_enabled", False)


def is_kernel(weight: keras.Variable) -> bool:
    """Tells whether a weight is a kernel, which is multiplied with inputs.

    A kernel has two axes or more, and is neither a bias nor a weight of a
    normalisation.
    """
    is_mask = isinstance(weight, KernelMask)
    has_axes = len(weight.shape) > 1 and not is_mask
    return has_axes and weight.name not in _NO_KERNELS


def has_sparse_class(layer: keras.layers.Layer) -> bool:
    """Tells whether there is a sparse layer of exactly this class."""
    return type(layer) in SPARSE_OF


def sparse_twin(
    layer: keras.layers.Layer, made: Sparsity
) -> keras.layers.Layer:
    """Makes a sparse layer with the arguments and name of a Keras layer."""
    classes = BLOCK_OF if made.storage == "blocks" else SPARSE_OF
    kind: Any = classes[type(layer)]
    arguments = {name: getattr(made, name) for name in _OWN_ARGUMENTS}
    return kind.from_config({**layer.get_config(), **arguments})


def hashed_twin(
    layer: keras.layers.Layer, sparsity: float, seed: int
) -> keras.layers.Layer:
    """Makes a hashed layer with the arguments and name of a Keras layer.

    Raises:
        ValueError: If the kernel has a `GroupLasso`.
    """
    if isinstance(layer.kernel_regularizer, layers.GroupLasso):
        raise ValueError(
            "`kernel_regularizer` must not be a GroupLasso in a layer that is "
            "to be hashed: the penalty would act on the bank of values, which "
            f"has no slices. Received: layer '{layer.name}'"
        )
    kind: Any = HASHED_OF[type(layer)]
    return kind.from_config(
        {**layer.get_config(), "sparsity": sparsity, "seed": seed}
    )


def dense_twin(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    """Makes the plain Keras layer of a sparse or hashed one.

    None for a layer that is plain Keras already. One that only has a
    `GroupLasso` is made anew, with its L1 and L2.
    """
    given = layer.get_config()
    config = _plain(dict(given))
    if type(layer) not in DENSE_OF:
        changed = config != given
        return type(layer).from_config(config) if changed else None
    for name in _OWN_ARGUMENTS:
        config.pop(name, None)
    return DENSE_OF[type(layer)].from_config(config)


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """Replaces a GroupLasso by the L1 and L2 it holds, which Keras knows."""
    for name, value in config.items():
        group_lasso = (
            isinstance(value, dict) and value.get("class_name") == "GroupLasso"
        )
        if group_lasso:
            kept = {k: value["config"][k] for k in ("l1", "l2")}
            config[name] = keras.regularizers.serialize(
                keras.regularizers.L1L2(**kept)
            )
    return config

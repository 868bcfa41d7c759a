"""SavedModels of sparse models: packed, and dense."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras.layers import Layer

from dsr_tf.convert.clone import clone_with
from dsr_tf.convert.densify import copy_out
from dsr_tf.convert.densify import densify
from dsr_tf.exporting.gaps import pack
from dsr_tf.exporting.packed_kernel import PackedKernel
from dsr_tf.exporting.packed_kernel import UnpackedVariable
from dsr_tf.graph.kinds import dense_twin
from dsr_tf.layers import MaskedKernel


def write_dense(model: keras.Model, path: Path) -> None:
    """Writes a SavedModel with dense kernels.

    Args:
        model: A built sequential or functional model.
        path: Folder to write.
    """
    _write(densify(model), path, [])


def write_packed(model: keras.Model, path: Path) -> None:
    """Writes a SavedModel with sparse kernels packed.

    Loading it unpacks the kernels. The loaded model is a dense one.

    Args:
        model: A built sequential or functional model.
        path: Folder to write.
    """
    # Files for the kernels, until the SavedModel has its copies.
    with tempfile.TemporaryDirectory() as folder:
        unpacked: list[UnpackedVariable] = []

        def exchange(layer: Layer) -> Layer | None:
            twin = _packed_twin(layer, Path(folder))
            if isinstance(twin, PackedKernel):
                unpacked.append(twin.unpacked)
            return twin

        _write(clone_with(model, exchange, _copy), path, unpacked)


def _write(
    model: keras.Model, path: Path, resources: list[UnpackedVariable]
) -> None:
    """Writes a SavedModel with the signatures that `Model.export` writes.

    Not by that call: as of Keras 3.15 it writes every variable twice, once as
    Keras' and once as TensorFlow's.
    """
    served = tf.Module()
    served.resources = resources
    served.all_variables = [variable.value for variable in model.variables]
    sequential = isinstance(model, keras.Sequential)
    inputs = keras.tree.map_structure(
        lambda x: tf.TensorSpec(x.shape, x.dtype, x.name),
        model.inputs[0] if sequential else model.input,
    )

    @tf.function(input_signature=[inputs], autograph=False)
    def serve(inputs: Any) -> Any:
        return model(inputs, training=False)

    served.serve = serve
    tf.saved_model.save(
        served,
        str(path),
        signatures={"serve": serve, "serving_default": serve},
    )


def _packed_twin(layer: Layer, folder: Path) -> Layer | None:
    plain = dense_twin(layer)
    if plain is None or not isinstance(layer, MaskedKernel):
        return plain
    kind: Any = type("Packed", (PackedKernel, type(plain)), {})
    twin = kind.from_config(plain.get_config())
    kernel = pack(keras.ops.convert_to_numpy(layer.kernel))
    # Loaders keep variables by name, of all models together: equal names only
    # for equal kernels.
    digest = hashlib.sha256(kernel.values.tobytes() + kernel.gaps).hexdigest()
    name = f"{layer.name}_{digest[:16]}"
    twin.unpacked = UnpackedVariable(folder / f"{name}.bin", kernel, name)
    return twin


def _copy(old: Layer, new: Layer) -> None:
    if not isinstance(new, PackedKernel):
        copy_out(old, new)
    elif getattr(old, "bias", None) is not None:
        new.bias.assign(old.bias)

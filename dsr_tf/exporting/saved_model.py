"""SavedModels of sparse models: packed, and dense."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras.layers import Layer

from dsr_tf.convert.clone import clone_with
from dsr_tf.convert.densify import copy_out
from dsr_tf.convert.densify import densify
from dsr_tf.exporting.comparison import as_array
from dsr_tf.exporting.comparison import difference
from dsr_tf.exporting.comparison import outputs_of
from dsr_tf.exporting.comparison import packed
from dsr_tf.exporting.comparison import tolerance_of
from dsr_tf.exporting.drawn_inputs import drawn_inputs
from dsr_tf.exporting.examples import Batch
from dsr_tf.exporting.examples import batches_of
from dsr_tf.exporting.examples import first_examples
from dsr_tf.exporting.gaps import pack
from dsr_tf.exporting.packed_kernel import PackedKernel
from dsr_tf.exporting.packed_kernel import UnpackedVariable
from dsr_tf.exporting.signature import input_names
from dsr_tf.exporting.signature import output_names
from dsr_tf.graph.kinds import SPARSE_OF
from dsr_tf.graph.kinds import dense_twin
from dsr_tf.layers.tree import all_layers


def write_dense(
    model: keras.Model, path: Path, representative: Any = None
) -> None:
    """Writes a SavedModel with dense kernels.

    Args:
        model: A built sequential or functional model.
        path: Folder to write.
        representative: Inputs to compare it on, as `predict` takes them; None
            to draw some.

    Raises:
        RuntimeError: If its outputs differ from the model's.
    """
    inputs = _inputs(model, representative)
    write_graph(densify(model), path)
    _compare(path, model, inputs)


def write_packed(
    model: keras.Model, path: Path, representative: Any = None
) -> None:
    """Writes a SavedModel with sparse kernels packed.

    Loading it unpacks the kernels. The loaded model is a dense one.

    Args:
        model: A built sequential or functional model.
        path: Folder to write.
        representative: Inputs to compare it on, as `predict` takes them; None
            to draw some.

    Raises:
        RuntimeError: If its outputs differ from the model's.
    """
    inputs = _inputs(model, representative)
    # Files for the kernels, until the SavedModel has its copies.
    with tempfile.TemporaryDirectory() as folder:
        unpacked: list[UnpackedVariable] = []

        def exchange(layer: Layer) -> Layer | None:
            twin = _packed_twin(layer, Path(folder))
            if isinstance(twin, PackedKernel):
                unpacked.append(twin.unpacked)
            return twin

        write_graph(clone_with(model, exchange, _copy), path, unpacked)
    _compare(path, model, inputs)


def write_graph(
    model: keras.Model,
    path: Path,
    resources: Sequence[UnpackedVariable] = (),
    any_float: bool = True,
) -> None:
    """Writes a SavedModel with the signatures that `Model.export` writes.

    Not by that call: as of Keras 3.15 it writes every variable twice, once as
    Keras' and once as TensorFlow's.

    Args:
        model: A built sequential or functional model.
        path: Folder to write.
        resources: Kernels of the model that are not among its variables.
        any_float: Whether inputs that are floats of another width than 32 bits
            stay so.
    """
    served = tf.Module()
    served.resources = [*resources, *_tables(model)]
    served.all_variables = [variable.value for variable in model.variables]
    specs = _specs(model, any_float)

    @tf.function(input_signature=[packed(model, specs)], autograph=False)
    def serve(inputs: Any) -> Any:
        return model(inputs, training=False)

    @tf.function(autograph=False)
    def named(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = serve(packed(model, [inputs[spec.name] for spec in specs]))
        flat = keras.tree.flatten(outputs)
        return dict(zip(output_names(outputs), flat, strict=True))

    served.serve = serve
    signature = named.get_concrete_function(**{x.name: x for x in specs})
    tf.saved_model.save(
        served,
        str(path),
        signatures={"serve": signature, "serving_default": signature},
    )


def _specs(model: keras.Model, any_float: bool) -> list[tf.TensorSpec]:
    types = [tf.as_dtype(tensor.dtype) for tensor in model.inputs]
    if not any_float:
        types = [tf.float32 if x.is_floating else x for x in types]
    shapes = [tensor.shape for tensor in model.inputs]
    return list(map(tf.TensorSpec, shapes, types, input_names(model)))


def _tables(model: keras.Model) -> list[Any]:
    """Returns the tables of a model's layers, such as `StringLookup`."""
    table = tf.saved_model.experimental.TrackableResource
    values = [x for layer in all_layers(model) for x in vars(layer).values()]
    return [value for value in values if isinstance(value, table)]


def _inputs(model: keras.Model, representative: Any) -> Batch:
    if representative is None:
        return drawn_inputs(model)
    return first_examples(batches_of(representative, model), model)


def _compare(path: Path, model: keras.Model, inputs: Batch) -> None:
    """Compares a SavedModel with the model that it was made of."""
    expected = outputs_of(model, inputs)
    if expected is None:
        return
    given = keras.tree.map_structure(tf.constant, packed(model, inputs))
    # An endpoint by itself does not keep its variables.
    loaded = tf.saved_model.load(str(path))
    found = [as_array(x) for x in keras.tree.flatten(loaded.serve(given))]
    if text := difference(found, expected, tolerance_of(model)):
        raise RuntimeError(
            "The SavedModel must give the outputs of the model. Nothing was "
            f"written. Received: a SavedModel that {text}"
        )


def _packed_twin(layer: Layer, folder: Path) -> Layer | None:
    plain = dense_twin(layer)
    if plain is None or type(layer) not in SPARSE_OF.values():
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

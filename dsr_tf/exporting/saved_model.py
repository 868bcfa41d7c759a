"""SavedModels of sparse models: packed, and dense."""

import tempfile
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import AbstractContextManager
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras.layers import Layer

from dsr_tf.checks import first_line
from dsr_tf.convert.clone import clone_with
from dsr_tf.convert.clone import copy_all
from dsr_tf.convert.densify import copy_out
from dsr_tf.exporting.block_serving import ServedBlocks
from dsr_tf.exporting.block_serving import computing_with_blocks
from dsr_tf.exporting.block_serving import served_blocks
from dsr_tf.exporting.comparison import as_array
from dsr_tf.exporting.comparison import difference
from dsr_tf.exporting.comparison import outputs_of
from dsr_tf.exporting.comparison import packed
from dsr_tf.exporting.comparison import tolerance_of
from dsr_tf.exporting.drawn_inputs import drawn_inputs
from dsr_tf.exporting.examples import Batch
from dsr_tf.exporting.examples import batches_of
from dsr_tf.exporting.examples import first_examples
from dsr_tf.exporting.packed_kernel import UnpackedVariable
from dsr_tf.exporting.signature import input_names
from dsr_tf.exporting.signature import output_names
from dsr_tf.graph.kinds import dense_twin
from dsr_tf.layers import HashedKernel
from dsr_tf.layers import sparse_layers
from dsr_tf.layers.masked_reading import reading
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
    write_graph(without_hashes(model), path)
    _compare(path, model, inputs)


def write_packed(
    model: keras.Model,
    path: Path,
    representative: Any = None,
    compute: str = "dense",
) -> str | None:
    """Writes a SavedModel with sparse kernels packed.

    Loading it unpacks the kernels, to dense ones or to blocks.

    Args:
        model: A built sequential or functional model, its blocks under masks.
        path: Folder to write.
        representative: Inputs to compare it on, as `predict` takes them; None
            to draw some.
        compute: `"dense"`, or `"blocks"` for the layers that are faster so.

    Returns:
        How many kernels compute with blocks, if any.

    Raises:
        RuntimeError: If its outputs differ from the model's.
    """
    inputs = _inputs(model, representative)
    served = without_hashes(model)
    # Files for the kernels, until the SavedModel has its copies.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blocks = served_blocks(served, folder) if compute == "blocks" else []
        unpacked = _unpacked(served, blocks, folder)
        traced = computing_with_blocks(blocks)
        write_graph(served, path, unpacked, traced=traced)
    _compare(path, model, inputs)
    if not blocks:
        return None
    return f"{len(blocks)} of {len(unpacked)} kernels compute with blocks"


def _unpacked(
    model: keras.Model, blocks: Sequence[ServedBlocks], folder: Path
) -> dict[int, UnpackedVariable]:
    """Returns what a file has instead of each sparse kernel, by `id`."""
    unpacked = {id(x.layer.kernel): x.weights for x in blocks}
    for kernel in [x.kernel for x in sparse_layers(model)]:
        if id(kernel) not in unpacked:
            array = keras.ops.convert_to_numpy(kernel.value)
            variable = UnpackedVariable.of(array, kernel.path, folder)
            unpacked[id(kernel)] = variable
    return unpacked


def without_hashes(model: keras.Model) -> keras.Model:
    """Returns a model without hashed layers: the model itself, or a copy."""
    hashed = any(isinstance(x, HashedKernel) for x in all_layers(model))
    return clone_with(model, _plain_hashed, _copy) if hashed else model


def write_graph(
    model: keras.Model,
    path: Path,
    unpacked: Mapping[int, UnpackedVariable] | None = None,
    any_float: bool = True,
    traced: AbstractContextManager[None] | None = None,
) -> None:
    """Writes a SavedModel with the signatures that `Model.export` writes.

    Not by that call: as of Keras 3.15 it writes every variable twice, once as
    Keras' and once as TensorFlow's.

    Args:
        model: A built sequential or functional model, without hashed layers.
        path: Folder to write.
        unpacked: Where some of its kernels are read from instead, by
            `id(kernel)`.
        any_float: Whether inputs that are floats of another width than 32 bits
            stay so.
        traced: What holds while the model is traced.
    """
    served, unpacked = tf.Module(), unpacked or {}
    served.resources = [*unpacked.values(), *_tables(model)]
    left_out = {id(x.kernel_mask) for x in sparse_layers(model)} | set(unpacked)
    served.all_variables = [
        variable.value
        for variable in model.variables
        if id(variable) not in left_out
    ]
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
    readers = {key: x.read for key, x in unpacked.items()}
    with reading(readers), traced or nullcontext():
        signature = named.get_concrete_function(**{x.name: x for x in specs})
        signatures = {"serve": signature, "serving_default": signature}
        try:
            tf.saved_model.save(served, str(path), signatures=signatures)
        except AssertionError as error:
            raise ValueError(
                "`model` must compute with variables that Keras knows of "
                "alone: a stateful recurrent layer has others, and so has a "
                f"layer with a `tf.Variable`. Received: model '{model.name}' "
                f"({first_line(error)})"
            ) from error


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


def _plain_hashed(layer: Layer) -> Layer | None:
    return dense_twin(layer) if isinstance(layer, HashedKernel) else None


def _copy(old: Layer, new: Layer) -> None:
    # Others stay sparse, to be packed.
    copy = copy_out if isinstance(old, HashedKernel) else copy_all
    copy(old, new)

"""TFLite files of sparse models, which are compared with the model."""

import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dsr_tf.convert.densify import densify
from dsr_tf.exporting.saved_model import write_dense

# What outputs may differ by, as a share of the largest: float32 sums in
# another order, 11 bits of a half, 8 of a byte through several layers.
TOLERANCES = {None: 1e-3, "float16": 1e-2, "int8": 0.25}


def write_tflite(
    model: keras.Model,
    path: Path,
    quantize: str | None = None,
    representative: Iterable[Any] | None = None,
) -> None:
    """Writes a TFLite file, sparse-encoded where that is smaller.

    The file is run, and its outputs are compared with the model's, before it is
    written.

    Args:
        model: A built sequential or functional model.
        path: File to write.
        quantize: None, `"float16"` or `"int8"`.
        representative: For `"int8"`: batches of inputs, such as arrays, which
            give the ranges of activations.

    Raises:
        ValueError: If `"int8"` comes without representative inputs, or these
            are not batches of the model's inputs.
        RuntimeError: If the outputs of the file differ from the model's.
    """
    if quantize == "int8" and representative is None:
        raise ValueError(
            "`representative` must be given with `quantize='int8'`: without "
            "the ranges of activations, TFLite multiplies weights of 8 bits "
            "by floats, and cannot load sparse convolutions that do so. "
            "Received: representative=None"
        )
    batches = None
    if representative is not None:
        batches = _batches(representative, model)
    plain = densify(model)
    with tempfile.TemporaryDirectory() as folder:
        write_dense(plain, Path(folder) / "model")
        contents = [
            _converted(Path(folder) / "model", quantize, batches, sparse)
            for sparse in (True, False)
        ]
    content = min(contents, key=len)
    inputs = _inputs(plain) if batches is None else batches[0]
    _compare(content, plain, inputs, TOLERANCES[quantize])
    path.write_bytes(content)


def _batches(representative: Any, model: keras.Model) -> list[Any]:
    """Returns representative inputs as a list of batches.

    Raises:
        ValueError: If there is none, or one that the model does not take.
    """
    is_text = isinstance(representative, str | bytes)
    is_several = isinstance(representative, Iterable) and not is_text
    batches = list(representative) if is_several else []
    if not batches or not all(_fits(batch, model) for batch in batches):
        shapes = [tuple(tensor.shape) for tensor in model.inputs]
        raise ValueError(
            "`representative` must be batches of the model's inputs, of shape "
            f"{shapes}, one batch at least. Received: "
            f"representative={_shapes(batches) or representative!r}"
        )
    return batches


def _fits(batch: Any, model: keras.Model) -> bool:
    arrays, inputs = _arrays(batch), model.inputs
    return len(arrays) == len(inputs) and all(
        _is_batch(array.shape, tuple(tensor.shape))
        for array, tensor in zip(arrays, inputs, strict=True)
    )


def _is_batch(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return (
        len(shape) == len(expected)
        and shape[0] > 0
        and all(
            length in (own, None)
            for own, length in zip(shape[1:], expected[1:], strict=True)
        )
    )


def _shapes(batches: list[Any]) -> str:
    shapes = [[array.shape for array in _arrays(batch)] for batch in batches]
    return f"batches of shape {shapes[:3]}" if shapes else ""


def _converted(
    path: Path, quantize: str | None, batches: Any, sparse: bool
) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(path))
    converter.optimizations = []
    if sparse:
        converter.optimizations.append(tf.lite.Optimize.EXPERIMENTAL_SPARSITY)
    if quantize:
        converter.optimizations.append(tf.lite.Optimize.DEFAULT)
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        converter.representative_dataset = lambda: (
            [row[None] for row in rows]
            for batch in batches
            for rows in zip(*_arrays(batch), strict=True)
        )
    return converter.convert()


def _compare(
    content: bytes, model: keras.Model, inputs: Any, tolerance: float
) -> None:
    with warnings.catch_warnings():
        # It announces its successor, which is another package.
        warnings.simplefilter("ignore", UserWarning)
        interpreter = tf.lite.Interpreter(model_content=content)
    run = interpreter.get_signature_runner("serving_default")
    arrays = _arrays(inputs)
    names = [tensor.name for tensor in model.inputs]
    found = run(**dict(zip(names, arrays, strict=True)))
    expected = keras.tree.flatten(model(inputs, training=False))
    for i, value in enumerate(expected):
        value = keras.ops.convert_to_numpy(value)
        difference = np.abs(found[f"output_{i}"] - value).max()
        largest = np.abs(value).max()
        if not difference <= tolerance * max(largest, 1e-6):
            raise RuntimeError(
                "The TFLite file must give the outputs of the model. Nothing "
                "was written. Received: outputs that differ by up to "
                f"{difference:.3g}, where the largest output is {largest:.3g}"
            )


def _inputs(model: keras.Model) -> Any:
    """Draws normal inputs for a model; integer inputs are zeros."""
    rng = np.random.default_rng(0)
    arrays = []
    for tensor in model.inputs:
        shape = [length or 1 for length in tensor.shape]
        drawn = rng.normal(size=shape)
        integer = not tf.as_dtype(tensor.dtype).is_floating
        arrays.append((drawn * (not integer)).astype(tensor.dtype))
    return arrays[0] if len(arrays) == 1 else arrays


def _arrays(inputs: Any) -> list[np.ndarray]:
    return [np.asarray(array) for array in keras.tree.flatten(inputs)]

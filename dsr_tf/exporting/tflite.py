"""TFLite files of sparse models, which are compared with the model."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from dsr_tf.checks import first_line
from dsr_tf.exporting.comparison import as_array
from dsr_tf.exporting.comparison import difference
from dsr_tf.exporting.comparison import outputs_of
from dsr_tf.exporting.comparison import tolerance_of
from dsr_tf.exporting.conversion import Conversion
from dsr_tf.exporting.conversion import check_loops
from dsr_tf.exporting.drawn_inputs import drawn_inputs
from dsr_tf.exporting.examples import Batch
from dsr_tf.exporting.examples import batches_of
from dsr_tf.exporting.examples import first_examples
from dsr_tf.exporting.float32 import in_float32
from dsr_tf.exporting.pointwise import pointwise_fault
from dsr_tf.exporting.saved_model import without_hashes
from dsr_tf.exporting.saved_model import write_graph
from dsr_tf.exporting.signature import input_names
from dsr_tf.exporting.signature import output_names
from dsr_tf.exporting.trial import outputs_of as outputs_of_file

# What outputs may differ by, as a share of the largest: 11 bits of a half, 8 of
# a byte through several layers.
TOLERANCES = {None: 0.0, "float16": 1e-2, "int8": 0.25}
ENCODINGS = ("auto", "sparse", "dense")


@dataclass(frozen=True)
class Trial:
    """A model, and inputs with which a file is compared with it.

    Args:
        model: The model.
        inputs: An array for each of its inputs.
        expected: Its outputs; None if they are random.
        share: What outputs may differ by, as a share of the largest.
    """

    model: keras.Model
    inputs: Batch
    expected: Batch | None
    share: float

    def problem(self, path: Path) -> str | None:
        """Runs a TFLite file; says what it does wrongly, or None."""
        names = input_names(self.model)
        given = dict(zip(names, map(as_array, self.inputs), strict=True))
        try:
            found = outputs_of_file(path, given)
        except RuntimeError as error:
            return str(error)
        if self.expected is None:
            return None
        order = output_names(_structure(self.model))
        arrays = [found[name] for name in order]
        return difference(arrays, self.expected, self.share)


def write_tflite(
    model: keras.Model,
    path: Path,
    quantize: str | None = None,
    representative: Any = None,
    encoding: str = "auto",
    inputs: str | None = None,
) -> str:
    """Writes a TFLite file, sparse-encoded where that is smaller.

    The file is run in a process of its own, and its outputs are compared with
    the model's, before it is written.

    Args:
        model: A built sequential or functional model.
        path: File to write.
        quantize: None, `"float16"` or `"int8"`.
        representative: Inputs, as `predict` takes them. For `"int8"` they give
            the ranges of activations; on the first ones the file is tried.
        encoding: `"sparse"`, `"dense"`, or `"auto"`: the smaller of those that
            compute the model's outputs.
        inputs: None, or `"int8"` for in- and outputs of 8 bits.

    Returns:
        How the kernels are encoded, and why.

    Raises:
        ValueError: If `"int8"` comes without representative inputs, or these
            do not fit the model, or TFLite cannot convert it.
        RuntimeError: If the outputs of the file differ from the model's.
    """
    _check(quantize, representative)
    batches = None
    if representative is not None:
        batches = batches_of(representative, model)
    share = max(TOLERANCES[quantize], tolerance_of(model))
    tried = first_examples(batches, model) if batches else drawn_inputs(model)
    trial = Trial(model, tried, outputs_of(model, tried), share)
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model"
        served = in_float32(without_hashes(model))
        write_graph(served, graph, any_float=False)
        if quantize == "int8":
            check_loops(model, graph)
        convert = Conversion(model, graph, quantize, batches, inputs)
        content, note = _encoded(convert, trial, encoding, inputs)
    path.write_bytes(content)
    return note


def _check(quantize: str | None, representative: Any) -> None:
    if quantize == "int8" and representative is None:
        raise ValueError(
            "`representative` must be given with `quantize='int8'`: without "
            "the ranges of activations, TFLite multiplies weights of 8 bits "
            "by floats, and cannot load sparse convolutions that do so. "
            "Received: representative=None"
        )


def _encoded(
    convert: Conversion, trial: Trial, encoding: str, inputs: str | None
) -> tuple[bytes, str]:
    """Returns the content of a file that is right, and how it is encoded."""
    if encoding == "sparse":
        return _checked(convert(sparse=True), trial), "encoded sparse"
    dense = convert(sparse=False)
    if encoding == "dense":
        return _checked(dense, trial), "encoded dense"
    reason = "microcontrollers take no other"
    if inputs is None:
        sparse, reason = _sparse(convert, len(dense), trial)
        if sparse is not None:
            return sparse, "encoded sparse"
    return _checked(dense, trial), f"encoded dense: {reason}"


def _sparse(
    convert: Conversion, most: int, trial: Trial
) -> tuple[bytes | None, str]:
    """Returns a sparse-encoded file, or None and why there is none."""
    try:
        content = convert(sparse=True)
    except ValueError as error:
        return None, f"no sparse-encoded file ({first_line(error)})"
    if len(content) >= most:
        return None, "that is smaller"
    if text := pointwise_fault(content):
        return None, text
    text = _problem(content, trial)
    return (None, f"sparse-encoded, it {text}") if text else (content, "")


def _checked(content: bytes, trial: Trial) -> bytes:
    if text := _problem(content, trial):
        raise RuntimeError(
            "The TFLite file must give the outputs of the model. Nothing was "
            f"written. Received: a file that {text}"
        )
    return content


def _problem(content: bytes, trial: Trial) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        return trial.problem(path)


def _structure(model: keras.Model) -> Any:
    """Returns the structure of a model's outputs, with zeros in it."""
    if isinstance(model, keras.Sequential):
        return 0
    return keras.tree.map_structure(lambda _: 0, model.output)

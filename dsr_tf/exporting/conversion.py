"""TFLite's converter, with the settings of one export."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dsr_tf.checks import first_line
from dsr_tf.exporting.examples import Batch
from dsr_tf.exporting.examples import batch_size
from dsr_tf.exporting.signature import input_names

_LOOPS = (
    "recurrent layers need `keras.Input(..., batch_size=1)`, or `unroll=True`"
)


@dataclass(frozen=True)
class Conversion:
    """Converts a SavedModel to TFLite.

    Args:
        model: The model that the SavedModel is of.
        graph: Folder of the SavedModel.
        quantize: None, `"float16"` or `"int8"`.
        batches: Inputs of the model, for `"int8"`.
        inputs: None, or `"int8"` for in- and outputs of 8 bits.
    """

    model: keras.Model
    graph: Path
    quantize: str | None
    batches: list[Batch] | None
    inputs: str | None

    def __call__(self, sparse: bool) -> bytes:
        """Returns the content of a TFLite file.

        Args:
            sparse: Whether sparse kernels are encoded as such.

        Raises:
            ValueError: If TFLite cannot convert the model.
        """
        try:
            return self._converter(sparse).convert()
        # Broad, as the converter fails with errors of many classes.
        except Exception as error:
            raise ValueError(
                "`model` must be made of operations that TFLite has. Received: "
                f"model '{self.model.name}' ({_cause(error)})"
            ) from error

    def _converter(self, sparse: bool) -> tf.lite.TFLiteConverter:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(self.graph))
        converter.optimizations = []
        if sparse:
            converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
        if self.quantize:
            converter.optimizations.append(tf.lite.Optimize.DEFAULT)
        if self.quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if self.quantize == "int8":
            converter.representative_dataset = self._examples
        if self.inputs == "int8":
            kernels = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
            converter.target_spec.supported_ops = [kernels]
            converter.inference_input_type = tf.int8
            converter.inference_output_type = tf.int8
        return converter

    def _examples(self) -> Iterator[dict[str, np.ndarray]]:
        """Yields inputs by name: TFLite has an order of its own."""
        names = input_names(self.model)
        size = batch_size(self.model) or 1
        for batch in self.batches or []:
            for start in range(0, len(batch[0]), size):
                part = [array[start : start + size] for array in batch]
                yield dict(zip(names, part, strict=True))


def check_loops(model: keras.Model, graph: Path) -> None:
    """Refuses a graph whose ranges of activations TFLite cannot find.

    Its calibration ends the process, without an error, at loops that collect
    values, as those of recurrent layers.

    Args:
        model: The model.
        graph: Folder of its SavedModel.

    Raises:
        ValueError: If there is such a loop.
    """
    # A signature by itself does not keep its variables.
    loaded = tf.saved_model.load(str(graph))
    definition = loaded.signatures["serve"].graph.as_graph_def()
    functions = [x.node_def for x in definition.library.function]
    nodes = chain(definition.node, *functions)
    if any(node.op.startswith("TensorList") for node in nodes):
        raise ValueError(
            "`quantize` must be None or 'float16' for a model with loops that "
            "collect values: TFLite crashes where it looks for their ranges. "
            "Recurrent layers with `unroll=True` have no loop. Received: "
            f"quantize='int8', model '{model.name}'"
        )


def _cause(error: Exception) -> str:
    """Returns the line of a converter's message that says what failed."""
    lines = [x.strip() for x in str(error).splitlines()]
    lists = [x for x in lines if re.match("(TF Select|Custom) ops: ", x)]
    errors = [x.rpartition("error: ")[2] for x in lines if "error: " in x]
    found = [*lists, *errors, first_line(error)][0]
    # Where in the graph it is, which fills several lines.
    cause = re.sub(r"^loc\(.*\): ", "", found)
    return f"{cause}; {_LOOPS}" if "TensorList" in cause else cause

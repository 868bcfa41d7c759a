"""What is digested of a run; see `tests/digests.py`."""

import fnmatch
import hashlib
import json
import time
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dsr_tf.layers import sparse_layers


def digest(variables: Iterable[Any]) -> str:
    """Returns the SHA-256 of arrays in order, dtypes and shapes included."""
    found = hashlib.sha256()
    for variable in variables:
        array = np.asarray(keras.ops.convert_to_numpy(variable))
        found.update(f"{array.dtype} {array.shape};".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def of_network(model: keras.Model, prefix: str = "") -> dict[str, str]:
    """Digests weights and masks.

    The weights that are trained are also digested alone: where only `weights`
    differs, weights stand in another order.
    """
    layers = sparse_layers(model)
    return {
        f"{prefix}weights": digest(model.weights),
        f"{prefix}trained": digest(model.trainable_weights),
        f"{prefix}masks": digest(layer.kernel_mask for layer in layers),
    }


def of_training(
    model: keras.Model, metrics: Mapping[Any, Any]
) -> dict[str, str]:
    """Digests a trained model, and writes its metrics out."""
    plain = {
        str(name): [float(x) for x in values]
        for name, values in metrics.items()
    }
    slots = digest(model.optimizer.variables)
    return of_network(model) | {"slots": slots, "metrics": json.dumps(plain)}


def write_runs(
    runs: Mapping[str, Callable[[], dict[str, str]]], out: str, pattern: str
) -> None:
    """Makes the runs whose names match, and writes their digests."""
    found = {}
    for name, run in runs.items():
        if not fnmatch.fnmatch(name, pattern):
            continue
        begin = time.perf_counter()
        try:
            found[name] = run()
        # Broad: one run that fails is told, and does not end the others.
        except Exception as error:
            found[name] = {"error": f"{type(error).__name__}: {error}"}
        print(f"{name}  {time.perf_counter() - begin:.1f} s", flush=True)
    Path(out).write_text(json.dumps(found))

"""What a run says of itself: while it trains, and at its end."""

import math
from typing import Any

import keras

from dsr_tf.callbacks import Reallocate
from dsr_tf.layers import MaskedKernel
from dsr_tf.layers import sparse_layers
from dsr_tf.train.config import Config


class EpochLine(keras.callbacks.Callback):
    """Prints one line an epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        width = len(str(self.params["epochs"]))
        parts = [
            f"epoch {epoch + 1:{width}}/{self.params['epochs']}",
            f"loss {logs['loss']:.4f}",
            f"accuracy {logs['accuracy']:.4f}",
            f"test {logs['val_accuracy']:.4f}",
        ]
        if "weights_moved" in logs:
            parts.append(f"moved {logs['weights_moved']:,}")
        if "threshold" in logs:
            parts.append(f"threshold {logs['threshold']:.3g}")
        print("  ".join(parts), flush=True)


def summarize(
    config: Config,
    model: keras.Model,
    reallocation: Reallocate | None,
    budget: int,
    test_accuracy: float,
    train_seconds: float,
) -> dict[str, Any]:
    """Returns what `summary.json` holds.

    Args:
        config: Settings of the run.
        model: The trained network.
        reallocation: The callback that moved its weights, or None.
        budget: Active weights of the sparse tensors before the first step.
        test_accuracy: Accuracy on the test set after the last epoch.
        train_seconds: Time in `fit`, its evaluations included.
    """
    layers = [_layer_summary(layer) for layer in sparse_layers(model)]
    num_active = sum(layer["num_active"] for layer in layers)
    num_weights = sum(math.prod(layer["shape"]) for layer in layers)
    parameters = sum(math.prod(v.shape) for v in model.trainable_variables)
    state = reallocation.state if reallocation else None
    return {
        "dataset": config.dataset,
        "model": config.model,
        "method": config.method,
        "seed": config.seed,
        "epochs": config.epochs,
        "test_accuracy": test_accuracy,
        "budget": budget,
        "num_active": num_active,
        "num_weights": num_weights,
        "sparsity": 1 - num_active / num_weights,
        "model_parameters": parameters - num_weights + num_active,
        "model_sparsity": (num_weights - num_active) / parameters,
        "reallocations": state.num_reallocations if state else 0,
        "weights_moved": state.weights_moved if state else 0,
        "threshold": state.method.get("threshold") if state else None,
        "train_seconds": round(train_seconds, 3),
        "reallocation_seconds": round(
            reallocation.reallocation_seconds if reallocation else 0.0, 3
        ),
        "layers": layers,
    }


def _layer_summary(layer: MaskedKernel) -> dict[str, Any]:
    size = math.prod(layer.kernel.shape)
    return {
        "name": layer.name,
        "shape": list(layer.kernel.shape),
        "num_active": layer.num_active,
        "sparsity": 1 - layer.num_active / size,
    }


def closing_lines(summary: dict[str, Any], path: str) -> str:
    """Returns the lines that end a run on the screen."""
    share = summary["budget"] / summary["num_weights"]
    rows = {
        "test accuracy": f"{summary['test_accuracy']:.4f} after epoch "
        f"{summary['epochs']}, on {summary['dataset']}",
        "budget": f"{summary['budget']:,} of {summary['num_weights']:,} "
        f"weights ({share:.4g} kept)",
        "active weights": f"{summary['num_active']:,}, and "
        f"{summary['model_parameters']:,} parameters in the whole model",
        "weights moved": f"{summary['weights_moved']:,} in "
        f"{summary['reallocations']:,} reallocations, "
        f"{summary['reallocation_seconds']:.1f} s of "
        f"{summary['train_seconds']:.1f} s",
        "written to": path,
    }
    return "\n".join(f"{name:16}{text}" for name, text in rows.items())

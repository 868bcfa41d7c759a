"""The lines that a run prints, and its summary."""

import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras

from dsr_tf.analysis.dead_units import dead_units
from dsr_tf.callbacks import Reallocate
from dsr_tf.layers import SparseKernel
from dsr_tf.layers import budgeted_layers
from dsr_tf.layers import sparse_layers
from dsr_tf.methods.records import find
from dsr_tf.runs.config import Config
from dsr_tf.runs.multiply_adds import earlier_multiply_adds


class EpochLine(keras.callbacks.Callback):
    """Prints one line after each epoch.

    Args:
        epochs: Epochs of the whole run.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        width = len(str(self.epochs))
        parts = [
            f"epoch {epoch + 1:{width}}/{self.epochs}",
            f"loss {logs['loss']:.4f}",
            f"accuracy {logs['accuracy']:.4f}",
            f"test {logs['val_accuracy']:.4f}",
        ]
        if "active_weights" in logs:
            parts.append(f"active {logs['active_weights']:,}")
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
    starts: Sequence[int],
    test_accuracy: float,
    train_seconds: float,
    multiply_adds: int | None,
) -> dict[str, Any]:
    """Returns what `summary.json` holds.

    Args:
        config: Settings of the run.
        model: The trained network.
        reallocation: The callback that moved its weights, or None.
        budget: Weights that the sparse tensors may hold at the end.
        starts: Active weights of each sparse layer before the first step.
        test_accuracy: Accuracy on the test set after the last epoch.
        train_seconds: Time in `fit`, its evaluations included.
        multiply_adds: Those of the training, zeros skipped; None if they are
            not known.
    """
    budgeted = budgeted_layers(model)
    layers = [
        _layer_summary(layer, start)
        for layer, start in zip(budgeted, starts, strict=True)
    ]
    num_active = sum(layer["num_active"] for layer in layers)
    num_weights = sum(math.prod(layer["shape"]) for layer in layers)
    parameters = sum(math.prod(v.shape) for v in model.trainable_variables)
    trained = sum(math.prod(layer.trained_kernel.shape) for layer in budgeted)
    parameters += num_weights - trained
    state = reallocation.state if reallocation else None
    return {
        "dataset": config.data.dataset,
        "train_split": config.data.train_split,
        "test_split": config.data.test_split,
        "image_size": config.data.image_size,
        "standardize": config.data.standardize,
        "model": config.network.model,
        "method": config.record.name,
        "seed": config.training.seed,
        "epochs": config.training.epochs,
        "test_accuracy": test_accuracy,
        "budget": budget,
        "num_active": num_active,
        "num_weights": num_weights,
        "sparsity": 1 - num_active / num_weights if num_weights else 0.0,
        "model_parameters": parameters - num_weights + num_active,
        "model_sparsity": (num_weights - num_active) / parameters,
        "reallocations": state.num_reallocations if state else 0,
        "weights_moved": state.weights_moved if state else 0,
        "ever_active": _ever_active(model, reallocation),
        "threshold": state.method.get("threshold") if state else None,
        "prunes": state.method.get("prunes") if state else None,
        "num_prunes": getattr(config.settings, "num_prunes", None),
        "training_multiply_adds": multiply_adds,
        "earlier_multiply_adds": earlier_multiply_adds(config.start.init_from),
        "train_seconds": round(train_seconds, 3),
        "reallocation_seconds": round(state.seconds if state else 0.0, 3),
        "layers": layers,
    }


def _layer_summary(layer: Any, start: int) -> dict[str, Any]:
    shape = layer.kernel_shape
    dead = dead_units(layer) if isinstance(layer, SparseKernel) else None
    return {
        "name": layer.name,
        "shape": list(shape),
        "num_active": layer.num_active,
        "num_active_at_start": start,
        "sparsity": 1 - layer.num_active / math.prod(shape),
        "dead_inputs": dead.inputs if dead else None,
        "dead_outputs": dead.outputs if dead else None,
    }


def _ever_active(
    model: keras.Model, reallocation: Reallocate | None
) -> float | None:
    """Returns the share of weights ever active; None without sparse layers."""
    if reallocation:
        return reallocation.reallocator.ever_active
    layers = sparse_layers(model)
    if not layers:
        return None
    weights = sum(math.prod(layer.kernel_shape) for layer in layers)
    return sum(layer.num_active for layer in layers) / weights


def closing_lines(summary: dict[str, Any], path: str) -> str:
    """Returns the lines that a run prints at its end."""
    rows = {
        "test accuracy": f"{summary['test_accuracy']:.4f} after epoch "
        f"{summary['epochs']}, on {tested(summary)}",
        **(_budget_rows(summary) if summary["num_weights"] else {}),
        "parameters": f"{summary['model_parameters']:,} in the whole model",
        "time": f"{summary['train_seconds']:.1f} s, of which reallocations "
        f"took {summary['reallocation_seconds']:.1f} s",
        "written to": path,
    }
    return "\n".join(f"{name:16}{text}" for name, text in rows.items())


def tested(summary: Mapping[str, Any]) -> str:
    """Returns the data set of a run, and the part of it that was tested."""
    part = summary.get("test_split")
    return summary["dataset"] + (f", {part}" if part else "")


def _budget_rows(summary: dict[str, Any]) -> dict[str, str]:
    share = summary["budget"] / summary["num_weights"]
    missed = summary["num_active"] - summary["budget"]
    rows = {
        "budget": f"{summary['budget']:,} of {summary['num_weights']:,} "
        f"weights ({share:.4g} kept)",
        "active weights": f"{summary['num_active']:,}",
        "weights moved": f"{summary['weights_moved']:,} in "
        f"{summary['reallocations']:,} reallocations",
    }
    if summary["ever_active"] is not None:
        rows["ever active"] = f"{summary['ever_active']:.4f} of all weights"
    if dead := _dead(summary["layers"]):
        rows["dead"] = f"{dead} without an active weight"
    record = find(summary["method"])
    if record and record.moves_weights and not summary["reallocations"]:
        rows["weights moved"] += ", as none was due"
    if missed > 0:
        rows["active weights"] += f", {missed:,} too many" + (
            f": {summary['prunes']} of {summary['num_prunes']} prunes done "
            "before --stop_epoch"
            if summary["num_prunes"]
            else ""
        )
    return rows


def _dead(layers: Sequence[Mapping[str, Any]]) -> str:
    """Returns counts of dead units; nothing where there are none."""
    sums = {
        name: sum(layer[f"dead_{name}"] or 0 for layer in layers)
        for name in ("inputs", "outputs")
    }
    return " and ".join(f"{n:,} {name}" for name, n in sums.items() if n)

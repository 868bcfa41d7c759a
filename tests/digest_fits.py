"""Short runs of `fit`; see `tests/digests.py`."""

import functools
import sys
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

import dsr_tf
from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import ITOP
from dsr_tf.callbacks import MEST
from dsr_tf.callbacks import SET
from dsr_tf.callbacks import SNFS
from dsr_tf.callbacks import Checkpoint
from dsr_tf.callbacks import CHTs
from dsr_tf.callbacks import DeepR
from dsr_tf.callbacks import GradualPruning
from dsr_tf.callbacks import GraNet
from dsr_tf.callbacks import PreemptedError
from dsr_tf.callbacks import RigL
from dsr_tf.callbacks import resumable_fit
from dsr_tf.layers import BlockDense
from dsr_tf.layers import HashedConv2D
from dsr_tf.layers import HashedDense
from dsr_tf.layers import SparseConv1D
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense
from dsr_tf.layers import SparseEinsumDense
from tests.digest_values import of_network
from tests.digest_values import of_training
from tests.digest_values import write_runs

RNG = np.random.default_rng(0)
X = RNG.normal(size=(320, 6, 6, 4)).astype("float32")
Y = RNG.integers(0, 3, size=320)

OLDER: dict[str, Callable[..., Any]] = {
    "static": lambda: None,
    "dsr": lambda **kwargs: DSR(
        **{"num_pruned": 30, "period": 5, "initial_threshold": 0.05} | kwargs
    ),
    "set": lambda **kwargs: SET(**{"drop_fraction": 0.2, "period": 5} | kwargs),
    "deepr": lambda **kwargs: DeepR(**{"temperature": 1e-4} | kwargs),
    "compressed": lambda **kwargs: GradualPruning(
        **{"sparsity": 0.6, "num_prunes": 5, "period": 6} | kwargs
    ),
}
NEWER: dict[str, Callable[..., Any]] = {
    "rigl": lambda **kwargs: RigL(**{"period": 5} | kwargs),
    "itop": lambda **kwargs: ITOP(**{"period": 5} | kwargs),
    "itop_random": lambda **kwargs: ITOP(
        **{"period": 5, "growth": "random"} | kwargs
    ),
    "snfs": lambda **kwargs: SNFS(**{"period": 5} | kwargs),
    "granet": lambda **kwargs: GraNet(
        **{"sparsity": 0.6, "period": 5, "initial_sparsity": 0.3} | kwargs
    ),
    "mest": lambda **kwargs: MEST(**{"period": 5} | kwargs),
    "mest_soft": lambda **kwargs: MEST(
        **{"period": 5, "soft": True, "sparsity": 0.6} | kwargs
    ),
    "chts": lambda **kwargs: CHTs(**{"period": 5, "percolate": True} | kwargs),
    "dsr_gradient": lambda **kwargs: OLDER["dsr"](growth="gradient", **kwargs),
    "dsr_momentum": lambda **kwargs: OLDER["dsr"](growth="momentum", **kwargs),
    "dsr_min_inputs": lambda **kwargs: OLDER["dsr"](min_inputs=4, **kwargs),
}
METHODS = OLDER | NEWER
# Of methods that begin denser than they end.
FIRST_SPARSITIES = {"compressed": 0.0, "granet": 0.3, "mest_soft": 0.55}
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.01),
    "adagrad": lambda: keras.optimizers.Adagrad(0.05),
    "muon": lambda: keras.optimizers.Muon(0.01),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.01), initial_scale=2.0**10
    ),
    "averaged": lambda: keras.optimizers.Adam(
        0.01, use_ema=True, ema_overwrite_frequency=7
    ),
    "accumulated": lambda: keras.optimizers.Adagrad(
        0.05, gradient_accumulation_steps=2
    ),
}


def make_layers(kind: str, method: str, granularity: str) -> list[Any]:
    """Returns the layers of the small network; `kind` says of which class."""
    if kind in ("dense", "thin_dense"):
        thin = 2 if kind == "thin_dense" else 1
        conv = functools.partial(keras.layers.Conv2D, 8 // thin, 3)
        dense, units = keras.layers.Dense, 20 // thin
        return _stack(conv, functools.partial(dense, units), dense)
    share: dict[str, Any] = {"sparsity": FIRST_SPARSITIES.get(method, 0.6)}
    if kind == "hashed":
        conv = functools.partial(HashedConv2D, 8, 3, seed=1, **share)
        hidden = functools.partial(HashedDense, 20, seed=2, **share)
        return _stack(conv, hidden, functools.partial(HashedDense, **share))
    share["granularity"] = granularity
    conv = functools.partial(SparseConv2D, 8, 3, seed=1, **share)
    share["granularity"] = "weight"
    hidden = functools.partial(SparseDense, 20, seed=2, **share)
    return _stack(conv, hidden, functools.partial(SparseDense, **share))


def _stack(conv: Any, hidden: Any, logits: Any) -> list[Any]:
    # Keras cannot add penalties of another dtype to the loss.
    plain = keras.config.dtype_policy().variable_dtype == "float32"
    return [
        conv(name="conv"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.ReLU(),
        keras.layers.Flatten(),
        hidden(
            kernel_regularizer="l1" if plain else None,
            activation="relu",
            name="hidden",
        ),
        keras.layers.Dropout(0.2, seed=4),
        logits(3, name="logits"),
    ]


def compiled(
    model: keras.Model, optimizer: str = "sgd", **arguments: Any
) -> keras.Model:
    model.compile(
        OPTIMIZERS[optimizer](),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **({"jit_compile": False} | arguments),
    )
    return model


def network(
    method: str,
    optimizer: str = "sgd",
    kind: str = "sparse",
    granularity: str = "weight",
    **arguments: Any,
) -> keras.Model:
    layers = make_layers(kind, method, granularity)
    model = keras.Sequential([keras.Input((6, 6, 4)), *layers])
    return compiled(model, optimizer, **arguments)


def fit(model: keras.Model, *callbacks: Any, epochs: int = 2) -> dict[str, str]:
    history = model.fit(
        X,
        Y,
        batch_size=16,
        epochs=epochs,
        verbose=0,
        shuffle=False,
        validation_data=(X[:50], Y[:50]),
        callbacks=[callback for callback in callbacks if callback],
    )
    return of_training(model, history.history)


@contextmanager
def started(policy: str = "float32") -> Iterator[None]:
    """Starts a run with equal seeds, whatever ran before, under a policy."""
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def trained(
    method: str,
    settings: dict[str, Any] | None = None,
    policy: str = "float32",
    epochs: int = 2,
    **arguments: Any,
) -> dict[str, str]:
    """Trains the small network; `settings` are those of the callback."""
    with started(policy):
        model = network(method, **arguments)
        initial = of_network(model, "initial_")
        callback = METHODS[method](**(settings or {}))
        return initial | fit(model, callback, epochs=epochs)


def trained_twice(method: str) -> dict[str, str]:
    """Goes on with one callback and one model in a second `fit`."""
    with started():
        model, callback = network(method), METHODS[method]()
        first = fit(model, callback)
        second = fit(model, callback)
        return {f"first_{k}": x for k, x in first.items()} | second


class StopAt(keras.callbacks.Callback):
    """Asks for the end of training after so many batches."""

    def __init__(self, checkpoint: Checkpoint, batches: int) -> None:
        super().__init__()
        self.checkpoint, self.left = checkpoint, batches

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            self.checkpoint.stop()


def resumed(
    method: str, stops: tuple[int, ...] = (7, 13), **arguments: Any
) -> dict[str, str]:
    """Stops runs, and goes on with fresh objects each time."""
    digits = dsr_tf.data.load_images("digits", train_examples=160)
    with tempfile.TemporaryDirectory() as folder:
        for batches in (*stops, 0):
            with started():
                model, rows = _digits_network(method, **arguments), Rows()
                callback = METHODS[method](**_faster(method))
                checkpoint = Checkpoint(folder, callback, every_steps=3)
                own = [callback, rows, StopAt(checkpoint, batches)]
                try:
                    resumable_fit(
                        model,
                        lambda epoch, step: digits.train_batches(
                            20, 0, epoch, step
                        ),
                        checkpoint,
                        epochs=4,
                        steps_per_epoch=8,
                        callbacks=[x for x in own if x],
                        validation_data=digits.eval_batches().take(1),
                    )
                except PreemptedError:
                    assert batches, "stopped, though nothing asked for it"
    return of_training(model, rows.metrics())


def in_blocks(method: str) -> dict[str, str]:
    """Trains layers that store 4x4 blocks, and a masked one."""
    share = FIRST_SPARSITIES.get(method, 0.6)
    with started():
        layers = [
            keras.layers.Flatten(),
            BlockDense(32, share, (4, 4), seed=1, activation="relu"),
            SparseDense(20, share, (4, 4), seed=2, activation="relu"),
            BlockDense(12, share, (4, 4), seed=3),
        ]
        model = keras.Sequential([keras.Input((6, 6, 4)), *layers])
        few = {"num_pruned": 10} if method.startswith("dsr") else {}
        return fit(compiled(model), METHODS[method](**few))


def _faster(method: str) -> dict[str, Any]:
    """Returns settings with which each method moves weights in few steps."""
    return {
        "deepr": {"temperature": 1e-3},
        "static": {},
        "compressed": {"period": 5},
    }.get(method, {"period": 3})


def _digits_network(
    method: str, optimizer: str = "sgd", granularity: str = "weight"
) -> keras.Model:
    layers = make_layers("sparse", method, granularity)[:-1]
    share = FIRST_SPARSITIES.get(method, 0.5)
    logits = SparseDense(10, share, seed=3, name="logits")
    inputs = keras.Input((8, 8, 1))
    return compiled(keras.Sequential([inputs, *layers, logits]), optimizer)


class Rows(keras.callbacks.Callback):
    """Keeps the logs of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.rows.append(dict(logs))

    def metrics(self) -> dict[str, list[float]]:
        return {k: [row[k] for row in self.rows] for k in self.rows[-1]}


def built(
    make: Callable[[], keras.Model], moves: Callable[[], Any]
) -> dict[str, str]:
    """Makes a model of the library, and trains it for four steps."""
    with started():
        model = compiled(make())
        initial = of_network(model, "initial_")
        generator = np.random.default_rng(1)
        x = generator.normal(size=(16, *model.input_shape[1:]))
        y = generator.integers(0, 10, size=16)
        history = model.fit(
            x.astype("float32"),
            y,
            batch_size=8,
            epochs=2,
            verbose=0,
            shuffle=False,
            callbacks=[callback for callback in [moves()] if callback],
        )
        return initial | of_training(model, history.history)


def with_other_layers(method: str) -> dict[str, str]:
    """Trains nested, shared, frozen and einsum layers."""
    with started():
        inner = keras.Sequential(
            [
                keras.Input((6, 24)),
                SparseConv1D(16, 3, 0.5, seed=1, activation="relu"),
                SparseEinsumDense(
                    "abc,cd->abd", (4, 12), 0.5, seed=2, bias_axes="d"
                ),
            ]
        )
        shared = SparseDense(12, 0.5, seed=3, activation="relu")
        frozen = SparseDense(12, 0.5, seed=4, trainable=False)
        inputs = keras.Input((6, 6, 4))
        x = inner(keras.layers.Reshape((6, 24))(inputs))
        x = frozen(shared(shared(x)))
        x = SparseDense(3, 0.2, seed=5)(keras.layers.Flatten()(x))
        return fit(compiled(keras.Model(inputs, x)), METHODS[method]())


def sparsified(moves: str = "set", **arguments: Any) -> dict[str, str]:
    """Makes a trained dense model sparse, and trains that."""
    with started():
        dense = network("static", kind="dense")
        fit(dense, epochs=1)
        model = dsr_tf.sparsify(dense, include="*", seed=5, **arguments)
        initial = of_network(model, "initial_")
        return initial | fit(model, METHODS[moves](), epochs=1)


def _balanced() -> dsr_tf.Balanced:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return dsr_tf.Balanced(X[:64], Y[:64], loss)


def runs() -> dict[str, Callable[[], dict[str, str]]]:
    """Returns all runs by name."""
    run = functools.partial
    several = {0: 5, 1: 10}
    found: dict[str, Callable[[], dict[str, str]]] = {
        **{method: run(trained, method) for method in METHODS},
        **{
            kind: run(trained, "static", kind=kind)
            for kind in ("hashed", "dense", "thin_dense")
        },
        "compressed_each": run(
            trained, "compressed", {"across_tensors": False}
        ),
        "compressed_exponential": run(
            trained, "compressed", {"schedule": "exponential"}
        ),
        "dsr_regrown": run(trained, "dsr", {"regrow_stddev": 0.01}),
        "dsr_seed": run(trained, "dsr", {"seed": 11, "tolerance": 0.3}),
        "deepr_noise": run(
            trained, "deepr", {"temperature": 1e-3, "noise_rate": 0.05}
        ),
        "deepr_scheduled": run(
            trained,
            "deepr",
            {"temperature": {0: 1e-4, 1: 1e-6}, "stop_epoch": 2},
            epochs=3,
        ),
        "kernel_dsr_regrown": run(
            trained,
            "dsr",
            {"num_pruned": 4, "regrow_stddev": 0.01},
            granularity="kernel",
        ),
        "kernel_compressed_each": run(
            trained,
            "compressed",
            {"across_tensors": False},
            granularity="kernel",
        ),
    }
    for method in ("dsr", "set", "compressed"):
        found[f"kernel_{method}"] = run(trained, method, granularity="kernel")
        found[f"{method}_scheduled"] = run(
            trained, method, {"period": several, "stop_epoch": 2}, epochs=3
        )
        found[f"{method}_executions_of_5"] = run(
            trained, method, steps_per_execution=5
        )
    for method in ("dsr", "set", "deepr", "compressed"):
        found[f"{method}_twice"] = run(trained_twice, method)
        found[f"{method}_resumed"] = run(resumed, method)
        for policy in (
            "mixed_float16",
            "mixed_bfloat16",
            "bfloat16",
            "float64",
        ):
            found[f"{method}_{policy}"] = run(trained, method, policy=policy)
        found[f"{method}_xla"] = run(trained, method, jit_compile=True)
        # Says that pruning may end before the last prune.
        short = {"stop_epoch": 1} if method == "compressed" else {}
        found[f"{method}_eager"] = run(
            trained, method, short, run_eagerly=True, epochs=1
        )
    for name in OPTIMIZERS:
        found[f"dsr_{name}"] = run(trained, "dsr", optimizer=name)
    for method in ("set", "deepr", "compressed"):
        found[f"{method}_scaled"] = run(trained, method, optimizer="scaled")
    for name in ("set", "dsr", "deepr"):
        found[f"{name}_other_layers"] = run(with_other_layers, name)
    found["hashed_mixed_float16"] = run(
        trained, "static", kind="hashed", policy="mixed_float16"
    )
    found["kernel_dsr_resumed"] = run(
        resumed, "dsr", granularity="kernel", optimizer="scaled"
    )
    for method in NEWER:
        found[f"{method}_resumed"] = run(resumed, method)
        found[f"{method}_xla"] = run(trained, method, jit_compile=True)
        found[f"{method}_executions_of_5"] = run(
            trained, method, steps_per_execution=5
        )
        found[f"{method}_blocks"] = run(in_blocks, method)
    for method in ("rigl", "snfs", "mest"):
        found[f"{method}_scaled"] = run(trained, method, optimizer="scaled")
        found[f"{method}_mixed_float16"] = run(
            trained, method, policy="mixed_float16"
        )
    found["dsr_resumed_at_epoch_end"] = run(resumed, "dsr", (8, 16))
    return found | model_runs() | sparsify_runs()


def model_runs() -> dict[str, Callable[[], dict[str, str]]]:
    """Returns runs of the library's own models."""
    shapes: dict[str, tuple[Callable[..., keras.Model], dict[str, Any]]] = {
        "lenet": (dsr_tf.models.lenet_300_100, {"input_shape": (8, 8, 1)}),
        "wrn": (
            functools.partial(dsr_tf.models.wide_resnet, 10, 1),
            {"input_shape": (16, 16, 3)},
        ),
        "resnet50": (
            dsr_tf.models.resnet50,
            {"input_shape": (64, 64, 3), "width": 0.1, "num_classes": 10},
        ),
    }
    run, found = functools.partial, {}
    dsr = METHODS["dsr"]
    for name, (make, arguments) in shapes.items():
        more = {"sparsity": 0.8, "l1": 1e-4, "l2": 1e-4, "seed": 3}
        sparse = run(make, **arguments, **more)
        found[f"model_{name}"] = run(built, sparse, run(dsr, period=1))
        hashed = run(sparse, hashed=True)
        found[f"model_{name}_hashed"] = run(built, hashed, METHODS["static"])
        if name != "lenet":
            slices = run(sparse, granularity="kernel", group_lasso=1e-4)
            few = run(dsr, period=1, num_pruned=5)
            found[f"model_{name}_kernel"] = run(built, slices, few)
    return found


def sparsify_runs() -> dict[str, Callable[[], dict[str, str]]]:
    """Returns runs of models that were made sparse."""
    run = functools.partial
    return {
        "sparsify_uniform": run(sparsified, sparsity=0.8),
        "sparsify_erk": run(sparsified, sparsity=0.8, distribution="erk"),
        "sparsify_balanced": run(
            sparsified, sparsity=0.8, distribution=_balanced()
        ),
        "sparsify_largest": run(sparsified, sparsity=0.8, keep="magnitude"),
        "sparsify_kernel": run(
            sparsified,
            sparsity=0.8,
            keep="magnitude",
            granularity="kernel",
        ),
        "sparsify_by_name": run(
            sparsified, "dsr", distribution={"conv": 0.5, "hidden": 0.9}
        ),
    }


if __name__ == "__main__":
    write_runs(runs(), *sys.argv[1:])

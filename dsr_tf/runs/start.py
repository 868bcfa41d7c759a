"""Builds the networks before the first step, with their weights and masks."""

import math
from collections.abc import Callable
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras

from dsr_tf.convert import Balanced
from dsr_tf.convert.kernel_sparsities import Scoring
from dsr_tf.layers import copy_masks
from dsr_tf.layers import copy_weights
from dsr_tf.layers import sparse_layers
from dsr_tf.runs import build
from dsr_tf.runs.config import Config
from dsr_tf.runs.earlier import INITIAL
from dsr_tf.runs.earlier import MODEL
from dsr_tf.runs.earlier import SUMMARY
from dsr_tf.runs.finished import load_network
from dsr_tf.runs.largest import largest_kept
from dsr_tf.runs.outputs import gives_logits
from dsr_tf.runs.own_network import is_file


def start_models(
    config: Config,
    image_shape: tuple[int, ...],
    num_classes: int,
    batches: Callable[[], Iterable[Any]] = tuple,
) -> tuple[keras.Model, keras.Model | None]:
    """Builds the network, and the plain network with its first weights.

    Args:
        config: Settings of the run.
        image_shape: Height, width and channels.
        num_classes: Number of classes.
        batches: Returns training batches, where the budget is to be balanced.

    Returns:
        The network to train; and a plain Keras network with its first weights,
        including the weights that masks hide. The second is None for hashed
        networks, which cannot have masks.

    Raises:
        ValueError: If a run or a file to start from does not fit.
    """
    if config.record.kernels == "hashed":
        return build.build_model(config, image_shape, num_classes), None
    dense = build.build_dense(config, image_shape, num_classes)
    start, trained = config.start, _trained(config)
    if start.init_from:
        _copy("init_from", start.init_from, copy_weights, trained, dense)
    if start.weights_from and start.weights_from != "random":
        first = _load("weights_from", start.weights_from, INITIAL)
        _copy("weights_from", start.weights_from, copy_weights, first, dense)
    if config.record.kernels == "dense":
        return dense, dense
    is_balanced = config.budget.distribution == "balanced"
    scoring = _scoring(dense, batches()) if is_balanced else None
    model = build.build_model(config, image_shape, num_classes, scoring, dense)
    if start.masks_from:
        last = _load("masks_from", start.masks_from, MODEL)
        _start_with_masks("masks_from", start.masks_from, last, model)
    elif trained and config.record.starts_sparse:
        model = _with_trained_masks(config, trained, dense, model, scoring)
    copy_weights(dense, model)
    return model, dense


def _trained(config: Config) -> keras.Model | None:
    """Loads the trained network that a run starts from, if there is one."""
    start, model = config.start, config.network.model
    if start.init_from:
        return _load("init_from", start.init_from, MODEL)
    if is_file(model) and not start.weights_from:
        return load_network("model", model, Path(model))
    return None


def _with_trained_masks(
    config: Config,
    trained: keras.Model,
    dense: keras.Model,
    model: keras.Model,
    scoring: Scoring | None,
) -> keras.Model:
    """Returns the network to train, with masks that suit trained weights.

    These are the masks of the trained network, if it has some and they have
    the budget of the run. Otherwise the largest weights are kept; but of a
    dense network that `--init_from` names those that were drawn.
    """
    # Weights that were trained under masks are worth little under others.
    if _prunes(trained):
        if _has_budget(trained, model):
            name, path = "init_from", config.start.init_from
            if not path:
                name, path = "model", config.network.model
            _copy(name, path, copy_masks, trained, model)
            return model
    elif config.start.init_from:
        return model
    return largest_kept(
        dense,
        model,
        build.first_sparsity(config),
        scoring or config.budget.distribution,
        config.budget.granularity,
        config.budget.storage,
        config.training.seed,
    )


def _scoring(dense: keras.Model, batches: Iterable[Any]) -> Scoring:
    """Returns what scores the weights that training begins with."""
    x, y = next(iter(batches))
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=gives_logits(dense, x.shape[1:])
    )
    balanced = Balanced(x, y, loss)

    def scores(model: keras.Model, kernels: Any) -> list[Any]:
        copy_weights(dense, model)
        return balanced(model, kernels)

    return scores


def _prunes(model: keras.Model) -> bool:
    """Tells whether masks of a network hide anything."""
    return any(
        layer.num_active < math.prod(layer.kernel_shape)
        for layer in sparse_layers(model)
    )


def _has_budget(source: keras.Model, model: keras.Model) -> bool:
    """Tells whether two networks have as many active weights."""
    layers = sparse_layers(model)
    budget, found = (
        sum(layer.num_active for layer in sparse_layers(x))
        for x in (model, source)
    )
    # Less than one unit may have been left unspent where that run ended.
    largest = max((layer.unit_size for layer in layers), default=1)
    return 0 <= budget - found < largest


def _start_with_masks(
    name: str, path: str, source: keras.Model, model: keras.Model
) -> None:
    budget = sum(layer.num_active for layer in sparse_layers(model))
    has_budget = _has_budget(source, model)
    _copy(name, path, copy_masks, source, model)
    if not has_budget:
        found = sum(layer.num_active for layer in sparse_layers(source))
        raise ValueError(
            f"`{name}` must name a run with the same budget as this "
            f"run, {budget}: give the --sparsity of that run. "
            f"Received: {name}={path} with {found} active weights"
        )


def _copy(
    name: str,
    path: str,
    copy: Callable[[keras.Model, keras.Model], None],
    source: keras.Model,
    model: keras.Model,
) -> None:
    """Copies from one model into another; an error names the flag."""
    try:
        copy(source, model)
    except ValueError as error:
        kind = "masks" if copy is copy_masks else "weights"
        raise ValueError(
            f"`{name}` must lead to a network whose {kind} fit this network. "
            f"Received: {name}={path} ({error})"
        ) from error


def _load(name: str, path: str, file: str) -> keras.Model:
    """Loads a file of a finished run, or the `.keras` file that is named."""
    given = Path(path)
    named = name == "init_from" and given.is_file()
    found = given if named else given / file
    unfinished = not named and not (given / SUMMARY).exists()
    if unfinished or not found.is_file():
        raise ValueError(
            f"`{name}` must be the folder of a finished run that has {file}"
            f"{', or a .keras file' if name == 'init_from' else ''}. "
            f"Received: {name}={path}"
        )
    return load_network(name, path, found)

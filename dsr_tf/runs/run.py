"""One training run, from a configuration to the files it writes."""

import math
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from dsr_tf import launch
from dsr_tf.callbacks import Checkpoint
from dsr_tf.callbacks import SparsityLogger
from dsr_tf.callbacks import resumable_fit
from dsr_tf.callbacks.position import Position
from dsr_tf.data import ImageSet
from dsr_tf.data import load_images
from dsr_tf.data.load import is_own
from dsr_tf.distribute import choose_strategy
from dsr_tf.distribute import is_chief
from dsr_tf.distribute import share_batches
from dsr_tf.distribute.agree import agree_on
from dsr_tf.distribute.agree import largest
from dsr_tf.distribute.agree import settle
from dsr_tf.distribute.differences import check_alike
from dsr_tf.distribute.workers import has_workers
from dsr_tf.layers import budgeted_layers
from dsr_tf.runs import build
from dsr_tf.runs.alike import data_facts
from dsr_tf.runs.alike import facts
from dsr_tf.runs.auto_period import with_period
from dsr_tf.runs.batch_norm import settle_averages
from dsr_tf.runs.best import KeepBest
from dsr_tf.runs.config import Config
from dsr_tf.runs.earlier import CHECKPOINTS
from dsr_tf.runs.earlier import INITIAL
from dsr_tf.runs.earlier import METRICS
from dsr_tf.runs.earlier import TENSORBOARD
from dsr_tf.runs.exported import exports
from dsr_tf.runs.folder import RunFolder
from dsr_tf.runs.history import this_start
from dsr_tf.runs.multiply_adds import CountMultiplyAdds
from dsr_tf.runs.optimizers import build_optimizer
from dsr_tf.runs.precision import precision
from dsr_tf.runs.progress import Progress
from dsr_tf.runs.report import EpochLine
from dsr_tf.runs.report import closing_lines
from dsr_tf.runs.report import summarize
from dsr_tf.runs.start import start_models
from dsr_tf.training.length import check_length
from dsr_tf.training.length import no_reallocation


def run(config: Config) -> dict[str, Any]:
    """Trains a network and writes flags, metrics, model and summary.

    A run that was killed resumes from its newest checkpoint.

    Args:
        config: Settings of the run.

    Returns:
        The contents of `summary.json`. Only the chief writes and prints; other
        workers return an empty dict.

    Raises:
        ValueError: If a setting is out of its range; if the folder is in use,
            or holds a finished run, or a run with other settings, or is no
            run's; if workers differ in flags, data or code.
        DatasetUnavailableError: If the data set is not available.
        UnreadableCheckpointError: If no checkpoint of the run can be read.
        FloatingPointError: If the loss, or a weight, becomes NaN or infinite.
        PreemptedError: After SIGTERM, SIGINT, SIGUSR1 or SIGHUP, once a
            checkpoint is written.
        WorkersMissingError: If other workers do not start within ten minutes.
        OtherWorkerError: If another worker ended before the training.
    """
    # Before anything else of TensorFlow, as several workers need it.
    strategy = choose_strategy(config.execution.strategy, _say)
    with ExitStack() as stack:
        with agree_on(strategy):
            folder = stack.enter_context(_own_folder(config, strategy))
            goes_on = is_chief(strategy) and folder.resumes(
                config.flags, build.by_share(config)
            )
            images = _images(config)
            if goes_on and is_own(config.data.dataset):
                folder.check_data(data_facts(images))
        if has_workers(strategy):
            check_alike(strategy, facts(config, images))
        epochs = config.training.epochs
        there = folder.earlier_epochs(default=epochs) if goes_on else 0
        (earlier_epochs,) = largest(strategy, [there])
        steps = images.num_train // config.training.batch_size
        config = with_period(config, steps)
        return _run(config, strategy, folder, images, earlier_epochs)


def _say(line: str) -> None:
    print(f"{launch.name()}: {line}", file=sys.stderr, flush=True)


def _images(config: Config) -> ImageSet:
    data, training = config.data, config.training
    keras.utils.set_random_seed(training.seed)
    images = load_images(
        data.dataset,
        data.data_dir,
        image_size=data.image_size,
        train_examples=data.train_examples,
        train_split=data.train_split,
        test_split=data.test_split,
        augment=data.augment,
        standardize=data.standardize,
    )
    # Refused here, if at all, before anything is written.
    images.train_batches(training.batch_size, training.seed)
    return images


def _run(
    config: Config,
    strategy: tf.distribute.Strategy,
    folder: RunFolder,
    images: ImageSet,
    earlier_epochs: int,
) -> dict[str, Any]:
    """Trains; `earlier_epochs` are those of a run that goes on, else 0."""
    training, execution = config.training, config.execution
    steps = images.num_train // training.batch_size
    with strategy.scope(), precision(training.mixed_precision):
        model, initial = _compiled(config, strategy, images, steps)
    networks = [net for net in (model, initial) if net]
    told = settle_averages(config, networks, steps, earlier_epochs)
    budget = build.budget(config, model)
    starts = [layer.num_active for layer in budgeted_layers(model)]
    reallocation = build.build_reallocation(config)
    idle = None
    if reallocation:
        reallocator = reallocation.reallocator_of(model)
        length = range(training.epochs), steps, model.steps_per_execution
        check_length(reallocator, *length)
        idle = no_reallocation(reallocator, *length)
    logger = None
    if execution.tensorboard:
        logger = SparsityLogger(folder.path / TENSORBOARD, reallocation)
        logger.check(model)
    checkpoint = Checkpoint(
        Path(execution.run_dir) / CHECKPOINTS,
        reallocation,
        execution.checkpoint_steps,
        execution.keep_checkpoints,
        logger,
        strategy,
    )
    if earlier_epochs:
        _resume(config, folder, checkpoint, model, steps)
    else:
        with agree_on(strategy):
            folder.begin(config.flags)
            folder.add_start(this_start(resumes=False))
            if is_own(config.data.dataset):
                folder.write_data(data_facts(images))
        if initial:
            folder.write_model(initial, INITIAL)
    for line in filter(None, (idle, told)):
        if is_chief(strategy):
            print(f"in this run {line}", flush=True)
    counted = CountMultiplyAdds(model, reallocation, training.batch_size, steps)
    _fit(config, folder, model, images, steps, checkpoint, counted)
    settle(strategy)
    if not is_chief(strategy):
        return {}

    folder.write_model(model)
    summary = summarize(
        config,
        model,
        reallocation,
        budget=budget,
        starts=starts,
        test_accuracy=float(folder.metrics()[-1]["val_accuracy"]),
        train_seconds=checkpoint.position.seconds,
        multiply_adds=counted.total(training.epochs),
    )
    folder.finish(summary)
    print(closing_lines(summary, str(folder.path)), flush=True)
    return summary


@contextmanager
def _own_folder(
    config: Config, strategy: tf.distribute.Strategy
) -> Iterator[RunFolder]:
    """Yields the run's folder on the chief, and a temporary one on others."""
    if is_chief(strategy):
        execution = config.execution
        folder = RunFolder(execution.run_dir, execution.overwrite)
        with folder.owned():
            yield folder
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield RunFolder(scratch)


def _compiled(
    config: Config,
    strategy: tf.distribute.Strategy,
    images: ImageSet,
    steps: int,
) -> tuple[keras.Model, keras.Model | None]:
    """Returns the compiled network, and the plain network it starts from."""
    training = config.training
    model, initial = start_models(
        config,
        images.image_shape,
        images.num_classes,
        lambda: images.train_batches(training.batch_size, training.seed),
    )
    # More fail inside Keras on several replicas.
    num_replicas = strategy.num_replicas_in_sync
    model.compile(
        build_optimizer(training, steps),
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=build.gives_logits(config, model, images.image_shape)
        ),
        metrics=["accuracy"],
        jit_compile=build.jit_compile(config, num_replicas),
        steps_per_execution=(
            build.steps_per_execution(config, steps) if num_replicas == 1 else 1
        ),
    )
    return model, initial


def _resume(
    config: Config,
    folder: RunFolder,
    checkpoint: Checkpoint,
    model: keras.Model,
    steps: int,
) -> None:
    """Prints where a run resumes, and prepares its files."""
    position = checkpoint.find(model)
    # More epochs can have more periods, and so executions of other lengths.
    model.steps_per_execution = math.gcd(
        model.steps_per_execution, position.step
    )
    with agree_on(checkpoint.strategy):
        if is_chief(checkpoint.strategy):
            has_rows = any(x.startswith("CSVLogger") for x in position.carries)
            folder.go_on(config.flags, None if has_rows else position.epoch)
            folder.add_start(this_start(resumes=True))
            _say_where(config, folder, checkpoint, position, steps)


def _say_where(
    config: Config,
    folder: RunFolder,
    checkpoint: Checkpoint,
    position: Position,
    steps: int,
) -> None:
    for line in checkpoint.damaged:
        print(f"{line}; the one before it is used", flush=True)
    for path in exports(folder.path):
        print(f"{path} is an export of the network as it was", flush=True)
    done = position.epoch * steps + position.step
    print(
        f"resuming after epoch {position.epoch}/{config.training.epochs}"
        + (f" and {position.step} of {steps} steps" if position.step else "")
        + f", step {done:,} of the run, from {folder.path / CHECKPOINTS}",
        flush=True,
    )


def _fit(
    config: Config,
    folder: RunFolder,
    model: keras.Model,
    images: ImageSet,
    steps: int,
    checkpoint: Checkpoint,
    counted: CountMultiplyAdds,
) -> None:
    strategy, training = checkpoint.strategy, config.training
    keep_best = config.execution.keep_best
    own = (
        checkpoint.reallocation,
        checkpoint.logger,
        counted,
        # Keras waits for each batch where a callback hears of it.
        Progress(training.epochs, steps)
        if is_chief(strategy) and sys.stdout.isatty()
        else None,
        EpochLine(training.epochs) if is_chief(strategy) else None,
        keras.callbacks.CSVLogger(str(folder.path / METRICS), append=True),
        KeepBest(folder, keep_best) if keep_best else None,
    )

    def batches(epoch: int, step: int) -> Any:
        return share_batches(
            strategy,
            lambda num_workers, index: images.train_batches(
                training.batch_size,
                training.seed,
                epoch,
                step,
                num_workers,
                index,
            ),
        )

    with _on_signals(checkpoint.stop):
        resumable_fit(
            model,
            batches,
            checkpoint,
            epochs=training.epochs,
            steps_per_epoch=steps,
            callbacks=[callback for callback in own if callback],
            validation_data=images.eval_batches(),
        )


# What ends a job: a person, a scheduler that needs the machine, a shell that
# is closed. Not all systems have all.
_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP")
    if hasattr(signal, name)
]


@contextmanager
def _on_signals(stop: Callable[..., None]) -> Iterator[None]:
    """Calls `stop` on signals; a second SIGINT does not wait for it."""
    asked = False

    def handle(signum: int, frame: Any) -> None:
        nonlocal asked
        if asked and signum == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True
        stop(signum, frame)

    before = {
        number: signal.signal(number, handle)
        for number in _SIGNALS
        # Python hears signals in the main thread only. What is ignored, as by
        # `nohup`, is to be ignored.
        if threading.current_thread() is threading.main_thread()
        and signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

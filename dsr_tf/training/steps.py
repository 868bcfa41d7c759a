"""How many steps an optimizer takes, and has taken."""

import keras
import tensorflow as tf


def read_step(optimizer: keras.optimizers.Optimizer) -> int:
    """Returns the optimizer steps taken so far.

    The operation is called by its own name, as this is done after every batch:
    Keras' ways to the number take five times as long, several percent of a
    step of a small network. `int(optimizer.iterations)` raises where there are
    several replicas.

    Args:
        optimizer: Any Keras optimizer.
    """
    iterations = optimizer.iterations
    if not isinstance(iterations, keras.Variable):
        # Where gradients accumulate it is computed.
        return int(keras.ops.convert_to_numpy(iterations))
    variable = iterations.value
    # A mirrored variable has one for each replica.
    first = getattr(variable, "values", [variable])[0]
    read = tf.raw_ops.ReadVariableOp(resource=first.handle, dtype=first.dtype)
    return int(read.numpy())


def batches_a_step(optimizer: keras.optimizers.Optimizer) -> int:
    """Returns over how many batches gradients are added up for a step.

    Args:
        optimizer: Any Keras optimizer.
    """
    # One that scales the loss leaves this to the one it wraps.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return optimizer.gradient_accumulation_steps or 1

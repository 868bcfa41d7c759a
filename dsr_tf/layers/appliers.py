"""Which optimizer changes a kernel, and what it can leave there."""

import inspect

import keras

# Private: nothing public tells a variable which optimizer is changing it.
from keras.src.backend.common import global_state

# Where gradients, weights and slots are 0, these leave them so.
_KEEP_ZEROS = (
    keras.optimizers.SGD,
    keras.optimizers.RMSprop,
    keras.optimizers.Adam,
    keras.optimizers.AdamW,
    keras.optimizers.Adadelta,
    keras.optimizers.Adagrad,
    keras.optimizers.Adamax,
    keras.optimizers.Nadam,
    keras.optimizers.Ftrl,
    keras.optimizers.Lion,
    keras.optimizers.Lamb,
)


def applying_optimizer() -> keras.optimizers.Optimizer | None:
    """Returns the optimizer whose `apply` calls this, or None.

    Also None if Keras does not tell any more.
    """
    stack = global_state.get_global_attribute("name_scope_stack")
    caller = getattr(stack[-1], "caller", None) if stack else None
    is_one = isinstance(caller, keras.optimizers.Optimizer)
    return caller if is_one else None


def building_optimizer() -> keras.optimizers.Optimizer | None:
    """Returns the optimizer that is making its slots, or None.

    It counts as built already, and nothing else tells.
    """
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        is_one = isinstance(caller, keras.optimizers.Optimizer)
        if is_one and frame.f_code.co_name == "build":
            return caller
        frame = frame.f_back
    return None


def innermost(
    optimizer: keras.optimizers.Optimizer,
) -> keras.optimizers.Optimizer:
    """Returns the optimizer that one which scales the loss wraps."""
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer


def average_of(
    optimizer: keras.optimizers.Optimizer, variable: keras.Variable
) -> keras.Variable | None:
    """Returns the moving average that an optimizer keeps of a variable."""
    if not optimizer.use_ema:
        return None
    # Private: they overwrite weights, and nothing public names them.
    trained = [id(x) for x in optimizer._trainable_variables]
    averages = optimizer._model_variables_moving_average
    return averages[trained.index(id(variable))]


def keeps_zeros(optimizer: keras.optimizers.Optimizer, dtype: str) -> bool:
    """Tells whether an optimizer leaves a masked weight at exactly 0.

    That is, where its gradient is 0 and its slots hold what they began with.

    Args:
        optimizer: Any optimizer. Nothing is known of those that are not
            Keras' own.
        dtype: Type of the kernel.
    """
    # One that is 0 in this type divides 0 by 0.
    smallest = 2.0**-24 if dtype == "float16" else 2.0**-126
    return (
        type(optimizer) in _KEEP_ZEROS
        and getattr(optimizer, "epsilon", 1.0) >= smallest
        # By a norm, one NaN among the gradients becomes NaN everywhere.
        and optimizer.clipnorm is None
        and optimizer.global_clipnorm is None
        and not optimizer.use_ema
    )

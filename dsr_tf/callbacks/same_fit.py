"""Which callbacks take part in one `fit`."""

import inspect
from typing import Any

import keras


def callbacks_of(callback: keras.callbacks.Callback) -> list[Any]:
    """Returns all callbacks of the `fit` that a callback is in, in order.

    To be called while Keras calls the callback. Just the callback itself where
    the others are not known, as where it is called by hand.
    """
    # Keras tells a callback nothing of the others; but the list of them calls
    # it. To ask the garbage collector who holds it crashed: it looks into
    # objects that other threads are at work on.
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, keras.callbacks.CallbackList):
            own = list(caller.callbacks)
            if any(x is callback for x in own):
                return own
        frame = frame.f_back
    return [callback]


def beside(callback: keras.callbacks.Callback, kind: Any) -> list[Any]:
    """Returns the other callbacks of a class in the same `fit`."""
    every = callbacks_of(callback)
    return [x for x in every if isinstance(x, kind) and x is not callback]

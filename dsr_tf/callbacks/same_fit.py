"""Which callbacks of this library take part in one `fit`."""

from typing import Any
from weakref import WeakKeyDictionary

import keras

# Keras gives all callbacks of a `fit` one dictionary of parameters.
_params: WeakKeyDictionary[keras.callbacks.Callback, Any] = WeakKeyDictionary()


def join(callback: keras.callbacks.Callback) -> None:
    """Says that a callback takes part in the `fit` that gave it `params`."""
    _params[callback] = callback.params


def has_joined(callback: keras.callbacks.Callback) -> bool:
    """Tells whether a callback takes part already, as one listed twice does."""
    params = callback.params
    return params is not None and _params.get(callback) is params


def leave(callback: keras.callbacks.Callback) -> None:
    """Says that this `fit` has ended."""
    _params.pop(callback, None)


def beside(callback: keras.callbacks.Callback, kind: Any) -> list[Any]:
    """Returns the other callbacks of a class that joined the same `fit`."""
    params = callback.params
    return [
        other
        for other, theirs in _params.items()
        if isinstance(other, kind)
        and other is not callback
        and other.model is callback.model
        # One that is called by hand has none.
        and theirs is params
        and params is not None
    ]

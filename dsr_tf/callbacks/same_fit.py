"""Which callbacks take part in one `fit`."""

import gc
from typing import Any

import keras


def callbacks_of(callback: keras.callbacks.Callback) -> list[Any]:
    """Returns all callbacks of the `fit` that a callback is in, in order.

    Just the callback itself where they are not known, as where it is called
    by hand.
    """
    # Keras tells a callback nothing of the others. It gives all of a `fit` one
    # dictionary of parameters, by which the list of them is known.
    lists: list[list[Any]] = [
        x for x in gc.get_referrers(callback) if type(x) is list
    ]
    found = [x for x in lists if _are_together(x, callback)]
    # The user's own lists lack what Keras has added.
    found.sort(key=lambda listed: len(set(map(id, listed))))
    return list(found[-1]) if found else [callback]


def beside(callback: keras.callbacks.Callback, kind: Any) -> list[Any]:
    """Returns the other callbacks of a class in the same `fit`."""
    every = callbacks_of(callback)
    return [x for x in every if isinstance(x, kind) and x is not callback]


def _are_together(
    listed: list[Any], callback: keras.callbacks.Callback
) -> bool:
    return callback.params is not None and all(
        isinstance(x, keras.callbacks.Callback)
        and x.params is callback.params
        and x.model is callback.model
        for x in listed
    )

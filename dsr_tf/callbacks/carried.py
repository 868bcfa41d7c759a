"""The state of callbacks, as checkpoints hold it."""

import csv
import io
import json
from collections.abc import Iterable
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dsr_tf.files import replacing

State = dict[str, Any]

# What Keras' own callbacks remember. Some names are private: nothing else
# tells how far they have come. tests/test_carried.py notices if one goes.
FIELDS: dict[type, tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: (
        "best",
        "best_epoch",
        "best_weights",
        "stopped_epoch",
        "wait",
    ),
    keras.callbacks.ReduceLROnPlateau: ("best", "cooldown_counter", "wait"),
    keras.callbacks.ModelCheckpoint: (
        "best",
        "_batches_seen_since_last_saving",
        "_last_batch_seen",
    ),
    keras.callbacks.SwapEMAWeights: ("_ema_weights_in_model",),
    keras.callbacks.TensorBoard: ("_global_train_batch", "_global_test_batch"),
}


class Carried(tf.train.experimental.PythonState):
    """The state of all callbacks of a training that have some.

    Args:
        callbacks: Any callbacks. Those of Keras that remember something are
            known; others are carried if they have a `get_state`, which returns
            a dict of numbers, texts and arrays, and a `set_state`, which takes
            one.

    Raises:
        ValueError: If the state of one cannot be carried.
    """

    def __init__(self, callbacks: Iterable[keras.callbacks.Callback]) -> None:
        super().__init__()
        self._callbacks = [x for x in callbacks if is_carried(x)]

    @property
    def names(self) -> list[str]:
        """What tells them apart: class, and what it watches or writes."""
        return [_name(callback) for callback in self._callbacks]

    def check(self) -> None:
        """Raises a ValueError if a state cannot be stored."""
        for callback in self._callbacks:
            _stored(callback, [])

    def keep_columns(self) -> None:
        """Lets CSV files that go on keep the columns that they have.

        Logs may have got others since, and a row would not fit its header.
        """
        for callback in self._callbacks:
            if isinstance(callback, keras.callbacks.CSVLogger):
                _keep_columns(callback)

    def serialize(self) -> bytes:
        arrays: list[np.ndarray] = []
        states = [_stored(callback, arrays) for callback in self._callbacks]
        plain = json.dumps([self.names, states])
        file = io.BytesIO()
        np.savez(file, np.array(plain), *arrays)
        return file.getvalue()

    def deserialize(self, string_value: Any) -> None:
        with np.load(io.BytesIO(string_value)) as file:
            plain, *arrays = [file[name] for name in file.files]
        names, states = json.loads(
            str(plain), object_hook=lambda x: _take(x, arrays)
        )
        left = list(zip(names, states, strict=True))
        for callback in self._callbacks:
            own = [x for x in left if x[0] == _name(callback)]
            # One that was added since begins anew.
            if own:
                left.remove(own[0])
                _set(callback, own[0][1])


def is_carried(callback: keras.callbacks.Callback) -> bool:
    """Tells whether a checkpoint holds the state of a callback."""
    known = (*FIELDS, keras.callbacks.CSVLogger)
    return isinstance(callback, known) or hasattr(callback, "get_state")


def _name(callback: Any) -> str:
    parts = [
        getattr(callback, name)
        for name in ("monitor", "mode")
        if isinstance(getattr(callback, name, None), str)
    ]
    for name in ("filepath", "filename"):
        if isinstance(path := getattr(callback, name, None), str):
            # Its folder may be another one by then.
            parts.append(Path(path).name)
    kind = type(callback).__name__
    return f"{kind}({', '.join(parts)})" if parts else kind


def _stored(callback: Any, arrays: list[np.ndarray]) -> Any:
    """Returns a state as JSON holds it.

    Raises:
        ValueError: If the state cannot be stored.
    """
    state = _get(callback)
    try:
        if not isinstance(state, dict):
            raise TypeError(f"a {type(state).__name__}")
        if not all(isinstance(name, str) for name in state):
            raise TypeError(f"the names {list(state)}")
        text = json.dumps(state, default=lambda x: _put(x, arrays))
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`get_state` of a callback must return a dict of numbers, texts "
            "and arrays, named by texts. Received: "
            f"{type(callback).__name__}, with {error}"
        ) from error
    return json.loads(text)


def _fields(callback: keras.callbacks.Callback) -> tuple[str, ...]:
    return next(x for kind, x in FIELDS.items() if isinstance(callback, kind))


def _get(callback: Any) -> State:
    if hasattr(callback, "get_state"):
        return callback.get_state()
    if isinstance(callback, keras.callbacks.CSVLogger):
        return {"text": _text(Path(callback.filename))}
    return {name: getattr(callback, name) for name in _fields(callback)}


def _set(callback: Any, state: State) -> None:
    if hasattr(callback, "set_state"):
        callback.set_state(state)
    elif isinstance(callback, keras.callbacks.CSVLogger):
        _rewrite(callback, state["text"])
    else:
        for name in _fields(callback):
            setattr(callback, name, state[name])


def _text(path: Path) -> str:
    # The line ends as they are.
    return path.read_bytes().decode() if path.exists() else ""


def _rewrite(callback: Any, text: str) -> None:
    """Gives a CSVLogger, which has opened its file, other rows in it."""
    path = Path(callback.filename)
    if _text_or_none(path) != text:
        callback.csv_file.close()
        with replacing(path) as partial:
            partial.write_bytes(text.encode())
        callback.csv_file = path.open("a")
    callback.append_header = not text


def _keep_columns(callback: Any) -> None:
    text = _text_or_none(Path(callback.filename)) or ""
    rows = csv.reader(text.splitlines()[:1], delimiter=callback.sep)
    if header := next(rows, None):
        callback.keys = header[1:]


def _text_or_none(path: Path) -> str | None:
    try:
        return _text(path)
    except UnicodeDecodeError:
        return None


# In JSON an array stands as {"array": its place, "dtype": ..., "shape": ...}.


def _put(value: Any, arrays: list[np.ndarray]) -> Any:
    """Puts an array into a list, and returns what stands for it in JSON."""
    if isinstance(value, np.generic):
        return value.item()
    if not hasattr(value, "__array__"):
        raise TypeError(f"a {type(value).__name__}")
    array = np.asarray(value)
    dtype = tf.as_dtype(array.dtype)
    if dtype == tf.string:
        raise TypeError(f"an array of {array.dtype}")
    # NumPy's files do not know bfloat16: bytes do not need to.
    arrays.append(np.frombuffer(array.tobytes(), np.uint8))
    return {
        "array": len(arrays) - 1,
        "dtype": dtype.name,
        "shape": list(array.shape),
    }


def _take(value: State, arrays: Sequence[np.ndarray]) -> Any:
    if set(value) != {"array", "dtype", "shape"}:
        return value
    dtype = tf.as_dtype(value["dtype"]).as_numpy_dtype
    flat = np.frombuffer(arrays[value["array"]].tobytes(), dtype)
    return flat.reshape(value["shape"]).copy()

"""Values that differ between replicas, as checkpoints hold them.

Moving averages of batch normalisation, and metrics, are of each replica's own
part of the batches. TensorFlow saves averages of the first replica alone, and
metrics as their sum, which it then divides evenly.
"""

import io
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from dsr_tf.distribute.fingerprint import bits
from dsr_tf.distribute.fingerprint import gatherer
from dsr_tf.distribute.fingerprint import has_bits

# Keras variables, by a name of each list.
Lists = Mapping[str, Sequence[Any]]


class ReplicaValues(tf.train.experimental.PythonState):
    """The values of variables that differ between replicas, of all workers.

    Args:
        strategy: Strategy that the variables were made under. With one replica
            nothing is kept.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        super().__init__()
        self._strategy = strategy
        self._made: dict[Any, Any] = {}
        self._clear()

    def _clear(self) -> None:
        self._names: list[str] = []
        self._sizes: list[int] = []
        # One row a replica, of all variables, one after the other.
        self._rows = np.zeros((0, 0), np.int64)

    def gather(self, lists: Lists) -> None:
        """Takes the values of all replicas. All workers must call this.

        Args:
            lists: Variables, the same on all workers.
        """
        self._clear()
        if self._strategy.num_replicas_in_sync == 1:
            return
        kept = self._differing(dict(_named(lists)))
        if kept:
            each = list(kept.values())
            self._names = list(kept)
            self._sizes = [_size(self._strategy, v) for v in each]
            rows = self._gather(_value_rows, each)
            # TensorFlow need not sort workers by number.
            self._rows = rows[rows[:, 0].argsort(), 1:]

    def assign(self, lists: Lists) -> None:
        """Gives each replica its own values, if there are as many replicas.

        Args:
            lists: As in `gather`; variables may be missing.
        """
        if len(self._rows) != self._strategy.num_replicas_in_sync:
            return
        variables = dict(_named(lists))
        replicas = _local_replicas(self._strategy)
        starts = np.cumsum([0, *self._sizes])
        for name, begin, end in zip(
            self._names, starts[:-1], starts[1:], strict=True
        ):
            variable = variables.get(name)
            if variable is not None:
                rows = self._rows[replicas, begin:end]
                parts = _parts(self._strategy, variable)
                for part, row in zip(parts, rows, strict=True):
                    part.assign(_from_bits(row, part))

    def _differing(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the variables whose values are not those of one replica."""
        each = list(variables.values())
        rows = self._gather(_print_rows, each)
        differs = (rows != rows[0]).any(axis=0)
        on_read = tf.VariableSynchronization.ON_READ
        return {
            name: variable
            for (name, variable), own in zip(
                variables.items(), differs, strict=True
            )
            # What is added up is divided again, and may be rounded.
            if own or _tensor(variable).synchronization == on_read
        }

    def _gather(self, make: Callable[..., Any], each: list[Any]) -> np.ndarray:
        """Calls a function of all replicas, which is made and traced once."""
        key = (make, *(id(_tensor(variable)) for variable in each))
        if key not in self._made:
            self._made[key] = make(self._strategy, each)
        return self._made[key]().numpy()

    def serialize(self) -> bytes:
        file = io.BytesIO()
        np.savez_compressed(
            file, names=self._names, sizes=self._sizes, rows=self._rows
        )
        return file.getvalue()

    def deserialize(self, string_value: Any) -> None:
        with np.load(io.BytesIO(string_value)) as arrays:
            self._names = arrays["names"].tolist()
            self._sizes = arrays["sizes"].astype(int).tolist()
            self._rows = arrays["rows"]


def read_local(
    strategy: tf.distribute.Strategy, variables: Sequence[Any]
) -> list[list[np.ndarray]]:
    """Returns the value of each variable on each replica of this process."""
    return [
        [part.numpy() for part in _parts(strategy, variable)]
        for variable in variables
    ]


def write_local(
    strategy: tf.distribute.Strategy,
    variables: Sequence[Any],
    values: Sequence[Sequence[np.ndarray]],
) -> None:
    """Assigns to each variable its value on each replica of this process."""
    for variable, own in zip(variables, values, strict=True):
        parts = _parts(strategy, variable)
        for part, value in zip(parts, own, strict=True):
            part.assign(value)


def _parts(strategy: tf.distribute.Strategy, variable: Any) -> Sequence[Any]:
    return strategy.experimental_local_results(_tensor(variable))


def _tensor(variable: Any) -> Any:
    """Returns TensorFlow's variable of one of Keras."""
    return variable.value


def _size(strategy: tf.distribute.Strategy, variable: Any) -> int:
    """Returns the number of entries that a variable has now."""
    first = _parts(strategy, variable)[0]
    return tf.convert_to_tensor(first).shape.num_elements()


def _named(lists: Lists) -> Iterator[tuple[str, Any]]:
    for kind, variables in lists.items():
        for i, variable in enumerate(variables):
            tensor = _tensor(variable)
            # That of an elastic one is not known.
            if has_bits(tensor.dtype) and tensor.shape.num_elements() != 0:
                yield f"{kind}/{i}", variable


def _print_rows(
    strategy: tf.distribute.Strategy, variables: Sequence[Any]
) -> Callable[[], tf.Tensor]:
    """Returns a function that gathers fingerprints, a row for each replica."""
    gather = gatherer(strategy, variables)
    return lambda: gather(tf.zeros([0], tf.int64))


def _value_rows(
    strategy: tf.distribute.Strategy, variables: Sequence[Any]
) -> Callable[[], tf.Tensor]:
    """Returns a function that gathers values, a row for each replica.

    A row holds the number of the replica, and then the bits of the values.
    """

    def of_replica() -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        index = tf.cast(context.replica_id_in_sync_group, tf.int64)
        own = [bits(tf.convert_to_tensor(_tensor(v))) for v in variables]
        flat = [tf.reshape(x, [-1]) for x in [index, *own]]
        return context.all_gather(tf.concat(flat, axis=0)[None], axis=0)

    @tf.function
    def gather() -> tf.Tensor:
        rows = strategy.run(of_replica)
        return strategy.experimental_local_results(rows)[0]

    return gather


def _local_replicas(strategy: tf.distribute.Strategy) -> list[int]:
    """Returns the numbers of the replicas of this process, among all."""

    def number() -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        return tf.identity(context.replica_id_in_sync_group)

    numbers = strategy.run(tf.function(number))
    return [int(x) for x in strategy.experimental_local_results(numbers)]


def _from_bits(row: np.ndarray, part: tf.Variable) -> np.ndarray:
    """Returns the value whose bits a row holds.

    Args:
        row: The bits.
        part: A variable of one replica, whose value has the same shape.
    """
    now = tf.convert_to_tensor(part)
    dtype = np.dtype(now.dtype.as_numpy_dtype)
    integers = row.astype(f"int{8 * dtype.itemsize}")
    return integers.view(dtype).reshape(now.shape)

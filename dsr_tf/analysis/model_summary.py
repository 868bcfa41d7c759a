"""The numbers of a summary."""

from dataclasses import asdict
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LayerSummary:
    """A layer that has a kernel.

    Args:
        name: Name of the layer, after the names of the models and wrappers that
            contain it: `outer/inner`.
        kind: Name of its class.
        kernel_shapes: Shape of its kernel; some layers have several kernels.
        weights: Entries of the kernel, zeros included.
        active: Entries that are not masked; for a hashed layer, the values that
            the entries share.
        sparsity: `1 - active / weights`, in `[0, 1)`.
        budget_share: Fraction of the active weights of all sparse and hashed
            layers; None for dense layers.
        multiply_adds: Multiply-adds with the kernel's entries, zeros included,
            for one example and over all calls; None if not known.
        sparse_multiply_adds: Multiply-adds that are left if zeros are skipped.
        state: `"sparse"`, `"hashed"` or `"dense"`.
        storage: How it is stored: `"masks"`, `"blocks"` or `"hashed"`; None if
            it is dense.
        granularity: What moves as one in it: `"weight"`, `"kernel"`, or the
            rows and columns of a block, such as `"28x32"`; None if it is not
            sparse.
        step_cost: About what a training step of the layer costs with stored
            blocks, of the dense layer (`layers.step_cost`); None of others,
            which cost what a dense layer does.
        reason: Why it is dense, in a model with sparse or hashed layers.
        dead_inputs: Inputs of its sparse kernels without an active weight;
            None if it is not sparse.
        dead_outputs: Outputs of its sparse kernels without an active weight;
            None if it is not sparse.
    """

    name: str
    kind: str
    kernel_shapes: tuple[tuple[int, ...], ...]
    weights: int
    active: int
    sparsity: float
    budget_share: float | None
    multiply_adds: int | None
    sparse_multiply_adds: int | None
    state: str
    storage: str | None
    granularity: str | None
    step_cost: float | None
    reason: str | None
    dead_inputs: int | None
    dead_outputs: int | None


@dataclass(frozen=True)
class Totals:
    """Sums over a model, or over the kernels of its sparse part.

    Args:
        parameters: Weights in memory, zeros included, trainable or not;
            without masks and without the maps of hashed layers.
        active_parameters: Parameters that no mask sets to 0.
        dense_parameters: The `parameters` of the plain Keras model that
            `dsr_tf.densify` makes; these are more if layers are hashed.
        mask_entries: Entries of masks and maps. `parameters + mask_entries`
            is what Keras' `count_params()` returns.
        bytes: Bytes of `parameters` in memory.
        mask_bytes: Bytes of masks and maps in memory.
        multiply_adds: Multiply-adds of its layers, for one example.
        sparse_multiply_adds: Multiply-adds that are left if zeros are skipped.
        multiply_adds_complete: Whether they are known for all layers; if not,
            the sums leave out some layers.
    """

    parameters: int
    active_parameters: int
    dense_parameters: int
    mask_entries: int
    bytes: int
    mask_bytes: int
    multiply_adds: int
    sparse_multiply_adds: int
    multiply_adds_complete: bool

    @property
    def sparsity(self) -> float:
        """Fraction of `dense_parameters` saved, in `[0, 1)`."""
        if not self.dense_parameters:
            return 0.0
        return 1 - self.active_parameters / self.dense_parameters


@dataclass(frozen=True, repr=False)
class ModelSummary:
    """The result of `dsr_tf.summary`.

    Args:
        name: Name of the model.
        layers: The layers that have a kernel, each once, in order.
        other_parameters: Number of weights outside these kernels: biases,
            weights of normalisations, and so on.
        sparse: Sums over the kernels of sparse and hashed layers.
        model: Sums over the whole model.
    """

    name: str
    layers: tuple[LayerSummary, ...]
    other_parameters: int
    sparse: Totals
    model: Totals

    @property
    def step_cost(self) -> float | None:
        """About what a step of the sparse part costs, of dense layers.

        Layers count by their weights. None if no layer stores blocks.
        """
        sparse = [row for row in self.layers if row.state == "sparse"]
        if all(row.step_cost is None for row in sparse):
            return None
        costs = [
            row.weights * (1.0 if row.step_cost is None else row.step_cost)
            for row in sparse
        ]
        return sum(costs) / sum(row.weights for row in sparse)

    @property
    def dead_inputs(self) -> int:
        """Inputs of sparse layers without an active weight."""
        return sum(row.dead_inputs or 0 for row in self.layers)

    @property
    def dead_outputs(self) -> int:
        """Outputs of sparse layers without an active weight."""
        return sum(row.dead_outputs or 0 for row in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Returns all numbers as dicts, lists, strings, numbers and None."""
        return {
            "name": self.name,
            "step_cost": self.step_cost,
            "layers": [_plain(layer) for layer in self.layers],
            "other_parameters": self.other_parameters,
            "sparse": _plain(self.sparse) | {"sparsity": self.sparse.sparsity},
            "model": _plain(self.model) | {"sparsity": self.model.sparsity},
        }

    # Short, as an interactive session shows it below the table.
    def __repr__(self) -> str:
        return f"<ModelSummary of '{self.name}', {len(self.layers)} layers>"


def _plain(part: LayerSummary | Totals) -> dict[str, Any]:
    return {name: _listed(value) for name, value in asdict(part).items()}


def _listed(value: Any) -> Any:
    return [_listed(x) for x in value] if isinstance(value, tuple) else value

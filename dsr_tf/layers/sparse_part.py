"""Sparse kernels that a layer's class does not know of."""

from dataclasses import dataclass

from keras.layers import Layer

from dsr_tf.layers.masked_kernel import MaskedKernel
from dsr_tf.layers.masked_variable import MaskedVariable
from dsr_tf.layers.sparse_kernel import SparseKernel


@dataclass(frozen=True)
class Sparsity:
    """How one weight tensor is made sparse.

    Args:
        sparsity: Fraction of zeros in the first mask, in `[0, 1)`.
        granularity: Name of what the mask moves as one.
        seed: Seed of the first mask, a non-negative integer.
        storage: How it is stored, `"masks"` or `"blocks"`.
        num_blocks: How many blocks are stored, where that is not what the
            sparsity says.
    """

    sparsity: float
    granularity: str
    seed: int
    storage: str = "masks"
    num_blocks: int | None = None


@dataclass(frozen=True)
class Entry:
    """A sparse weight tensor, found again in another layer of the same class.

    Args:
        layer: Index of its layer among all layers inside, the outermost is 0.
        weight: Its index among the weights of that layer itself.
        name: Its name.
        made: How it is made sparse.
    """

    layer: int
    weight: int
    name: str
    made: Sparsity


class SparsePart(SparseKernel):
    """A sparse kernel of a layer that may have several.

    Args:
        layer: The layer.
        kernel: The kernel, which is masked.
        made: How it was made sparse.
    """

    built = True

    def __init__(
        self, layer: Layer, kernel: MaskedVariable, made: Sparsity
    ) -> None:
        self.layer = layer
        self.kernel = kernel
        self.kernel_mask = kernel.mask
        self.kernel_units = kernel.mask.units
        self.sparsity = made.sparsity
        self.granularity = made.granularity
        self.seed = made.seed

    @classmethod
    def of(cls, layer: MaskedKernel) -> "SparsePart":
        """Returns the kernel of a layer that has one by its class."""
        made = Sparsity(layer.sparsity, layer.granularity, layer.seed)
        return cls(layer, layer.kernel, made)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.layer.name}/{self.kernel.name}"

    @property
    def trainable(self) -> bool:  # type: ignore[override]
        return self.kernel.trainable

"""How a budget is shared out between the layers of a model."""

from collections.abc import Sequence
from dataclasses import dataclass

from dsr_tf.budget import apportion
from dsr_tf.budget import num_kept


@dataclass(frozen=True)
class Kernel:
    """What sharing out needs to know of a layer.

    Args:
        name: Name of the layer.
        shape: Shape of its kernel.
        unit_size: Weights that its mask moves as one.
    """

    name: str
    shape: tuple[int, ...]
    unit_size: int = 1

    @property
    def size(self) -> int:
        """Number of weights."""
        count = 1
        for length in self.shape:
            count *= length
        return count


def uniform(kernel: Kernel) -> int:
    """Returns the kernel's size: equal density for all."""
    return kernel.size


def erk(kernel: Kernel) -> int:
    """Returns the sum of the kernel's dimensions: Erdős–Rényi-kernel.

    The density is then in proportion to `sum(shape) / prod(shape)`: large
    kernels end sparser, small ones denser.

    Reference:
        [Evci et al., 2020](https://arxiv.org/abs/1911.11134), section 3.
    """
    return sum(kernel.shape)


DISTRIBUTIONS = {"uniform": uniform, "erk": erk}


def share_out(
    kernels: Sequence[Kernel], sparsity: float, distribution: str
) -> list[int]:
    """Shares a budget out between kernels.

    The budget is `int((1 - sparsity) * size + 0.1)` over all of them together,
    and is met exactly; where units of several weights move as one, to within
    less than one of them, never above. No kernel gets more than it has room
    for: what it cannot take goes to the others in proportion. None gets less
    than one unit.

    Args:
        kernels: The kernels.
        sparsity: Fraction of zeros over all of them, in `[0, 1)`.
        distribution: `"uniform"` or `"erk"`.

    Returns:
        Weights of each kernel.

    Raises:
        ValueError: If the budget has not one unit for each kernel.
    """
    sizes = [kernel.unit_size for kernel in kernels]
    budget = num_kept(sum(kernel.size for kernel in kernels), sparsity)
    if budget < sum(sizes):
        raise ValueError(
            "`sparsity` must leave every kernel a weight, or what moves as "
            f"one: {sum(sizes)} in all. Received: sparsity={sparsity}, which "
            f"leaves {budget}"
        )
    share = DISTRIBUTIONS[distribution]
    units = apportion(
        budget - sum(sizes),
        [share(kernel) for kernel in kernels],
        [kernel.size // kernel.unit_size - 1 for kernel in kernels],
        sizes,
    )
    return [(n + 1) * size for n, size in zip(units, sizes, strict=True)]

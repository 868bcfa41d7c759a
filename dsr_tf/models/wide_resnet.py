"""Wide residual networks."""

from typing import Any

import keras
from keras import layers

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_switch
from dsr_tf.convert.kernel_sparsities import Distribution
from dsr_tf.models.arguments import check_budget
from dsr_tf.models.arguments import check_network
from dsr_tf.models.budgeted import budgeted
from dsr_tf.models.plain_layers import PlainLayers
from dsr_tf.models.plain_layers import batch_norm
from dsr_tf.models.plain_layers import scaled
from dsr_tf.units import GranularityLike


def wide_resnet(
    depth: int = 28,
    width: float = 2,
    input_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    sparsity: float | None = 0.9,
    hashed: bool = False,
    granularity: GranularityLike = "weight",
    storage: str = "masks",
    sparse_logits: bool = False,
    l1: float = 0.0,
    l2: float = 0.0,
    group_lasso: float = 0.0,
    seed: int = 0,
    distribution: Distribution = "uniform",
) -> keras.Model:
    """Builds a WRN-`depth`-`width`, pre-activation.

    A first convolution to 16 channels is followed by three groups of
    `(depth - 4) / 6` blocks with `16 * width`, `32 * width` and `64 * width`
    channels. All convolutions are sparse except the first and those of the
    shortcuts.

    Args:
        depth: Number of layers, `6n + 4`.
        width: Widening factor, above 0; channels are rounded.
        input_shape: Shape of an image, channels last.
        num_classes: Number of logits.
        sparsity: Fraction of zeros in the sparse kernels, in `[0, 1)`; None
            for plain Keras layers.
        hashed: Whether those kernels share values instead of holding zeros.
        granularity: The unit that masks move: `"weight"`; `"kernel"`, slices
            of convolutions; or blocks of the last layer, if that is sparse,
            such as `(16, 16)`.
        sparse_logits: Whether the last layer is sparse too, as in the paper's
            text; it is dense in the authors' code.
        l1: Factor of `sum(|w|)` over the kernels, in the loss.
        l2: Factor of `sum(w²) / 2` over the kernels, in the loss.
        group_lasso: Factor of `sum(‖slice‖₂)` over the convolutions' slices,
            in the loss; 0 where blocks move.
        seed: Seed of masks and weights.
        distribution: `"uniform"`: every kernel has this sparsity. `"erk"`: all
            kernels together have it, and large kernels are sparser. A
            `Balanced`: as in `sparsify`.
        storage: How kernels are stored, as in `sparsify`: `"masks"`,
            `"blocks"` or `"auto"`.

    Returns:
        A model from images to logits.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        [Zagoruyko & Komodakis, 2016](https://arxiv.org/abs/1605.07146);
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Appendix A.
    """
    if checked_count("depth", depth) < 10 or (depth - 4) % 6:
        raise ValueError(
            "`depth` must be 6n + 4, such as 10, 16 or 28. "
            f"Received: depth={depth}"
        )
    checked_switch("sparse_logits", sparse_logits)
    check_network(input_shape, num_classes, width, is_image=True)
    check_budget(
        sparsity, distribution, hashed, granularity, storage, group_lasso
    )
    plain = PlainLayers(l1, l2, group_lasso, seed)
    inputs = keras.Input(input_shape)
    x = plain.conv(inputs, 16, 3, sparse=False, name="conv_1")
    for group in range(3):
        channels = scaled(16 * 2**group, width)
        for block in range((depth - 4) // 6):
            strides = 2 if group > 0 and block == 0 else 1
            name = f"group_{group + 1}_block_{block + 1}"
            x = _block(x, plain, channels, strides, name)
    x = layers.ReLU()(batch_norm(name="norm")(x))
    x = layers.GlobalAveragePooling2D()(x)
    x = plain.dense(num_classes, sparse=sparse_logits, name="logits")(x)
    model = keras.Model(inputs, x, name=f"wrn_{depth}_{width:g}")
    return budgeted(
        model,
        plain.mask_seeds,
        sparsity,
        distribution,
        hashed,
        granularity,
        storage,
    )


def _block(
    x: Any, plain: PlainLayers, channels: int, strides: int, name: str
) -> Any:
    activated = layers.ReLU()(batch_norm(name=f"{name}_norm_1")(x))
    shortcut = x
    if x.shape[-1] != channels:
        shortcut = plain.conv(
            activated, channels, 1, strides, False, name=f"{name}_shortcut"
        )
    x = plain.conv(activated, channels, 3, strides, name=f"{name}_conv_1")
    x = layers.ReLU()(batch_norm(name=f"{name}_norm_2")(x))
    x = plain.conv(x, channels, 3, name=f"{name}_conv_2")
    return layers.Add()([shortcut, x])

"""ResNet-50."""

from typing import Any

import keras
from keras import layers

from dsr_tf.convert.kernel_sparsities import Distribution
from dsr_tf.models.arguments import check_budget
from dsr_tf.models.arguments import check_network
from dsr_tf.models.budgeted import budgeted
from dsr_tf.models.plain_layers import PlainLayers
from dsr_tf.models.plain_layers import batch_norm
from dsr_tf.models.plain_layers import scaled
from dsr_tf.units import GranularityLike

# Blocks and channels of the four groups; a block ends with four times as many.
_GROUPS = ((3, 64), (4, 128), (6, 256), (3, 512))


def resnet50(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    width: float = 1.0,
    sparsity: float | None = 0.8,
    hashed: bool = False,
    granularity: GranularityLike = "weight",
    storage: str = "masks",
    l1: float = 0.0,
    l2: float = 0.0,
    group_lasso: float = 0.0,
    seed: int = 0,
    distribution: Distribution = "uniform",
) -> keras.Model:
    """Builds a ResNet-50, post-activation, with strides on the 3×3.

    The last layer is sparse, and so are all convolutions except the first and
    those of the shortcuts: 22,724,608 weights for 1,000 classes.

    Args:
        input_shape: Shape of an image, channels last.
        num_classes: Number of logits.
        width: Factor on the channels, above 0; channels are rounded.
        sparsity: Fraction of zeros in the sparse kernels, in `[0, 1)`; None
            for plain Keras layers.
        hashed: Whether those kernels share values instead of holding zeros.
        granularity: The unit that masks move: `"weight"`; `"kernel"`, slices
            of convolutions; or blocks of 1×1 convolutions and the last layer,
            such as `(16, 16)`.
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
        [He et al., 2015](https://arxiv.org/abs/1512.03385);
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Appendix A.
    """
    check_network(input_shape, num_classes, width, is_image=True)
    check_budget(
        sparsity, distribution, hashed, granularity, storage, group_lasso
    )
    plain = PlainLayers(l1, l2, group_lasso, seed)
    inputs = keras.Input(input_shape)
    x = plain.conv(inputs, scaled(64, width), 7, 2, sparse=False, name="conv_1")
    x = layers.ReLU()(batch_norm(name="norm_1")(x))
    x = layers.ZeroPadding2D(1)(x)
    x = layers.MaxPooling2D(3, 2)(x)
    for group, (num_blocks, channels) in enumerate(_GROUPS):
        for block in range(num_blocks):
            strides = 2 if group > 0 and block == 0 else 1
            name = f"group_{group + 1}_block_{block + 1}"
            x = _block(x, plain, scaled(channels, width), strides, name)
    x = layers.GlobalAveragePooling2D()(x)
    x = plain.dense(num_classes, name="logits")(x)
    model = keras.Model(inputs, x, name="resnet50")
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
    shortcut = x
    if x.shape[-1] != 4 * channels:
        shortcut = plain.conv(
            x, 4 * channels, 1, strides, False, name=f"{name}_shortcut"
        )
        shortcut = batch_norm(name=f"{name}_shortcut_norm")(shortcut)
    widths = ((channels, 1, 1), (channels, 3, strides), (4 * channels, 1, 1))
    for i, (width, kernel_size, step) in enumerate(widths, start=1):
        x = plain.conv(x, width, kernel_size, step, name=f"{name}_conv_{i}")
        x = batch_norm(name=f"{name}_norm_{i}")(x)
        if i < len(widths):
            x = layers.ReLU()(x)
    return layers.ReLU()(layers.Add()([shortcut, x]))

import json
import math

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import dsr_tf
from dsr_tf.layers import HashedConv2D
from dsr_tf.layers import HashedDense
from dsr_tf.layers import SparseDense
from dsr_tf.layers import sparse_layers


def silent(model, **kwargs):
    return dsr_tf.summary(model, print_fn=None, **kwargs)


def small():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, name="stem"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Conv2D(8, 1, name="pointwise"),
            layers.Flatten(),
            layers.Dense(10, name="logits"),
        ],
        name="small",
    )


def hashed():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            HashedConv2D(4, 3, sparsity=0.5, name="conv"),
            layers.Flatten(),
            SparseDense(5, 0.75, name="sparse"),
            HashedDense(10, 0.5, name="dense"),
        ]
    )


class Head(keras.Model):
    """A subclass that calls its layers in code."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(4, activity_regularizer="l2", name="hidden")
        self.logits = SparseDense(2, 0.5, name="logits")

    def call(self, inputs):
        return self.logits(self.hidden(inputs) + self.hidden(-inputs))


def test_rows_worked_by_hand():
    # Of 4*8 weights 8 stay, and of 16*8*10 320.
    shares = {"pointwise": 0.75, "logits": 0.75}
    result = silent(dsr_tf.sparsify(small(), distribution=shares))
    stem, depthwise, pointwise, logits = result.layers
    assert stem.kernel_shapes == ((3, 3, 3, 4),)
    assert (stem.weights, stem.active, stem.sparsity) == (108, 108, 0.0)
    assert stem.multiply_adds == stem.sparse_multiply_adds == 36 * 108
    assert stem.budget_share is None
    assert depthwise.multiply_adds == depthwise.sparse_multiply_adds == 16 * 36
    assert (pointwise.kind, pointwise.state) == ("SparseConv2D", "sparse")
    assert (pointwise.weights, pointwise.active) == (32, 8)
    assert (pointwise.sparsity, pointwise.budget_share) == (0.75, 8 / 328)
    assert pointwise.multiply_adds == 16 * 32
    assert pointwise.sparse_multiply_adds == 16 * 8
    assert (logits.weights, logits.active) == (1280, 320)
    assert (logits.multiply_adds, logits.sparse_multiply_adds) == (1280, 320)
    # Biases of 4, 4, 8 and 10, and the normalisation's 4 times 4.
    assert result.other_parameters == 42
    part, whole = result.sparse, result.model
    assert (part.parameters, part.active_parameters) == (1312, 328)
    assert (part.bytes, part.mask_bytes) == (4 * 1312, 1312)
    assert (part.multiply_adds, part.sparse_multiply_adds) == (1792, 448)
    assert whole.parameters == whole.dense_parameters == 1312 + 144 + 42
    assert whole.active_parameters == 328 + 144 + 42
    assert (whole.bytes, whole.mask_bytes) == (4 * 1498, 1312)
    assert whole.multiply_adds == 36 * 108 + 16 * 36 + 1792
    assert whole.sparse_multiply_adds == 36 * 108 + 16 * 36 + 448
    assert part.multiply_adds_complete and whole.multiply_adds_complete


def test_bytes_are_those_of_the_dtype():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, dtype="bfloat16")]
    )
    assert silent(model).model.bytes == 2 * 15


def test_hashed_layers_count_their_banks():
    model = hashed()
    result = silent(model)
    conv, sparse, dense = result.layers
    assert [x.state for x in result.layers] == ["hashed", "sparse", "hashed"]
    assert (conv.weights, conv.active) == (108, 54)
    assert conv.kernel_shapes == ((3, 3, 3, 4),)
    assert conv.multiply_adds == conv.sparse_multiply_adds == 36 * 108
    assert (dense.weights, dense.active) == (50, 25)
    assert (sparse.weights, sparse.active) == (720, 180)
    # Biases of 4, 5 and 10.
    assert result.model.parameters == 54 + 25 + 720 + 19
    assert result.model.active_parameters == 54 + 25 + 180 + 19
    assert result.model.dense_parameters == 108 + 50 + 720 + 19
    assert result.sparse.dense_parameters == 108 + 50 + 720
    assert result.sparse.active_parameters == 54 + 25 + 180
    # A mask; of each hashed layer, a map, its order, and a seed.
    assert result.model.mask_entries == 720 + 2 * (108 + 50) + 2
    assert result.model.mask_bytes == 720 + 8 * (2 * (108 + 50) + 2)


def shared_and_nested():
    shared = layers.Dense(6, name="shared")
    inner = keras.Sequential([keras.Input((6,)), shared, layers.Dense(6)])
    a, b = keras.Input((6,)), keras.Input((6,))
    return keras.Model([a, b], layers.Add()([inner(a), inner(shared(b))]))


def mobilenet():
    return keras.applications.MobileNetV2(weights=None, classes=10)


@pytest.mark.slow
@pytest.mark.parametrize("build", [small, hashed, shared_and_nested, mobilenet])
def test_parameters_agree_with_keras_to_the_unit(build):
    plain = build()
    model = plain if build is hashed else dsr_tf.sparsify(plain, 0.9)
    result = silent(model)
    whole = result.model
    assert whole.parameters + whole.mask_entries == model.count_params()
    assert whole.dense_parameters == dsr_tf.densify(model).count_params()
    zeros = sum(x.kernel_mask.numpy().size for x in sparse_layers(model))
    zeros -= sum(layer.num_active for layer in sparse_layers(model))
    assert whole.active_parameters == whole.parameters - zeros
    kernels = sum(row.weights for row in result.layers)
    assert kernels + result.other_parameters == whole.dense_parameters
    shares = [x.budget_share for x in result.layers if x.state != "dense"]
    assert math.fsum(shares) == pytest.approx(1, abs=1e-12)


def test_nested_layers_are_named_behind_their_models():
    x = keras.Input((4,))
    inner = keras.Model(x, layers.Dense(4, name="dense")(x), name="inner")
    y = keras.Input((4,))
    outer = keras.Sequential([y, inner, layers.Dense(4, name="dense")])
    model = dsr_tf.sparsify(outer, 0.5)
    names = [row.name for row in silent(model).layers]
    assert names == ["inner/dense", "dense"]


def residual():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    y = layers.Conv2D(8, 3, padding="same", name="body")(x)
    shortcut = layers.Conv2D(8, 1, name="projection")(x)
    x = layers.Add()([y, layers.BatchNormalization()(shortcut)])
    x = layers.SeparableConv2D(8, 3, name="separable")(x)
    x = layers.Reshape((36, 8))(x)
    x = layers.TimeDistributed(layers.Dense(4, name="inside"), name="td")(x)
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = layers.Bidirectional(layers.LSTM(3, name="lstm"), name="both")(x)
    x = layers.Dense(4, name="left")(x)
    return keras.Model(inputs, Head(name="head")(x), name="residual")


def test_what_is_left_dense_has_a_reason():
    result = silent(dsr_tf.sparsify(residual(), 0.5, exclude="left"))
    assert {row.name: row.reason for row in result.layers} == {
        "stem": "first convolution",
        "body": None,
        "projection": "projection of a shortcut",
        "separable": None,
        "td/inside": None,
        "attention/query": None,
        "attention/key": None,
        "attention/value": None,
        "attention/attention_output": None,
        "both/forward_lstm/lstm_cell": None,
        "both/backward_lstm/lstm_cell": None,
        "left": "excluded, or built dense",
        "head/hidden": None,
        "head/logits": None,
    }
    assert {row.state for row in result.layers} == {"sparse", "dense"}


def test_dead_units_are_told_where_there_are_some(capsys):
    inputs = keras.Input((4,))
    layer = SparseDense(3, 0.5, name="one")
    model = keras.Model(inputs, layers.Dense(2)(layer(inputs)))
    mask = np.zeros((4, 3))
    mask[:, 1:] = 1
    layer.set_mask(mask)
    row = dsr_tf.summary(model).layers[0]
    assert (row.dead_inputs, row.dead_outputs) == (0, 1)
    text = capsys.readouterr().out
    assert "| sparse, dead: 1 output " in text
    assert text.endswith("no active weight is left to them: 1 output\n")
    mask[0] = [1, 0, 0]
    mask[2] = 0
    layer.set_mask(mask)
    dsr_tf.summary(model)
    assert "| sparse, dead: 1 input " in capsys.readouterr().out
    mask[2] = 1
    layer.set_mask(mask)
    result = dsr_tf.summary(model)
    assert [(x.dead_inputs, x.dead_outputs) for x in result.layers] == [
        (0, 0),
        (None, None),
    ]
    assert (result.dead_inputs, result.dead_outputs) == (0, 0)
    assert "dead" not in capsys.readouterr().out


def test_dead_units_of_all_kernels_of_a_layer_add_up():
    plain = keras.Sequential([keras.Input((5, 3)), layers.LSTM(2)])
    model = dsr_tf.sparsify(plain, 0.5)
    masks = [np.zeros(x.kernel_shape) for x in sparse_layers(model)]
    # Of 3 inputs one is left, of 2 recurrent ones both; of 8 gates 7 and 2.
    masks[0][1, :7] = masks[1][:, 4:6] = 1
    for part, mask in zip(sparse_layers(model), masks, strict=True):
        part.set_mask(mask)
    result = silent(model)
    assert (result.dead_inputs, result.dead_outputs) == (2, 1 + 6)


def test_a_dense_model_has_no_reasons():
    result = silent(small())
    assert {(row.state, row.reason) for row in result.layers} == {
        ("dense", None)
    }
    assert result.sparse.parameters == result.sparse.multiply_adds == 0
    assert result.model.parameters == small().count_params()
    assert result.model.sparsity == result.sparse.sparsity == 0.0


def test_models_without_a_config_are_summarised():
    class Own(layers.Layer):
        def __init__(self, function):
            super().__init__(name="own")
            self.function = function

        def build(self, shape):
            self.matrix = self.add_weight(shape=(3, 3), name="matrix")

        def call(self, inputs):
            return self.function(inputs @ self.matrix)

    inputs = keras.Input((3,))
    outputs = SparseDense(2, 0.5)(Own(ops.abs)(inputs))
    own, sparse = silent(keras.Model(inputs, outputs)).layers
    assert (own.kernel_shapes, own.multiply_adds) == (((3, 3),), None)
    assert own.reason == "'matrix': sparse if `include` names its layer"
    assert sparse.state == "sparse"


def test_subclassed_models_are_summarised():
    model = Head(name="head")
    model(np.zeros((5, 3), "float32"))
    result = silent(model)
    hidden, logits = result.layers
    assert hidden.reason == "excluded, or built dense"
    assert (hidden.weights, hidden.multiply_adds) == (12, 24)
    assert (logits.multiply_adds, logits.sparse_multiply_adds) == (8, 4)
    whole = result.model
    assert whole.parameters + whole.mask_entries == model.count_params()


def test_layers_that_are_never_called_have_no_weights():
    class Spare(Head):
        def __init__(self):
            super().__init__()
            self.spare = SparseDense(3, 0.5)

    model = Spare()
    model(np.zeros((5, 3), "float32"))
    result = silent(model)
    assert [row.name for row in result.layers] == ["hidden", "logits"]
    whole = result.model
    assert whole.parameters + whole.mask_entries == model.count_params()


def test_layers_that_are_not_built_yet_are_built_and_count_once():
    class Late(keras.Model):
        def __init__(self):
            super().__init__()
            self.early = layers.Dense(3)
            self.late = layers.Dense(2)

        def build(self, input_shape):
            self.early.build(input_shape)

        def call(self, inputs):
            return self.late(self.early(inputs))

    model = Late()
    model.build((None, 4))
    result = silent(model)
    assert [row.multiply_adds for row in result.layers] == [12, 6]
    assert result.model.parameters == model.count_params() == 23


def test_summary_leaves_the_model_as_it_was():
    model = Head()
    model(np.zeros((5, 3), "float32"))
    before = [weight.numpy() for weight in model.weights]
    silent(model)
    for layer in (model, *model.layers):
        assert "call" not in vars(layer)
    assert all(ops.is_tensor(x) and float(x) == 0 for x in model.losses)
    for old, new in zip(before, model.weights, strict=True):
        assert (old == new.numpy()).all()


def test_a_model_that_cannot_be_traced_is_summarised():
    class Eager(Head):
        def call(self, inputs):
            return super().call(np.asarray(inputs.numpy()))

    model = Eager()
    model(ops.zeros((5, 3)))
    result = silent(model)
    assert [row.multiply_adds for row in result.layers] == [None, None]
    assert not result.model.multiply_adds_complete
    assert "call" not in vars(model)


@pytest.mark.parametrize(
    "model", [keras.Sequential([layers.Dense(3)]), Head(), layers.Dense(3), 1]
)
def test_models_must_be_built(model):
    with pytest.raises(ValueError, match="must be a built Keras model"):
        silent(model)


@pytest.mark.parametrize("build", [residual, hashed])
def test_data_survives_json(build):
    data = silent(build()).to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["model"]["parameters"] > data["sparse"]["parameters"] > 0
    assert 0 < data["sparse"]["sparsity"] < 1


def test_table_is_printed_as_plain_text(capsys, monkeypatch):
    # Asked for colour, and with no room: it is no terminal.
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    result = dsr_tf.summary(dsr_tf.sparsify(residual(), 0.5))
    text = capsys.readouterr().out
    assert text.isascii() and text.replace("\n", "").isprintable()
    lines = text.splitlines()
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in lines
        if line.startswith("|")
    ]
    found = {row[0]: row[1:] for row in cells}
    for row in result.layers:
        assert found[row.name][0] == row.kind
        assert found[row.name][2:4] == [f"{row.weights:,}", f"{row.active:,}"]
    assert found["stem"][-1] == "first convolution"
    (body,) = [row for row in result.layers if row.name == "body"]
    assert found["body"][1:] == [
        "3x3x4x8",
        "288",
        f"{body.active:,}",
        f"{body.sparsity:.4f}",
        f"{body.budget_share:.4f}",
        "18,432",
        f"{64 * body.active:,}",
        "sparse",
    ]
    assert found["both/forward_lstm/lstm_cell"][1] == "4x12, 3x12"
    assert found["both/forward_lstm/lstm_cell"][6:8] == ["?", "?"]
    assert found["whole model"][6] == f">= {result.model.multiply_adds:,}"
    assert found["sparse part"][5] == "1.0000"
    assert f"whole model: {result.model.bytes:,} bytes" in lines[-3]


def test_table_breaks_names_on_a_narrow_terminal(capsys, monkeypatch):
    model = dsr_tf.sparsify(residual(), 0.5)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    dsr_tf.summary(model)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 150
    assert any("18,432" in line for line in lines)


def test_table_goes_where_it_is_wanted(capsys):
    texts = []
    result = dsr_tf.summary(small(), print_fn=texts.append)
    silent(small())
    assert not capsys.readouterr().out
    assert len(texts) == 1 and "Model: small" in texts[0]
    assert repr(result) == "<ModelSummary of 'small', 4 layers>"


def test_names_are_shown_as_they_are(capsys):
    inputs = keras.Input((3,))
    layer = SparseDense(2, 0.5, name="a[bold]b :smile:")
    dsr_tf.summary(keras.Model(inputs, layer(inputs)))
    assert "| a[bold]b :smile: |" in capsys.readouterr().out
    # TensorFlow refuses the name; no scope of Keras is left open.
    assert keras.Variable(1.0, name="v").path == "v"

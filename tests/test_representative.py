import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dsr_tf.exporting.drawn_inputs import drawn_inputs
from dsr_tf.exporting.examples import batches_of
from dsr_tf.exporting.examples import first_examples
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense

X = np.arange(24, dtype="float32").reshape(6, 4)
Y = np.arange(6)
W = np.ones(6)


def one():
    return keras.Sequential([keras.Input((4,)), SparseDense(2, 0.5)])


def two(structure=list):
    # In alphabetical order they are the other way round.
    a, b = keras.Input((4,), name="zz"), keras.Input((1,), name="aa")
    joined = layers.Concatenate()([a, b])
    inputs = {"zz": a, "aa": b} if structure is dict else structure([a, b])
    return keras.Model(inputs, SparseDense(2, 0.5)(joined))


def whole(batches):
    """Joins batches to an array for each input."""
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


class Data(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[3 * index : 3 * index + 3], Y[:3]


def sliced(*parts):
    return tf.data.Dataset.from_tensor_slices(parts if parts[1:] else parts[0])


GIVEN = {
    "array": X,
    "tensor": tf.constant(X),
    "double": X.astype("float64"),
    "integers": X.astype("int64"),
    "list": [X],
    "batches": [X[:3], X[3:]],
    "tuple": (X[:3], X[3:]),
    "rows": list(X),
    "dictionary": {"input": X},
    "labelled": [(X, Y)],
    "weighted": [(X, Y, W)],
    "labelled list": [([X], Y)],
    "labelled dictionary": [({"input": X}, Y)],
    "data set": sliced(X),
    "batched data set": sliced(X).batch(4),
    "labelled data set": sliced(X, Y),
    "weighted data set": sliced(X, Y, W).batch(4),
    "data set of dictionaries": sliced({"input": X}).batch(2),
    "Keras data": Data(),
    "function": lambda: X,
    "function of batches": lambda: iter([(X, Y)]),
    "function of a data set": lambda: sliced(X, Y),
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_what_predict_takes_is_taken(given):
    model = keras.Sequential(
        [keras.Input((4,), name="input"), SparseDense(2, 0.5)]
    )
    (found,) = whole(batches_of(given, model))
    assert found.dtype == np.float32 and (found == X).all()


def test_a_generator_is_taken():
    (found,) = whole(batches_of(((x[None], 1) for x in X), one()))
    assert (found == X).all()


B = Y.astype("float32")[:, None]


BY_ORDER = {
    "list": [X, B],
    "tuple": (X, B),
    # One axis of length 1 may be left out, as in `predict`.
    "flat": [X, Y],
    "batches": [[X[:3], B[:3]], [X[3:], B[3:]]],
    "labelled": [((X, B), Y)],
    "function": lambda: [(X, B)],
}
BY_NAME = {
    "dictionary": {"aa": B, "zz": X},
    "with more": {"aa": B, "zz": X, "more": X},
    "batches": [{"aa": B[:2], "zz": X[:2]}, {"aa": B[2:], "zz": X[2:]}],
    "labelled": [({"aa": B, "zz": X}, Y, W)],
    "data set": sliced({"zz": X, "aa": B}),
    "labelled data set": sliced({"zz": X, "aa": B}, Y).batch(4),
}


@pytest.mark.parametrize("structure", [list, tuple])
@pytest.mark.parametrize("given", BY_ORDER.values(), ids=BY_ORDER)
def test_arrays_go_to_their_inputs_by_order(structure, given):
    x, b = whole(batches_of(given, two(structure)))
    assert (x == X).all() and (b == B).all()


@pytest.mark.parametrize("structure", [list, tuple, dict])
@pytest.mark.parametrize("given", BY_NAME.values(), ids=BY_NAME)
def test_arrays_go_to_their_inputs_by_name(structure, given):
    model = two(structure)
    names = [tensor.name for tensor in model.inputs]
    found = dict(zip(names, whole(batches_of(given, model)), strict=True))
    assert (found["zz"] == X).all() and (found["aa"] == B).all()


def test_nested_inputs_go_to_their_places():
    a, b, c = (keras.Input((n,), name=f"i{n}") for n in (2, 3, 4))
    joined = layers.Concatenate()([a, b, c])
    model = keras.Model([a, {"b": b, "c": c}], SparseDense(2, 0.5)(joined))
    a, b, c = (np.full((5, n), n, "float32") for n in (2, 3, 4))
    for given in ([a, {"c": c, "b": b}], [[a, {"b": b, "c": c}]]):
        (batch,) = batches_of(given, model)
        assert [x.shape for x in batch] == [x.shape for x in (a, b, c)]
        assert [x[0, 0] for x in batch] == [2, 3, 4]


def integers():
    return keras.Sequential(
        [
            keras.Input((3,), dtype="int32"),
            layers.Embedding(9, 2),
            layers.Flatten(),
            SparseDense(2, 0.5),
        ]
    )


@pytest.mark.parametrize("dtype", ["int64", "uint8", "int32", "bool"])
def test_integers_of_any_width_are_cast(dtype):
    (batch,) = batches_of(np.ones((2, 3), dtype), integers())
    assert batch[0].dtype == np.int32 and (batch[0] == 1).all()


@pytest.mark.parametrize(
    "model, given, message",
    [
        (one, [], "nothing, without a single batch"),
        (one, {}, "a dictionary without"),
        (one, 3, "Received: representative=3"),
        (one, "x", "representative='x'"),
        (one, [3], "batches with 3, which is no array"),
        (one, X[:0], r"arrays of shape \(0, 4\)"),
        (one, np.ones((2, 5)), r"arrays of shape \(2, 5\)"),
        (one, X.astype("complex64"), "arrays of type complex64"),
        (one, np.array([["a"] * 4]), "arrays of type <U1"),
        (one, lambda given: X, "which fails: .* missing 1 required"),
        (one, lambda: len, "a function that returns"),
        (one, sliced(X).repeat(), "without end; use its `take`"),
        (two, X, "1 arrays for 2 inputs"),
        (one, np.full((2, 4), np.nan), "arrays with a NaN or an infinite"),
        (two, [X, B[:3]], "arrays of \\[3, 6\\] examples in one batch"),
        (two, {"zz": X}, "a dictionary without 'aa': \\['zz'\\]"),
        (integers, np.ones((2, 3)), "arrays of type float64"),
        (integers, np.full((2, 3), 2**40), "numbers beyond those of int32"),
    ],
)
def test_what_predict_does_not_take_is_refused(model, given, message):
    with pytest.raises(ValueError, match=message) as raised:
        batches_of(given, model())
    assert "`representative` must be what `predict` takes" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def fixed():
    return keras.Sequential(
        [keras.Input(batch_shape=(3, 4)), SparseDense(2, 0.5)]
    )


def test_batches_have_the_size_that_the_model_has():
    batches = batches_of(X, fixed())
    (first,) = first_examples(batches, fixed())
    assert (first == X[:3]).all()
    for wrong in (X[:4], X[:2], list(X)):
        with pytest.raises(ValueError, match="`representative` must be what"):
            batches_of(wrong, fixed())


def test_the_first_examples_of_many_are_compared():
    many = np.arange(400, dtype="float32").reshape(100, 4)
    (first,) = first_examples(batches_of(many, one()), one())
    assert (first == many[:32]).all()


def open_model(size):
    return keras.Sequential(
        [
            keras.Input((None, None, 1)),
            SparseConv2D(2, size, 0.5),
            layers.GlobalAveragePooling2D(),
        ]
    )


@pytest.mark.parametrize("size, length", [(1, 8), (8, 8), (9, 16), (17, 32)])
def test_drawn_inputs_are_as_long_as_the_model_needs(size, length):
    (drawn,) = drawn_inputs(open_model(size))
    assert drawn.shape == (1, length, length, 1)


def test_lengths_that_only_a_call_refuses_are_passed_over():
    def first_three(x):
        tf.debugging.assert_equal(tf.shape(x)[1], 3)
        return x

    model = keras.Sequential(
        [
            keras.Input((None, 2)),
            layers.Lambda(first_three, output_shape=(None, 2)),
            SparseDense(2, 0.5),
        ]
    )
    assert drawn_inputs(model)[0].shape == (1, 3, 2)


def test_where_no_length_fits_inputs_are_asked_for():
    with pytest.raises(ValueError, match="`representative` must be given, w"):
        drawn_inputs(open_model(2000))


@pytest.mark.parametrize(
    "given",
    [
        np.array([["a"], ["b"]]),
        np.array([[b"a"], [b"b"]]),
        np.array([["a"], ["b"]], dtype=object),
        tf.constant([["a"], ["b"]]),
        sliced(tf.constant([["a"], ["b"]])).batch(1),
    ],
)
def test_texts_are_taken(given):
    inputs = keras.Input((1,), dtype="string")
    (found,) = whole(batches_of(given, keras.Model(inputs, inputs)))
    assert tf.constant(found).numpy().tolist() == [[b"a"], [b"b"]]
    with pytest.raises(ValueError, match="arrays of type float32"):
        batches_of(np.zeros((2, 1), "float32"), keras.Model(inputs, inputs))


def test_drawn_inputs_have_the_types_of_the_model():
    inputs = [
        keras.Input((2,), dtype=dtype)
        for dtype in ("float32", "float16", "int64", "bool", "string")
    ]
    drawn = drawn_inputs(keras.Model(inputs, inputs))
    assert [x.dtype.name for x in drawn[:4]] == [
        "float32",
        "float16",
        "int64",
        "bool",
    ]
    assert (drawn[0] != 0).all() and not drawn[2].any()
    assert drawn[4].tolist() == [["", ""]]

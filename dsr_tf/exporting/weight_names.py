"""A name for each weight of a model."""

from collections import Counter

import keras

from dsr_tf.graph.places import places


def named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns the weights of a model, each once, by names that differ.

    A name is the path of the variable, such as `dense/bias`. Sub-models may
    have layers of equal names: weights whose paths are equal are named by the
    models that contain them, as in `left/dense/bias`.

    Args:
        model: A built model.
    """
    weights = list({id(x): x for x in model.weights}.values())
    counts = Counter(weight.path for weight in weights)
    found: dict[str, keras.Variable] = {}
    # First those with a path of their own, which keep it.
    for weight in sorted(weights, key=lambda x: counts[x.path]):
        name = weight.path
        if counts[name] > 1:
            name = _place(model, weight)
        found[_free(name, found)] = weight
    return found


def _place(model: keras.Model, weight: keras.Variable) -> str:
    """Returns a weight's name after those of the layers that contain it."""
    holding = [
        place.path
        for place in places(model)
        if any(own is weight for own in place.layer.weights)
    ]
    innermost = max(holding, key=lambda path: path.count("/"))
    return f"{innermost}/{weight.name}"


def _free(name: str, taken: dict[str, keras.Variable]) -> str:
    free, number = name, 1
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free

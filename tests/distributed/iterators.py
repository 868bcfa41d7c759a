"""Iterators over data sets of several replicas."""

import tensorflow as tf


def keep_iterators(strategy):
    """Lets no iterator go, for which TensorFlow can take up to a minute."""
    kept, rows = [], tf.data.Dataset.range(8).batch(8)

    def keep_those_of(kind):
        make = kind.__iter__

        def keep(dataset):
            kept.append(make(dataset))
            return kept[-1]

        kind.__iter__ = keep

    by_function = strategy.distribute_datasets_from_function(lambda _: rows)
    keep_those_of(type(by_function))
    keep_those_of(type(strategy.experimental_distribute_dataset(rows)))

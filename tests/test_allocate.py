from dsr_tf.methods.allocate import in_proportion_to_survivors


def test_survivors_share_what_was_pruned():
    # Survivors 300 : 100, 40 pruned: 30 and 10, wherever they were pruned.
    assert in_proportion_to_survivors([300, 100], [0, 40], [99, 99]) == [30, 10]

"""Networks of `keras.applications` go through most of what the library does."""

import pytest

import dsr_tf
from tests.test_zoo import check_arrays
from tests.test_zoo import check_budget
from tests.test_zoo import check_saved
from tests.test_zoo import equal
from tests.test_zoo import kinds
from tests.test_zoo import outputs
from tests.test_zoo import trained
from tests.zoo import APPLICATIONS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", APPLICATIONS)
def test_applications_go_there_and_back(name, tmp_path):
    # Two steps are faster than a graph of so many layers.
    one = trained(APPLICATIONS[name], run_eagerly=True)
    check_budget(one)
    plain = dsr_tf.densify(one.sparse)
    assert equal(outputs(plain, one.case.x), one.y)
    assert kinds(plain) == kinds(one.case.model)
    check_saved(one, tmp_path / "sparse.keras")
    check_arrays(one, tmp_path / "arrays.npz")

import numpy as np

from services.decoder.kept import File
from services.decoder.vectors import Vectors


def test_a_cosine_of_eight_bits_is_right_to_some_thousandths_and_a_forgotten_row_is_near_nothing() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((1_500, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    vectors = Vectors(384, File())
    for row, vector in enumerate(rows):
        vectors.put(row, vector)
    near = vectors.near(rows[7], 1_500)
    assert near.shape == (1_500,)
    assert np.abs(near - rows @ rows[7]).max() < 0.003
    assert int(near.argmax()) == 7
    vectors.put(7, np.zeros(384, np.float32))
    assert vectors.near(rows[7], 1_500)[7] == 0

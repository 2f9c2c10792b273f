"""A random head with the shapes of FLAME's tables: no part of the licensed model."""

import numpy as np

VERTICES = 5023


def model_tables(seed: int = 0, *, vertices: int = VERTICES) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    regressor = random.random((5, vertices))
    weights = random.random((vertices, 5))
    return {
        "v_template": random.normal(0, 0.1, (vertices, 3)),
        "shapedirs": random.normal(0, 0.001, (vertices, 3, 400)),
        "posedirs": random.normal(0, 0.001, (vertices, 3, 36)),
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
        "f": np.zeros((9976, 3), dtype=np.int64),
    }

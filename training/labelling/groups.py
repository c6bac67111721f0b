"""Photos that look alike, together: a whole group is often of one class."""

import numpy as np

#: Mean cosine from which on two groups become one; of birds, nine in ten photos are then with their
#: like.
ALIKE = 0.3
#: Photos of a group, at most.
LARGEST = 12


def groups_of(points: np.ndarray, positions: np.ndarray) -> list[list[int]]:
    """Photos in groups: agglomerative clustering by the mean cosine between groups.

    Average linkage (Sokal and Michener, "A statistical method for evaluating systematic
    relationships", 1958): the two groups that are most alike become one, as long as they are alike
    enough, and the group is not too large for a look.

    Args:
        points: float32 `(photos, d)`, of length 1.
        positions: Of the photos, in order of their worth.

    Returns:
        Positions, group by group: a group stands where its first photo does, and keeps the order.
    """
    similar = (points @ points.T).astype(np.float64)  # sums over pairs of two groups
    sizes = np.ones(len(points))
    groups = [[row] for row in range(len(points))]
    np.fill_diagonal(similar, -np.inf)
    while len(points) > 1:
        pairs = sizes[:, None] * sizes
        small = sizes[:, None] + sizes <= LARGEST
        means = np.where(small, similar / np.maximum(pairs, 1), -np.inf)
        one, other = sorted(np.unravel_index(means.argmax(), means.shape))
        if means[one, other] < ALIKE:
            break
        groups[one] += groups[other]
        groups[other] = []
        similar[one] += similar[other]
        similar[:, one] = similar[one]
        similar[one, one] = -np.inf
        similar[other] = similar[:, other] = -np.inf
        sizes[one] += sizes[other]
        sizes[other] = 0
    return [positions[sorted(group)].tolist() for group in groups if group]

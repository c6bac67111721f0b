"""Which images form which batch: a pure function of seed and step, so that a run can resume."""

from functools import lru_cache

import numpy as np


def evenly(positions: np.ndarray, most: int) -> np.ndarray:
    """At most so many of some positions, at equal distances from the first to the last.

    Positions are often in the order of class folders: every class keeps its share.
    """
    if len(positions) <= most:
        return positions
    return positions[np.arange(most) * len(positions) // most]


class BatchPlan:
    """Positions of the images of every training step.

    The labelled half is class-balanced: classes take turns, and within a class every image comes
    once before any comes again. The unlabelled half goes through all images in random order, over
    and over. Both depend on the seed and the step alone.

    Args:
        labels: uint8 `(n, classes)` of the labelled images, multi-hot.
        positions: int64 `(n,)`, where these images are in the image set.
        unlabelled: int64 `(m,)`, where the unlabelled images are; if empty, the labelled images
            take their place, without their labels.
        batch: Labelled images a step.
        ratio: Unlabelled images for each labelled one.
        seed: Seed of the order.
    """

    def __init__(
        self,
        labels: np.ndarray,
        positions: np.ndarray,
        unlabelled: np.ndarray,
        *,
        batch: int,
        ratio: int,
        seed: int,
    ):
        self.positions = positions
        self.unlabelled = unlabelled if len(unlabelled) else positions
        self.members = [np.flatnonzero(column) for column in labels.T if column.any()]
        self.batch, self.ratio, self.seed = batch, ratio, seed
        # Neighbouring steps ask for the same orders again.
        self._order = lru_cache(maxsize=2 * len(self.members) + 4)(self._draw_order)

    def labelled_rows(self, step: int) -> np.ndarray:
        """Rows of `labels` in the labelled half of `step`: int64 `(batch,)`."""
        first = step * self.batch
        turns = np.arange(first, first + self.batch)
        n_classes = len(self.members)
        rows = np.empty(self.batch, dtype=np.int64)
        for i, turn in enumerate(turns):
            cycle, place = divmod(int(turn), n_classes)
            which = int(self._order(n_classes, cycle, 0)[place])
            again, nth = divmod(cycle, len(self.members[which]))
            members = self.members[which]
            rows[i] = members[self._order(len(members), again, 1 + which)[nth]]
        return rows

    def unlabelled_positions(self, step: int) -> np.ndarray:
        """Positions of the unlabelled half of `step`: int64 `(batch, ratio)`."""
        n = self.batch * self.ratio
        turns = np.arange(step * n, (step + 1) * n)
        cycles, places = np.divmod(turns, len(self.unlabelled))
        out = np.empty(n, dtype=np.int64)
        for cycle in np.unique(cycles):
            mine = cycles == cycle
            out[mine] = self.unlabelled[
                self._order(len(self.unlabelled), int(cycle), -1)[places[mine]]
            ]
        return out.reshape(self.batch, self.ratio)

    def _draw_order(self, n: int, cycle: int, stream: int) -> np.ndarray:
        """Random order of `n` things, the same whenever asked for this cycle of this stream."""
        return np.random.default_rng([self.seed, stream + 1, cycle]).permutation(n)

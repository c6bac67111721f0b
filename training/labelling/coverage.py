"""Facility location: photos are chosen so that each photo is like a chosen one."""

import heapq
from collections.abc import Iterator

import numpy as np

from ssah_tf.data.sampling import evenly
from ssah_tf.system.signals import raise_if_ending

#: Photos whose coverage is counted, at most; spread evenly where there are more.
GROUND = 20_000
#: Photos whose gain is computed at once, and of which copies are looked for at once.
BLOCK = 1024
#: Photos at the head of the queue whose gain is brought up to date at once.
HEAD = 32
#: Cosine from which on two photos are copies of each other: only one is worth a label.
COPY = 0.9


class Coverage:
    """Chooses photos one after another, each by what it adds to the coverage of all.

    A photo i is covered by a set S as far as it is like one of it, max_{j in S} max(0, cos(i, j)),
    and the coverage of all is the sum: the objective of facility location. It is submodular: what
    a photo adds never grows. So the greedy choice is within 1 - 1/e of the best (Nemhauser, Wolsey
    and Fisher, Mathematical Programming 1978), and a gain that was computed earlier is an upper
    bound, which leaves most of them as they are (Minoux, "Accelerated greedy algorithms", 1978).

    Labelled photos L cover from the start: photo i by p_i max_{j in L} max(0, cos(i, j)), where p_i
    is how certain its class is by these labels (ours). So a photo counts that is unlike the
    labelled ones, and one that is like several of different classes.

    Args:
        points: float32 `(photos, d)`, of length 1.
        labelled: Positions of labelled photos.
        certainty: Of the class of each photo, from 0 to 1, `(photos,)`; 1 by default.
        passed: Positions of photos that are not chosen, and cover what is like them.
        ground: Positions of photos whose coverage is counted; by default of all, or of some that
            are spread evenly where there are very many.
    """

    def __init__(
        self,
        points: np.ndarray,
        labelled: np.ndarray | None = None,
        certainty: np.ndarray | None = None,
        passed: np.ndarray | None = None,
        ground: np.ndarray | None = None,
    ):
        self.points = points
        self.ground = evenly(np.arange(len(points)), GROUND) if ground is None else ground
        self.targets = points[self.ground]  # (ground, d)
        self.covered = np.zeros(len(self.ground), np.float32)
        self.open = np.ones(len(points), bool)
        for block in in_blocks(np.array([], np.int64) if labelled is None else labelled):
            self.cover(block)
        if certainty is not None:
            self.covered *= certainty[self.ground]
        for block in in_blocks(np.array([], np.int64) if passed is None else passed):
            self.cover(block)
        left = np.flatnonzero(self.open)
        gains = np.concatenate([[], *map(self.gains, in_blocks(left))])
        self.queue = [*zip((-gains).tolist(), left.tolist(), strict=True)]
        heapq.heapify(self.queue)

    def gains(self, positions: np.ndarray) -> np.ndarray:
        """What photos at some positions would add to the coverage, `(positions,)`."""
        more = self.targets @ self.points[positions].T - self.covered[:, None]
        return np.maximum(more, 0, out=more).sum(axis=0)  # of (ground, positions)

    def __iter__(self) -> "Coverage":
        return self

    def __next__(self) -> int:
        """The position of the next photo; that of the first one where several add as much."""
        raise_if_ending()
        fresh: set[int] = set()
        while self.queue:
            if self.queue[0][1] in fresh:
                chosen = heapq.heappop(self.queue)[1]
                self.cover(np.array([chosen]))
                return chosen
            head: list[int] = []
            while self.queue and len(head) < HEAD and self.queue[0][1] not in fresh:
                position = heapq.heappop(self.queue)[1]
                if self.open[position]:
                    head.append(position)
            if head:
                for gain, position in zip(self.gains(np.array(head)).tolist(), head, strict=True):
                    heapq.heappush(self.queue, (-gain, position))
                fresh.update(head)
        raise StopIteration

    def cover(self, positions: np.ndarray) -> None:
        """Let photos at some positions cover; their copies are not chosen any more."""
        points = self.points[positions].T  # (d, positions)
        np.maximum(self.covered, (self.targets @ points).max(axis=1), out=self.covered)
        self.open &= (self.points @ points).max(axis=1) < COPY
        self.open[positions] = False


def in_blocks(positions: np.ndarray) -> Iterator[np.ndarray]:
    """The same positions, `BLOCK` at a time."""
    for first in range(0, len(positions), BLOCK):
        raise_if_ending()
        yield positions[first : first + BLOCK]

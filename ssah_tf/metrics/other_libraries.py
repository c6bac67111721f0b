"""What other libraries print as mAP of the same codes.

They differ in the order of images at one distance, in what AP@k is divided by, and in whether a
query with nothing relevant counts. Where a library leaves the order of ties to an unstable sort,
its number lies anywhere in a range, which is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ssah_tf.metrics.relevance import LabelLists
from ssah_tf.metrics.retrieval import rankings
from ssah_tf.metrics.tie_aware import precision_recall_by_radius


@dataclass(frozen=True)
class Library:
    """How a library comes to its number.

    Attributes:
        call: What is called, with which scores.
        ties: Images at one distance stand in the order of the database, in the `reversed` one, in
            any order, or are `one step` of the curve, read at its end.
        divisor: What AP@k is divided by: all relevant images, or those in the top k; `None` if it
            has no AP@k.
        skips: Whether queries with nothing relevant are left out of the mean; else they count 0.
    """

    call: str
    ties: Literal["database", "reversed", "any", "one step"]
    divisor: Literal["relevant", "hits"] | None
    skips: bool = False

    def words(self) -> str:
        """The conventions in a sentence."""
        ties = {
            "database": "images at one distance stand in the order of the database",
            "reversed": "images at one distance stand in the reversed order of the database",
            "any": "images at one distance stand in no defined order: the range over all orders",
            "one step": "images at one distance are one step, read at its end",
        }[self.ties]
        divisor = {
            "relevant": "; mAP@k is divided by all relevant images",
            "hits": "; mAP@k is divided by the relevant images in the top k",
            None: "; it has no mAP@k",
        }[self.divisor]
        empty = "is left out" if self.skips else "counts 0"
        return f"{ties}{divisor}; a query with nothing relevant {empty}"


#: By the name that `ssah evaluate --as` takes.
LIBRARIES = {
    "scikit-learn": Library(
        "average_precision_score(relevant, -distance), mean over queries", "one step", None
    ),
    "torchmetrics": Library(
        "RetrievalMAP(top_k=k) of scores above 0, such as bits + 1 - distance", "any", "hits"
    ),
    "ranx": Library("evaluate(qrels, run, 'map@k') of scores -distance", "any", "relevant"),
    "trec_eval": Library(
        "map and map_cut of scores -distance; documents named by their zero-padded places",
        "reversed",
        "relevant",
    ),
    "pytorch-metric-learning": Library(
        "AccuracyCalculator, mean_average_precision with k, neighbours by a stable sort",
        "database",
        "relevant",
        skips=True,
    ),
    "tensorflow-similarity": Library(
        "MapAtK with r, the images of each class in the database, neighbours by a stable sort",
        "database",
        "relevant",
    ),
    "research-loop": Library(
        "argsort or topk of the distances, as most published scripts on hashing do", "any", "hits"
    ),
}


def map_as(
    library: Library,
    query_codes: np.ndarray,
    queries: LabelLists,
    database_codes: np.ndarray,
    database: LabelLists,
    bits: int,
    cutoffs: Sequence[int],
) -> dict[int | None, tuple[float, float]]:
    """What a library prints as mAP@all, under `None`, and as mAP@k.

    Args:
        library: Its conventions.
        query_codes: Packed codes, uint8 `(q, ceil(bits / 8))`.
        queries: Their labels.
        database_codes: Packed codes, uint8 `(n, ceil(bits / 8))`, in the order in which the library
            gets them.
        database: Their labels.
        bits: Length of a code.
        cutoffs: Ranks k; none are measured if the library has no AP@k.

    Returns:
        Lowest and highest number over the orders of ties: the same, but where that is any. All are
        0 if no query counts.
    """
    if library.ties == "reversed":
        back = np.arange(len(database_codes))[::-1]
        database_codes, database = database_codes[back], database.take(back)
    ks = (None, *(cutoffs if library.divisor else ()))

    def measure(
        counts: np.ndarray, relevant: np.ndarray, ranks: np.ndarray
    ) -> list[tuple[float, float]] | None:
        if len(ranks) == 0 and library.skips:
            return None
        if library.ties == "one step":
            precision, recall = precision_recall_by_radius(counts[None], relevant[None])
            step = float((precision * np.diff(recall, prepend=0)).sum())
            return [(step, step)]
        if library.ties == "any":
            return [range_over_ties(counts, relevant, k, library.divisor) for k in ks]
        values = [of_ranks(ranks, k, library.divisor) for k in ks]
        return list(zip(values, values, strict=True))

    of_queries = rankings(query_codes, queries, database_codes, database, bits, measure)
    found = [values for values in of_queries if values is not None]
    means = (
        np.array(found).reshape(-1, len(ks), 2).mean(axis=0) if found else np.zeros((len(ks), 2))
    )
    return {k: (float(low), float(high)) for k, (low, high) in zip(ks, means, strict=True)}


def of_ranks(ranks: np.ndarray, k: int | None, divisor: str | None) -> float:
    """AP@k of the ranks of the relevant images, int64 `(R,)`, ascending; 0 without any."""
    hits = len(ranks) if k is None else int(np.searchsorted(ranks, k, side="right"))
    summed = float((np.arange(1, hits + 1) / ranks[:hits]).sum())
    return summed / max(1, hits if divisor == "hits" else len(ranks))


def range_over_ties(
    counts: np.ndarray, relevant: np.ndarray, k: int | None, divisor: str | None
) -> tuple[float, float]:
    """Lowest and highest AP@k of a query over all orders of its ties.

    Relevant images last, or first, in each tie. Where k cuts a tie, each number of hits in its
    upper part is tried, since more hits also mean a larger divisor.

    Args:
        counts: Database images at each distance, int64 `(distances,)`.
        relevant: The relevant ones among them.
        k: Cut-off rank, or `None`.
        divisor: See `Library`.
    """
    after, hits_after = np.cumsum(counts), np.cumsum(relevant)
    before, hits_before = after - counts, hits_after - relevant
    end = int(after[-1]) if k is None else min(k, int(after[-1]))
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, end + 1))])

    def summed(start: np.ndarray, earlier: np.ndarray, hits: np.ndarray) -> np.ndarray:
        """Sum of the precision at hits on the ranks after `start`, with `earlier` hits before."""
        # (earlier + i) / (start + i) = 1 + (earlier - start) / (start + i)
        rising: np.ndarray = hits + (earlier - start) * (harmonic[start + hits] - harmonic[start])
        return rising

    whole = after <= end
    first = summed(before[whole], hits_before[whole], relevant[whole]).sum()
    last = summed((after - relevant)[whole], hits_before[whole], relevant[whole]).sum()
    found, place = int(relevant[whole].sum()), end - int(counts[whole].sum())
    inside = np.zeros(1, np.int64)
    if place:  # of the tie that is cut, so many are taken
        cut = int(np.argmax(~whole))
        others = int(counts[cut] - relevant[cut])
        inside = np.arange(max(0, place - others), min(place, int(relevant[cut])) + 1)
        start = np.full(len(inside), before[cut])
        first = first + summed(start, np.full(len(inside), found), inside)
        last = last + summed(end - inside, np.full(len(inside), found), inside)
    total = found + inside if divisor == "hits" else np.full(len(inside), hits_after[-1])
    total = np.maximum(total, 1)
    return float(np.min(last / total)), float(np.max(first / total))

"""The outcome of an evaluation, with the protocol that gives each number its meaning."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RetrievalResult:
    """Retrieval numbers of one set of codes. Every mean is over all queries, none dropped.

    Attributes:
        queries: Number of queries.
        database: Number of database images.
        bits: Length of a code.
        cutoffs: The ranks k, in rising order.
        radius: Hamming radius of `precision_in_radius`.
        map_tie_aware: Mean tie-aware average precision over the whole ranking: the number to quote.
        map_interval: 95 % bootstrap interval of `map_tie_aware` over queries, or `None`.
        map_tie_aware_at_k: k -> mean of E[sum of rel_i * prec_i for i <= k] / min(R, k).
        map_sorted: mAP of the ranking with ties in the order of a database shuffled by `seed`.
        map_sorted_by_hits_at_k: k -> the same over the top k, divided by the hits in the top k.
        precision_at_k: k -> mean expected share of relevant images in the top k.
        precision_in_radius: Mean precision of the Hamming ball of `radius`, 0 if it is empty.
        empty_ball_share: Share of queries whose ball of `radius` holds nothing.
        radius_precision: Mean precision within radius 0 to `bits`, 0 for an empty ball.
        radius_recall: Mean recall within radius 0 to `bits`.
        queries_without_relevant: Queries with nothing relevant in the database; they count 0.
        map_per_class: Mean tie-aware average precision of the queries of each class, `None` for a
            class without queries. A query with several labels counts in each of them.
        chance: Expectation of each mean under random codes, by its name: `map_tie_aware`,
            `map_tie_aware_at_k`, ... See `chance_levels`.
        chance_per_class: The same of `map_per_class`.
        query_classes: Number of classes that have queries, of all those in `map_per_class`.
        n_bootstrap: Resamples behind `map_interval`.
        seed: Seed of the resamples, and of the order of the database in sorted numbers.
        average_precision: Tie-aware average precision of each query, in the order of the queries.
    """

    queries: int
    database: int
    bits: int
    cutoffs: tuple[int, ...]
    radius: int
    map_tie_aware: float
    map_interval: tuple[float, float] | None
    map_tie_aware_at_k: dict[int, float]
    map_sorted: float
    map_sorted_by_hits_at_k: dict[int, float]
    precision_at_k: dict[int, float]
    precision_in_radius: float
    empty_ball_share: float
    radius_precision: tuple[float, ...]
    radius_recall: tuple[float, ...]
    queries_without_relevant: int
    map_per_class: tuple[float | None, ...]
    chance: dict[str, float | dict[int, float]]
    chance_per_class: tuple[float | None, ...]
    query_classes: int
    n_bootstrap: int
    seed: int
    average_precision: tuple[float, ...] = field(repr=False)

    def definitions(self) -> dict[str, str]:
        """One sentence for each number, precise enough to compute it again."""
        r = self.radius
        return {
            "relevant": "Shares at least one label with the query.",
            "map_tie_aware": "Mean over queries of the expected average precision over all orders "
            "of images at the same Hamming distance, in closed form (arXiv 1705.08562); "
            "divided by R, the relevant images in the database.",
            "map_interval": f"95 % percentile bootstrap over queries, {self.n_bootstrap} "
            f"resamples, seed {self.seed}; it does not cover the spread between training seeds.",
            "map_tie_aware_at_k": "As map_tie_aware over the top k only, divided by min(R, k).",
            "map_sorted": f"The database is shuffled by seed {self.seed}, then ranked by a stable "
            "sort, so ties stay in that random order; divided by R.",
            "map_sorted_by_hits_at_k": "As map_sorted over the top k only, divided by the relevant "
            "images found there, as most papers on hashing do; 0 if there are none.",
            "precision_at_k": "Expected share of relevant images in the top k over all orders of "
            "ties; places beyond the end of the database count as not relevant.",
            "precision_in_radius": f"Share of relevant images within Hamming distance {r}, mean "
            "over queries; an empty ball counts 0.",
            "empty_ball_share": f"Share of queries without any image within Hamming distance {r}.",
            "radius_precision": "Entry r: precision within Hamming distance r, mean over queries; "
            "an empty ball counts 0.",
            "radius_recall": "Entry r: recall within Hamming distance r, mean over queries.",
            "queries_without_relevant": "Queries with nothing relevant; they count 0 in means.",
            "map_per_class": "map_tie_aware over the queries that have the class.",
            "chance": "Expectation of each number under random codes, ties in random order, in "
            "closed form from the relevant images of each query; no better than this is guessing.",
            "chance_per_class": "Chance level of map_per_class.",
            "query_classes": "Classes that have queries; the others are not measured.",
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single queries, ready for `json.dumps`.

        Cut-offs become strings, as JSON has no other keys.
        """

        def by_rank(values: dict[int, float]) -> dict[str, float]:
            return {str(k): value for k, value in values.items()}

        return {
            "queries": self.queries,
            "database": self.database,
            "bits": self.bits,
            "map_tie_aware": self.map_tie_aware,
            "map_interval": None if self.map_interval is None else list(self.map_interval),
            "map_tie_aware_at_k": by_rank(self.map_tie_aware_at_k),
            "map_sorted": self.map_sorted,
            "map_sorted_by_hits_at_k": by_rank(self.map_sorted_by_hits_at_k),
            "precision_at_k": by_rank(self.precision_at_k),
            "radius": self.radius,
            "precision_in_radius": self.precision_in_radius,
            "empty_ball_share": self.empty_ball_share,
            "radius_precision": list(self.radius_precision),
            "radius_recall": list(self.radius_recall),
            "queries_without_relevant": self.queries_without_relevant,
            "map_per_class": list(self.map_per_class),
            "chance": {
                name: by_rank(value) if isinstance(value, dict) else value
                for name, value in self.chance.items()
            },
            "chance_per_class": list(self.chance_per_class),
            "query_classes": self.query_classes,
            "n_bootstrap": self.n_bootstrap,
            "seed": self.seed,
            "definitions": self.definitions(),
        }

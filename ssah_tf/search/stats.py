"""What an index is like: how its codes are spread, what it takes, which radius to search with."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ssah_tf.metrics.codes import CodeStatistics, code_statistics
from ssah_tf.metrics.hamming import hamming_distances
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import PhotoTable
from ssah_tf.system.errors import SsahError

#: Labelled photos that are compared, at most: so many queries, in a database of so many.
QUERIES, DATABASE = 2_000, 20_000
#: Smallest sizes of the classes of buckets that are counted.
SIZES = (1, 2, 10, 100, 1_000)
#: Precision that a careful radius keeps.
CAREFUL = 0.9


@dataclass(frozen=True)
class Radius:
    """What a search within a radius finds, over all labelled pairs.

    Attributes:
        radius: In bits, included.
        precision: Share of the pairs within it that share a label; `None` where there is no pair.
        recall: Share of the pairs that share a label that are within it.
    """

    radius: int
    precision: float | None
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = (self.precision or 0) + self.recall
        return 2 * (self.precision or 0) * self.recall / both if both else 0.0


@dataclass(frozen=True)
class Stats:
    """An index in numbers.

    Attributes:
        model_id: Of its encoder.
        appearance_bits: Of its appearance codes; 0 for none.
        photos: Number of photos.
        labelled: Those with a label.
        classes: Number of different labels.
        missing: Photos that are kept, but not in results; the other numbers are without them.
        missing_labelled: Those of them with a label.
        codes: Distinct codes, balance and correlation of the bits.
        buckets: Smallest size of a bucket -> number of codes that so many photos share, up to the
            next size.
        memory: What a search holds -> bytes.
        disk: Kind of file -> bytes.
        radii: What each radius would find; empty if fewer than two classes have labels.
    """

    model_id: str
    appearance_bits: int
    photos: int
    labelled: int
    classes: int
    missing: int
    missing_labelled: int
    codes: CodeStatistics
    buckets: dict[int, int]
    memory: dict[str, int]
    disk: dict[str, int]
    radii: list[Radius]

    @property
    def best(self) -> Radius | None:
        """The radius with the best F1, the smallest of equals."""
        return max(self.radii, key=lambda r: (r.f1, -r.radius), default=None)

    @property
    def careful(self) -> Radius | None:
        """The largest radius up to which precision stays at `CAREFUL` or more."""
        found = None
        for radius in self.radii:
            if radius.precision is not None:
                if radius.precision < CAREFUL:
                    break
                found = radius
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for `json.dumps`."""
        advice = {"best_f1": self.best, "careful": self.careful}
        return asdict(self) | {
            "codes": self.codes.to_dict(),
            "radii": [asdict(radius) | {"f1": radius.f1} for radius in self.radii],
            "advice": {name: radius and radius.radius for name, radius in advice.items()},
        }


def index_stats(index: PhotoIndex) -> Stats:
    """Measure an index.

    Raises:
        SsahError: It is empty.
    """
    if not len(index):
        away = f": its {len(index.missing):,} photos are missing" if len(index.missing) else ""
        raise SsahError(f"{index.storage}: the index is empty{away}")
    codes = np.asarray(index.codes.codes)
    _, sizes = np.unique(codes.view(f"V{codes.shape[1]}").reshape(-1), return_counts=True)
    counts = np.diff([*np.searchsorted(np.sort(sizes), SIZES), len(sizes)]).tolist()
    labels = label_rows(index.photos)
    return Stats(
        model_id=index.codes.model_id,
        appearance_bits=index.codes.appearance_bits,
        photos=len(index),
        labelled=int(labels.any(axis=1).sum()),
        classes=labels.shape[1],
        missing=len(index.missing),
        missing_labelled=index.missing.labelled,
        codes=code_statistics(codes, index.codes.bits),
        buckets=dict(zip(SIZES, counts, strict=True)),
        memory={"codes": index.codes.nbytes, "photos": index.photos.table.nbytes},
        disk=index.storage.disk(),
        radii=radii(codes, labels, index.codes.bits),
    )


def label_rows(photos: PhotoTable) -> np.ndarray:
    """Labels of photos as bool `(n, classes)`."""
    names = photos.table["labels"].to_pylist()
    column = {name: i for i, name in enumerate(sorted({n for row in names for n in row}))}
    rows = np.zeros((len(names), len(column)), bool)
    for row, found in enumerate(names):
        rows[row, [column[name] for name in found]] = True
    return rows


def radii(codes: np.ndarray, labels: np.ndarray, bits: int) -> list[Radius]:
    """Precision and recall of each radius, over pairs of labelled photos.

    Of many labelled photos `DATABASE` are drawn, and `QUERIES` of them are queries; a photo is no
    pair with itself.

    Args:
        codes: Packed codes `(n, bytes)`.
        labels: bool `(n, classes)`.
        bits: Length of a code.
    """
    if labels.any(axis=0).sum() < 2:
        return []
    rng = np.random.default_rng(0)
    rows = np.flatnonzero(labels.any(axis=1))
    rows = np.sort(rng.permutation(rows)[:DATABASE])
    queries = np.sort(rng.permutation(len(rows))[:QUERIES])
    codes, labels = codes[rows], labels[rows].astype(np.float32)
    pairs, same = np.zeros(bits + 1, np.int64), np.zeros(bits + 1, np.int64)
    for start in range(0, len(queries), 100):
        block = queries[start : start + 100]
        far = hamming_distances(codes[block], codes)
        shares = (labels[block] @ labels.T) > 0
        pairs += np.bincount(far.ravel(), minlength=bits + 1)
        same += np.bincount(far[shares], minlength=bits + 1)
    pairs[0] -= len(queries)
    same[0] -= len(queries)
    within, right = pairs.cumsum(), same.cumsum()
    if not right[-1]:
        return []
    return [
        Radius(r, right[r] / within[r] if within[r] else None, right[r] / right[-1])
        for r in range(bits + 1)
    ]


def as_lines(stats: Stats) -> list[str]:
    """The numbers for a terminal."""
    codes, best, careful = stats.codes, stats.best, stats.careful
    correlation = codes.mean_bit_correlation
    missing = [
        f"missing            {stats.missing:,}, {stats.missing_labelled:,} with a label; "
        "left out of results"
    ][: stats.missing]
    lines = [
        f"photos             {stats.photos:,}, {stats.labelled:,} with a label, "
        f"{stats.classes:,} classes",
        *missing,
        f"model              {stats.model_id}, {codes.bits} bits, "
        f"{stats.appearance_bits or 'none'} of appearance",
        f"distinct codes     {codes.distinct_codes:,} "
        f"({codes.distinct_codes / codes.codes:.1%} of the photos)",
        f"largest bucket     {codes.largest_bucket:,} photos with one code",
    ]
    edges = list(stats.buckets)
    for low, high in zip(edges, [*edges[1:], None], strict=True):
        size = "1 photo" if low == 1 else f"{low:,} to {high - 1:,}" if high else f"{low:,} or more"
        lines.append(f"  of {size:16}{stats.buckets[low]:,} codes")
    lines += [
        f"bit balance        {codes.mean_imbalance:.3f} from one half in the mean, "
        f"worst bit {codes.worst_bit}: {codes.bit_means[codes.worst_bit]:.1%} ones, "
        f"{codes.constant_bits} constant",
        "bit correlation    "
        + ("none to measure" if correlation is None else f"{correlation:.3f} in the mean"),
        *(f"{title:19}{sizes(found)}" for title, found in
          (("memory", stats.memory), ("disk", stats.disk))),
    ]  # fmt: skip
    if best is None:
        return [*lines, "radius             no advice without labels of two classes (--labels)"]
    lines.append(f"radius             {best.radius} has the best F1 of precision and recall")
    if careful is not None:
        lines.append(f"                   {careful.radius} keeps a precision of {CAREFUL:.0%}")
    lines.append("  radius  precision  recall     F1")
    last = max(best.radius + 4, 8)
    step = max(1, last // 12)
    marked = {best.radius, careful.radius if careful else best.radius}
    for radius in stats.radii[: last + 1]:
        if radius.radius % step == 0 or radius.radius in marked:
            precision = "       -" if radius.precision is None else f"{radius.precision:8.3f}"
            lines.append(
                f"  {radius.radius:6}   {precision}  {radius.recall:6.3f}  {radius.f1:.3f}"
            )
    return lines


def sizes(of: dict[str, int]) -> str:
    """Bytes of some things and of all, in MB."""
    parts = ", ".join(f"{name} {size / 1e6:,.1f}" for name, size in of.items() if size)
    return f"{sum(of.values()) / 1e6:,.1f} MB ({parts})"

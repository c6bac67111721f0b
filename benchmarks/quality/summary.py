"""Sums up the results of the grid: a row for each set, number of labels, code length and method."""

import json

import numpy as np


def summarise(results: list[dict], note: str = "") -> dict:
    """Rows of several seeds, and how far a label goes.

    Args:
        results: What `run.py` keeps of each run.
        note: What a reader should know of these runs.

    Returns:
        What `results.json` holds: `note`, and `sets`, each with `set`, `machine`, `date`,
        `protocol`, `rows` and `efficiency`.
    """
    sets = []
    for name in dict.fromkeys(r["set"] for r in results):
        of_set = [r for r in results if r["set"] == name]
        about = {key: of_set[0][key] for key in ("set", "machine", "date", "protocol")}
        rows = rows_of(of_set)
        sets.append({**about, "rows": rows, "efficiency": efficiency_of(rows)})
    return {"note": note, "sets": sets}


def as_text(summary: dict) -> str:
    """JSON with a line for each row."""
    sets = []
    for of_set in summary["sets"]:
        parts = {key: json.dumps(of_set[key], ensure_ascii=False) for key in of_set}
        for key in ("rows", "efficiency"):
            lines = ",\n    ".join(json.dumps(row, ensure_ascii=False) for row in of_set[key])
            parts[key] = f"[\n    {lines}\n   ]" if lines else "[]"
        text = ",\n   ".join(f"{json.dumps(key)}: {part}" for key, part in parts.items())
        sets.append(f"  {{\n   {text}\n  }}")
    note = json.dumps(summary["note"], ensure_ascii=False)
    return f'{{\n "note": {note},\n "sets": [\n' + ",\n".join(sets) + "\n ]\n}\n"


def rows_of(of_set: list[dict]) -> list[dict]:
    """Means over seeds, few labels and short codes first, the best method last."""
    found: dict[tuple, list[dict]] = {}
    for result in sorted(of_set, key=lambda r: r["seed"]):
        key = (result["labels"], result["bits"], result["method"])
        found.setdefault(key, []).append(result)
    rows = []
    for (labels, bits, method), runs in found.items():
        values = [run["map"] for run in runs]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        rows.append(
            {
                "labels": labels,
                "bits": bits,
                "method": method,
                "map": [round(value, 6) for value in values],
                "mean": round(float(np.mean(values)), 6),
                "deviation": round(spread, 6),
                "seconds": round(float(np.mean([run["seconds"] for run in runs])), 1),
            }
        )
    return sorted(rows, key=lambda row: (number(row["labels"]), row["bits"], row["mean"]))


def efficiency_of(rows: list[dict]) -> list[dict]:
    """How many labels a class the best supervised row needs for what a method reaches."""
    found = []
    for bits in sorted({row["bits"] for row in rows}):
        known = [row for row in rows if row["bits"] == bits and row["labels"] != "all"]
        supervised: dict[int, float] = {}
        for row in known:
            if row["method"].startswith("supervised only"):
                labels = row["labels"]
                supervised[labels] = max(row["mean"], supervised.get(labels, 0.0))
        if len(supervised) < 2:
            continue
        counts, reached = np.array(sorted(supervised.items())).T
        for row in known:
            if row["method"].startswith("supervised only"):
                continue
            bound, needed = labels_needed(row["mean"], counts, reached)
            found.append(
                {
                    "labels": row["labels"],
                    "bits": bits,
                    "method": row["method"],
                    "bound": bound,
                    "needed": round(needed, 2),
                    "factor": round(needed / row["labels"], 4),
                }
            )
    return found


def labels_needed(value: float, counts: np.ndarray, reached: np.ndarray) -> tuple[str, float]:
    """Labels a class with which a rising curve reaches a value.

    Args:
        value: mAP that is asked for.
        counts: Labels a class, rising.
        reached: mAP at those; straight against the logarithm of the labels in between.

    Returns:
        "", or "at most " or "more than " outside of the curve, and the number.
    """
    reached = np.maximum.accumulate(reached)
    if value <= reached[0]:
        return "at most ", float(counts[0])
    if value > reached[-1]:
        return "more than ", float(counts[-1])
    return "", float(np.exp(np.interp(value, reached, np.log(counts))))


def number(labels: int | str) -> float:
    """A number of labels for sorting; "all" is the greatest."""
    return float("inf") if labels == "all" else float(labels)

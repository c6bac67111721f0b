"""Charts of the report as SVG in data addresses, in colours that read on white and on black."""

import base64
import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure

INK = "#808690"
COLOURS = ("#3b82f6", "#e8710a", "#12a150", "#a855f7", "#e5484d", "#0891b2", "#b8860b", "#d6409f")
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.2,
    "axes.prop_cycle": cycler(color=COLOURS),
    "font.family": "sans-serif",
    "font.size": 10,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "figure.figsize": (5.2, 3.2),
    "svg.fonttype": "path",
    "svg.hashsalt": "ssah",
}


def as_data(figure: Figure) -> str:
    """A figure as a data address."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return data_address(stream.getvalue(), "svg+xml")


def data_address(content: bytes, kind: str) -> str:
    """An image file of a MIME type `image/kind` as a data address."""
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()


def lines(
    curves: dict[str, tuple[Sequence[float], Sequence[float]]],
    x: str,
    y: str,
    *,
    log_x: bool = False,
    markers: bool = False,
) -> str:
    """Curves by name, `(x values, y values)` each."""
    with matplotlib.rc_context(STYLE):
        figure = Figure()
        axis = figure.subplots()
        for name, (xs, ys) in curves.items():
            axis.plot(xs, ys, label=name, lw=1.8, marker="o" if markers else None, ms=4)
        axis.set(xlabel=x, ylabel=y)
        if log_x:
            axis.set_xscale("log")
        axis.set_ylim(0, None)
        if len(curves) > 1:
            axis.legend()
        return as_data(figure)


def training_curves(history: list[dict], has_adversary: bool) -> str:
    """Losses above; below validation mAP and, with A-Net, its rho; over the epochs."""
    epochs = [e["epoch"] + 1 for e in history]
    with matplotlib.rc_context({**STYLE, "figure.figsize": (8, 4.8)}):
        figure = Figure()
        above, below = figure.subplots(2, 1, sharex=True)
        for name in ("supervised", "hard", "consistency", "adversary", "quantisation", "balance"):
            values = [e.get(name, np.nan) for e in history]
            if not np.all(np.isnan(values)):
                above.plot(epochs, values, label=name, lw=1.6)
        above.set(ylabel="loss")
        if above.lines:
            above.legend(ncols=3)
        below.plot(epochs, [e["validation_map"] for e in history], label="validation mAP", lw=1.8)
        if has_adversary:
            rho = [e.get("rho", np.nan) for e in history]
            below.plot(epochs, rho, label="rho (difficulty)", lw=1.6, ls="--")
        below.set(xlabel="epoch", ylim=(0, 1))
        below.legend()
        for axis in (above, below):
            for before, after in pairwise(history):
                if before["stage"] != after["stage"]:
                    axis.axvline(after["epoch"] + 0.5, color=INK, lw=0.8, ls=":")
        return as_data(figure)


def bars(names: Sequence[str], values: Sequence[float], x: str) -> str:
    """Horizontal bars of shares, the first name on top."""
    with matplotlib.rc_context({**STYLE, "figure.figsize": (5.2, 0.6 + 0.26 * len(names))}):
        figure = Figure()
        axis = figure.subplots()
        places = np.arange(len(names))[::-1]
        axis.barh(places, values, height=0.65)
        axis.set_yticks(places, names, parse_math=False)
        axis.set(xlabel=x, xlim=(0, 1))
        axis.grid(axis="y", visible=False)
        for place, value in zip(places, values, strict=True):
            axis.text(value, place, f" {value:.2f}", va="center", fontsize=8)
        return as_data(figure)


def histogram(similar: np.ndarray, dissimilar: np.ndarray) -> str:
    """Share of similar and of dissimilar pairs at each Hamming distance, `(bits + 1,)` each."""
    with matplotlib.rc_context(STYLE):
        figure = Figure()
        axis = figure.subplots()
        for name, counts in (("share a label", similar), ("share none", dissimilar)):
            axis.stairs(counts / max(1, counts.sum()), fill=True, alpha=0.5, label=name)
        axis.set(xlabel="Hamming distance", ylabel="share of pairs")
        axis.legend()
        return as_data(figure)


def matrix(values: np.ndarray, names: Sequence[str] | None, x: str, y: str) -> str:
    """A square matrix of shares as a heat map; with few names each cell shows its value."""
    n = len(values)
    side = 1.6 + (0.42 * n if names is not None else 3.2)
    with matplotlib.rc_context({**STYLE, "figure.figsize": (side + 0.8, side), "axes.grid": False}):
        figure = Figure()
        axis = figure.subplots()
        image = axis.imshow(values, cmap="viridis", vmin=0)
        figure.colorbar(image, shrink=0.8)
        axis.set(xlabel=x, ylabel=y)
        if names is not None:
            axis.set_xticks(range(n), names, rotation=60, ha="right", parse_math=False)
            axis.set_yticks(range(n), names, parse_math=False)
            for i, j in np.ndindex(n, n):
                if values[i, j] >= 0.005:
                    ink = "black" if values[i, j] > 0.6 * values.max() else "white"
                    text = f"{100 * values[i, j]:.0f}"
                    axis.text(j, i, text, ha="center", va="center", color=ink, fontsize=7)
        return as_data(figure)

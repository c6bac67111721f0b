"""The picture of hard samples beside their originals."""

import numpy as np
from matplotlib.figure import Figure

from ssah_tf.system.errors import RunError
from ssah_tf.system.files import atomic_path
from ssah_tf.system.reading import read_arrays
from ssah_tf.training.run import Run

#: Moments of the joint stage in the picture.
MOMENTS = 5


def draw_album(run: Run) -> None:
    """Draw `hard_samples.png` from the album of a run; nothing if it has none.

    A column an image; the first row shows the originals, the rows below the hard samples of later
    and later epochs, with their rho if A-Net made them.

    Raises:
        RunError: The album is damaged.
    """
    if not run.album_path.is_file():
        return
    try:
        album = read_arrays(run.album_path)
        originals, hard = album["originals"], album["hard"]  # (n, s, s, 3), (epochs, n, s, s, 3)
        epochs, rho = album["epochs"], album["rho"]
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{run.album_path}: damaged ({error}); remove it") from None
    moments = np.unique(np.linspace(0, len(hard) - 1, MOMENTS).round().astype(int))
    rows = [("original", originals)]
    has_adversary = run.has_adversary
    for m in moments:
        asked = f"\nρ = {rho[m]:.2f}" if has_adversary else ""
        rows.append((f"epoch {epochs[m] + 1}{asked}", hard[m]))
    figure = Figure(figsize=(1.1 * len(originals) + 1, 1.1 * len(rows)))
    axes = figure.subplots(len(rows), len(originals), squeeze=False)
    for (title, images), line in zip(rows, axes, strict=True):
        for image, axis in zip(images, line, strict=True):
            axis.imshow(image, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            for spine in axis.spines.values():
                spine.set_visible(False)
        line[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=9)
    figure.tight_layout(pad=0.4, w_pad=0.2, h_pad=0.2)
    with atomic_path(run.picture_path) as path:
        figure.savefig(path, dpi=120)

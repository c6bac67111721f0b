"""The rows that a claim needs: the same recipe with less, at the same steps and batches."""

import json
import shutil
from datetime import date
from pathlib import Path

import keras
import numpy as np

from ssah_tf.system.errors import RunError
from ssah_tf.system.files import write_atomically
from ssah_tf.training.devices import refuse_workers
from ssah_tf.training.machine import machine
from ssah_tf.training.measure import measure
from ssah_tf.training.photos import photos_of, some_images
from ssah_tf.training.recipe import Recipe, load_recipe
from ssah_tf.training.run import Run
from ssah_tf.training.start import start
from ssah_tf.training.train import train

#: Each row as overrides of the recipe. All have the same steps and batches.
ROWS = {
    "supervised only": ("adversary.kind=none",),
    "random deformation": ("adversary.kind=random",),
    "full method": (),
}


def ablate(
    recipe_name: str, output: Path, seeds: tuple[int, ...], overrides: tuple[str, ...] = ()
) -> dict:
    """Train and evaluate every row with every seed; what is done already is not done again.

    Args:
        recipe_name: Name or path of a recipe.
        output: Folder of the runs, and of `ablation.json`.
        seeds: Seeds of split and training.
        overrides: Overrides for all rows.

    Returns:
        What was written to `ablation.json`: `rows` with the mAP of each seed, mean and standard
        deviation, `protocol`, `date`, `machine`.
    """
    refuse_workers("ssah ablation")
    rows = []
    for title, row_overrides in ROWS.items():
        reports = []
        for seed in seeds:
            recipe = load_recipe(recipe_name, (*overrides, *row_overrides, f"seed={seed}"))
            folder = output / f"{title.replace(' ', '-')}-{seed}"
            reports.append(one(recipe, folder))
        values = [report["retrieval"]["map_tie_aware"] for report in reports]
        rows.append(
            {
                "title": title,
                "overrides": list(row_overrides),
                "map": [round(value, 4) for value in values],
                "mean": round(float(np.mean(values)), 4),
                "std": round(float(np.std(values, ddof=1)) if len(values) > 1 else 0.0, 4),
                "seconds": round(float(np.mean([r["training_seconds"] for r in reports])), 1),
            }
        )
    result = {
        "recipe": recipe_name,
        "date": date.today().isoformat(),
        "machine": machine(),
        "seeds": list(seeds),
        "protocol": reports[0]["protocol"],
        "rows": rows,
    }
    write_atomically(output / "ablation.json", json.dumps(result, indent=1).encode())
    return result


def one(recipe: Recipe, folder: Path) -> dict:
    """Train and evaluate one run, or go on with it, or read what it reached."""
    if (folder / "recipe.yaml").is_file():
        run = Run.open(folder)
        if run.recipe != recipe:
            raise RunError(f"{folder} holds a run of another recipe: name another --output")
        if run.metrics_path.is_file():
            return run.metrics()
        run, found = photos_of(run)
        images = some_images(found)
    else:
        shutil.rmtree(folder, ignore_errors=True)  # killed before its recipe was written
        run, loaded = start(recipe, folder)
        images = loaded.images
    keras.backend.clear_session()
    train(run, images)
    return measure(run, images)

"""Which epoch of a training gives the encoder."""

from ssah_tf.system.errors import RunError
from ssah_tf.training.run import Run


def selected_epoch(epochs: list[dict]) -> int:
    """Index of the last epoch that is not worse than the best by more than a standard error.

    A validation part is small, so the best value is to some extent luck, while the last epochs
    have the smallest learning rate: without evidence against them they are to be preferred (the
    one-standard-error rule of Breiman et al., 1984, with the longest training as the simplest
    model).

    Args:
        epochs: `validation_map` and its standard error `validation_error` of each epoch; `None`
            where no image validates, so that the last epoch is taken.
    """
    if epochs[-1]["validation_map"] is None:
        return len(epochs) - 1
    best = max(epochs, key=lambda e: e["validation_map"])
    floor = best["validation_map"] - best["validation_error"]
    return max(i for i, e in enumerate(epochs) if e["validation_map"] >= floor)


def epoch_of_encoder(run: Run) -> dict:
    """The entry of the history at which the encoder of a run was selected.

    Raises:
        RunError: The last stage of the training has no whole epoch yet.
    """
    stage = "joint" if run.recipe.train.joint else "hnet_warmup"
    last = [entry for entry in run.history if entry["stage"] == stage]
    if not last:
        raise RunError(
            f"{run.folder}: interrupted before its first epoch to select from; go on with "
            f"`ssah train --resume {run.folder}`"
        )
    return last[selected_epoch(last)]

"""Which epoch gives the encoder."""

import pytest

from ssah_tf.system.errors import RunError
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.run import Run
from ssah_tf.training.selection import epoch_of_encoder, selected_epoch


def epochs_of(*maps, error=0.05):
    return [{"validation_map": value, "validation_error": error} for value in maps]


def test_selection_by_hand():
    """The last epoch within .05 of the best: .60 allows .56, not .54."""
    assert selected_epoch(epochs_of(0.4, 0.6, 0.56, 0.54)) == 2
    assert selected_epoch(epochs_of(0.4, 0.6, 0.54, 0.5)) == 1
    assert selected_epoch(epochs_of(0.4, 0.6, 0.56, 0.54, error=0.1)) == 3
    assert selected_epoch(epochs_of(0.6, 0.6, error=0.0)) == 1


@pytest.mark.parametrize(("joint", "expected"), [(2, 3), (0, 1)])
def test_epochs_of_the_last_stage_alone_count(tmp_path, joint, expected):
    """The best of all, .9, is of the warm-up of A-Net; without a joint stage H-Net's is last."""
    run = Run.create(tmp_path / "run")
    load_recipe("fashion", (f"train.joint={joint}",)).save(run.recipe_path)
    stages = ("hnet_warmup", "hnet_warmup", "anet_warmup", "joint", "joint")
    values = zip(stages, (0.3, 0.5, 0.9, 0.6, 0.4), strict=True)
    run.save_history(
        [
            {"epoch": i, "stage": stage, "validation_map": value, "validation_error": 0.1}
            for i, (stage, value) in enumerate(values)
        ]
    )
    assert epoch_of_encoder(run)["epoch"] == expected


def test_no_epoch_to_select_from(tmp_path):
    run = Run.create(tmp_path / "run")
    load_recipe("fashion").save(run.recipe_path)
    run.save_history([{"epoch": 0, "stage": "hnet_warmup"}])
    with pytest.raises(RunError, match="before its first epoch to select from; go on with `ssah"):
        epoch_of_encoder(run)

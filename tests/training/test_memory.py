import pytest
import tensorflow as tf

from ssah_tf.system import machine
from ssah_tf.system.errors import RunError
from ssah_tf.training.memory import check_batch, enough_memory
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.run import Run


def test_silly_batch_is_refused_before_anything_is_done():
    """200 million images of 28 px at 17 bytes a value are 7,448 GiB; 64 of them are nothing."""
    check_batch(load_recipe("fashion"))
    with pytest.raises(RunError) as caught:
        check_batch(load_recipe("fashion", ("train.batch=100000000",)))
    message = str(caught.value)
    assert message.startswith("not enough memory: 7,448 GiB are needed at least and ")
    assert message.endswith("for train.batch 100000000: lower it, e.g. --set train.batch=64")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9]"),
        tf.errors.UnknownError(None, None, "MemoryError: Unable to allocate 9 GiB"),
        tf.errors.InternalError(None, None, "CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
    ],
)
def test_running_out_of_memory_is_advice(tmp_path, error):
    run = Run.create(tmp_path / "run")
    load_recipe("fashion", ("train.batch=77",)).save(run.recipe_path)
    with pytest.raises(RunError) as caught, enough_memory(run):
        raise error
    assert "not enough memory for train.batch 77, train.ratio 1 at data.image_size 28" in str(
        caught.value
    )


@pytest.mark.parametrize(
    "error",
    [
        ValueError("boom"),  # no OOM
        tf.errors.ResourceExhaustedError(None, None, "/a/b; No space left on device"),
    ],
)
def test_other_errors_stay_what_they_are(tmp_path, error):
    with pytest.raises(type(error)), enough_memory(Run(tmp_path)):
        raise error
    assert not machine.out_of_memory(error) or "OOM" in str(error)

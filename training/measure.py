"""What comes after a training: numbers, the sample that is kept, the page."""

from ssah_tf.data import ImageSet
from ssah_tf.training.evaluate import evaluate
from ssah_tf.training.report import write_report
from ssah_tf.training.report.galleries import pictured
from ssah_tf.training.run import Run
from ssah_tf.training.sample import keep_sample


def measure(run: Run, images: ImageSet) -> dict:
    """Evaluate a run, keep some of its images, and make its page.

    Args:
        run: A run with a selected encoder.
        images: Its images.

    Returns:
        See `evaluate`.

    Raises:
        SsahError: See `evaluate`.
    """
    metrics = evaluate(run, images)
    keep_sample(run, images, pictured(run, images))
    write_report(run, images)
    return metrics

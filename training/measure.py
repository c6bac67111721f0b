"""What comes after a training: numbers, the sample that is kept, the page."""

from ssah_tf.data import ImageSet
from ssah_tf.training.bars import Bars, no_bar
from ssah_tf.training.evaluate import evaluate
from ssah_tf.training.report import write_report
from ssah_tf.training.report.galleries import pictured
from ssah_tf.training.run import Run
from ssah_tf.training.sample import keep_sample


def measure(run: Run, images: ImageSet, bars: Bars = no_bar) -> dict:
    """Evaluate a run, keep some of its images, and make its page.

    Args:
        run: A run with a selected encoder.
        images: Its images.
        bars: Show how far it is.

    Returns:
        See `evaluate`.

    Raises:
        SsahError: See `evaluate`.
    """
    with bars("measuring") as bar:
        metrics = evaluate(run, images, bar)
    keep_sample(run, images, pictured(run, images))
    with bars("report") as bar:
        write_report(run, images, bar)
    return metrics

"""What a person sees while a training runs: a bar, or a line an epoch."""

import time
from typing import Self

import keras
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ssah_tf.system.text import plain_console


class Progress(keras.callbacks.Callback):
    """One bar for the whole training: stage, epoch, losses, rho, validation mAP, time left.

    Where the output is not a terminal, a line an epoch.

    Args:
        epochs: Of the whole training.
        steps: How many are done already.
        steps_per_epoch: Steps of an epoch.
        title: What to show instead of the stage of the game.
    """

    def __init__(self, epochs: int, steps: int, steps_per_epoch: int, title: str | None = None):
        super().__init__()
        self.epochs = epochs
        self.title = title
        self.steps_per_epoch = steps_per_epoch
        self.console = plain_console()
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task(
            "", total=epochs * steps_per_epoch, completed=steps, losses=""
        )

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Name the stage."""
        self.began = time.monotonic()
        title = f"{self.title or self.model.stage} {epoch + 1}/{self.epochs}"
        self.bar.update(self.task, description=f"{title:<18}")

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Move the bar."""
        self.bar.update(self.task, advance=1, losses=describe(logs))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Leave a line."""
        self.console.print(
            f"epoch {epoch + 1:>3}/{self.epochs}  {self.title or self.model.stage:<11} "
            f"{describe(logs)}  {time.monotonic() - self.began:.1f} s",
            soft_wrap=True,
        )

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


def describe(logs: dict | None) -> str:
    """Losses as one line."""
    return "  ".join(f"{name} {float(value):.3f}" for name, value in (logs or {}).items())

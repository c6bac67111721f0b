"""The precision that layers compute in."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def default_policy(policy: str | keras.DTypePolicy) -> Iterator[None]:
    """Layers made in this block compute by a policy of Keras, unless they are told otherwise."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)

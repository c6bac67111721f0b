"""Numbers out of the bytes of a file, in a TensorFlow graph."""

import tensorflow as tf


def part(content: tf.Tensor, start: tf.Tensor | int, count: tf.Tensor | int) -> tf.Tensor:
    """Some bytes as a string; shorter where the content ends."""
    length = tf.strings.length(content)
    return tf.strings.substr(content, tf.clip_by_value(start, 0, length), tf.maximum(count, 0))


def octets(content: tf.Tensor, start: tf.Tensor | int, count: int) -> tf.Tensor:
    """Some bytes as numbers, int32 `(count,)`; 0 where the content ends."""
    padded = tf.strings.join([part(content, start, count), b"\0" * count])
    values = tf.io.decode_raw(tf.strings.substr(padded, 0, count), tf.uint8)
    return tf.reshape(tf.cast(values, tf.int32), [count])


def number(values: tf.Tensor, little: tf.Tensor | bool = False) -> tf.Tensor:
    """The unsigned number that bytes stand for, int64; of the last dimension, 2 to 4 of them."""
    count = values.shape[-1]
    big = tf.constant([256**i for i in reversed(range(count))], tf.int64)
    weights = tf.where(little, big[::-1], big)
    return tf.reduce_sum(tf.cast(values, tf.int64) * weights, axis=-1)


def signed(values: tf.Tensor) -> tf.Tensor:
    """The same with a sign, of 4 bytes each."""
    found = number(values)
    return tf.where(found >= 2**31, found - 2**32, found)


def holds(content: tf.Tensor, pattern: bytes) -> tf.Tensor:
    """Whether a regular expression is met anywhere in the content."""
    return tf.strings.regex_full_match(content, rb"\C*(" + pattern + rb")\C*")


def begins(content: tf.Tensor, start: tf.Tensor | int, text: bytes) -> tf.Tensor:
    """Whether a text stands at some place of the content."""
    return part(content, start, len(text)) == text


def require(condition: tf.Tensor, message: str) -> None:
    """Refuse a file in one line."""
    tf.debugging.Assert(condition, [message])

"""Search by code: an exact index, and photos in it."""

from ssah_tf.search.code_index import CodeIndex
from ssah_tf.search.index import Index

__all__ = ["CodeIndex", "Index"]

"""Search by code: an exact index, and photos in it."""

from ssah_tf.search.code_index import CodeIndex

__all__ = ["CodeIndex"]

"""Converts a SavedModel for TensorFlow.js: `tfjs_convert.py SAVED_MODEL OUT`.

The converter imports TensorFlow Decision Forests, which is built for another protobuf than its own
TensorFlow; for a network without such operators an empty module of that name will do.
"""

import sys
import types

sys.modules["tensorflow_decision_forests"] = types.ModuleType("tensorflow_decision_forests")

from tensorflowjs.converters import tf_saved_model_conversion_v2 as conversion  # noqa: E402

# The assertion on the size of images has no counterpart there.
conversion.convert_tf_saved_model(sys.argv[1], sys.argv[2], strip_debug_ops=True)

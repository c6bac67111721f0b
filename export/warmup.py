"""Warm-up requests, which TensorFlow Serving answers by itself before it calls a model ready."""

import io
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

#: Where TensorFlow Serving looks, below the folder of a version.
PLACE = Path("assets.extra") / "tf_serving_warmup_requests"
#: Name under which the configuration in `export/serving` serves an encoder.
MODEL_NAME = "ssah"
#: Images a request.
BATCHES = (1, 8)


def predict_request(signature: str, name: str, values: np.ndarray) -> predict_pb2.PredictRequest:
    """A request to TensorFlow Serving in the official form.

    Args:
        signature: Signature of the SavedModel.
        name: Its input.
        values: The input's value.
    """
    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL_NAME
    request.model_spec.signature_name = signature
    request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return request


def write_warmup(saved_model: Path, images: np.ndarray, appearance: bool) -> None:
    """Write requests to every signature, each with one image and with several.

    Args:
        saved_model: Folder of one version of a SavedModel.
        images: uint8 `(n, size, size, 3)`.
        appearance: Whether there is the signature `appearance_bytes`.
    """
    path = saved_model / PLACE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for batch in BATCHES:
            some = images[np.arange(batch) % len(images)]
            files = np.array([png(image) for image in some], dtype=object)
            requests = [
                predict_request("serving_default", "images", some),
                predict_request("logits", "images", some),
                predict_request("serving_bytes", "bytes", files),
                predict_request("about", "of", np.array([b"?"] * batch, dtype=object)),
            ]
            if appearance:
                requests.append(predict_request("appearance_bytes", "bytes", files))
            for request in requests:
                log = prediction_log_pb2.PredictionLog()
                log.predict_log.request.CopyFrom(request)
                writer.write(log.SerializeToString())


def png(image: np.ndarray) -> bytes:
    """An image as the bytes of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()

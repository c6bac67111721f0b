"""Asks TensorFlow Serving for the codes of image files over gRPC.

    pip install 'ssah-tf[train]'
    python grpc_client.py photo.jpg ... [--server localhost:8500] [--model-id ID]

Prints a line an image: the code in hexadecimal, and the file. The server decodes and resizes. It is
asked first which encoder it serves, and once more at the end: codes of two are never mixed.
"""

import argparse
import sys
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from ssah_tf.export import warmup


def predict_request(files: list[bytes]) -> predict_pb2.PredictRequest:
    """The request for the codes of JPEG or PNG files."""
    return warmup.predict_request("serving_bytes", "bytes", np.array(files, dtype=object))


def about_request() -> predict_pb2.PredictRequest:
    """The request for what the encoder says of itself."""
    return warmup.predict_request("about", "of", np.array([b"?"], dtype=object))


def model_id_of(response: predict_pb2.PredictResponse) -> str:
    """The model id in a response to that."""
    return tf.make_ndarray(response.outputs["model_id"])[0].decode()


def codes_of(response: predict_pb2.PredictResponse) -> np.ndarray:
    """Packed codes in a response, uint8 `(files, bytes)`."""
    return tf.make_ndarray(response.outputs["codes"])


def check(service: prediction_service_pb2_grpc.PredictionServiceStub, expected: str | None) -> str:
    """The model id of the encoder that is served; ends the program if it is another one."""
    found = model_id_of(service.Predict(about_request(), timeout=60))
    if expected not in (None, found):
        sys.exit(f"the server has model id {found}, not {expected}: their codes must not be mixed")
    return found


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--server", default="localhost:8500")
    parser.add_argument("--model-id", help="Refuse a server with another encoder.")
    given = parser.parse_args()
    path = given.server
    with grpc.insecure_channel(given.server) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            model_id = check(service, given.model_id)
            for path in given.files:
                response = service.Predict(predict_request([path.read_bytes()]), timeout=60)
                print(codes_of(response)[0].tobytes().hex(), path)
            check(service, model_id)
        except grpc.RpcError as error:
            sys.exit(f"{path}: {error.details()}")
        except OSError as error:
            sys.exit(f"{path}: {error}")


if __name__ == "__main__":
    main()

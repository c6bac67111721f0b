"""Serves an exported encoder by KServe: the REST form of TensorFlow Serving, no TensorFlow.

    pip install kserve ssah-tf
    python kserve_server.py --encoder runs/folder/export --http_port 8080 --enable_grpc false

`POST /v1/models/ssah:predict` with `{"instances": [{"b64": "..."}, ...]}`, image files in any
format that Pillow reads, answers `{"predictions": [[...], ...]}`, packed codes. With
`{"signature_name": "about", "instances": ["?"]}` it answers what the encoder says of itself. See
`rest_client.py --url http://localhost:8080/v1/models/ssah`.
"""

import argparse
import base64
import binascii

from kserve import Model, ModelServer, model_server
from kserve.errors import InvalidInput

from ssah_tf import Encoder
from ssah_tf.system.errors import SsahError


class HashEncoder(Model):
    """The encoder as a model of KServe."""

    def __init__(self, name: str, path: str):
        super().__init__(name)
        self.path = path
        self.load()

    def load(self) -> bool:
        """Load the encoder; the server reports ready from then on."""
        self.encoder = Encoder.load(self.path)
        self.ready = True
        return True

    def predict(
        self, payload: dict, headers: dict | None = None, response_headers: dict | None = None
    ) -> dict:
        """Packed codes of the files in a request, or facts about the encoder.

        Raises:
            InvalidInput: The request has another form, or a file cannot be read; answered by 400.
        """
        if payload.get("signature_name") == "about":
            names = ("model_id", "bits", "image_size")
            return {"predictions": [{name: getattr(self.encoder, name) for name in names}]}
        try:
            files = [base64.b64decode(item["b64"], validate=True) for item in payload["instances"]]
        except (KeyError, TypeError, binascii.Error):
            raise InvalidInput('expected {"instances": [{"b64": "..."}, ...]}') from None
        try:
            return {"predictions": self.encoder.encode(files).tolist()}
        except SsahError as error:
            raise InvalidInput(str(error)) from None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--encoder", required=True, help="Folder that ssah export wrote.")
    parser.set_defaults(model_name="ssah")
    given = parser.parse_args()
    ModelServer().start([HashEncoder(given.model_name, given.encoder)])

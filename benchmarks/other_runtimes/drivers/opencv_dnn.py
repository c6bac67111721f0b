"""OpenCV's dnn module, in its default engine. Its input is uint8 from the first call on."""

import cv2
import numpy as np
from drive import drive


def prepare(file, work):
    """Codes of 4.x are floats that hold bytes."""
    cv2.setNumThreads(1)
    network = cv2.dnn.readNetFromONNX(str(file))

    def run(images):
        network.setInput(images)
        return network.forward("codes").astype(np.uint8)

    return run


drive(prepare)

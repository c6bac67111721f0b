"""onnx2tf, which makes a file of LiteRT, run in the interpreter of its TensorFlow."""

import onnx2tf
import tensorflow as tf
from drive import drive


def prepare(file, work):
    """Of four axes it takes the second for channels, unless the input is named."""
    onnx2tf.convert(
        input_onnx_file_path=str(file),
        output_folder_path=str(work / "converted"),
        keep_shape_absolutely_input_names=["images"],
        non_verbose=True,
    )
    target = work / "converted" / f"{file.stem}_float32.tflite"
    network = tf.lite.Interpreter(model_path=str(target), num_threads=1).get_signature_runner()
    return lambda images: network(images=images)["codes"]


drive(prepare)

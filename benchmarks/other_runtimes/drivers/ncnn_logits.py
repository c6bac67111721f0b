"""ncnn by way of pnnx, from the file of floats to logits: one image a call."""

import importlib.util
import subprocess
from pathlib import Path

import ncnn
import numpy as np
from drive import drive, pack


def prepare(file, work):
    """Halves are forbidden: in the converter, whose default they are, and when it runs."""
    size = np.load(work / "images.npy", mmap_mode="r").shape[1]
    (folder,) = importlib.util.find_spec("pnnx").submodule_search_locations
    words = [f"inputshape=[1,{size},{size},3]f32", "fp16=0"]
    model = work / "encoder.onnx"
    model.write_bytes(file.read_bytes())
    subprocess.run([Path(folder) / "pnnx", model.name, *words], cwd=work, check=True)
    network = ncnn.Net()
    for name in ("fp16_packed", "fp16_storage", "fp16_arithmetic"):
        setattr(network.opt, f"use_{name}", False)
    network.opt.num_threads = 1
    network.load_param(str(work / "encoder.ncnn.param"))
    network.load_model(str(work / "encoder.ncnn.bin"))

    def one(image):
        floats = np.ascontiguousarray(image, np.float32)  # a Mat does not keep it
        with network.create_extractor() as extractor:
            extractor.input("in0", ncnn.Mat(floats).clone())
            return np.array(extractor.extract("out0")[1])

    return lambda images: pack(np.stack([one(image) for image in images]))


drive(prepare)

"""The runtimes that `trials.py` tries: what is installed for each, and which file it is given."""

from dataclasses import dataclass
from pathlib import Path

DRIVERS = Path(__file__).with_name("drivers")

#: What the JavaScript drivers are given; `npm` would fetch files for GPUs from elsewhere.
NODE = {"ONNXRUNTIME_NODE_INSTALL": "skip"}
#: The encoder in floats, and in integers, as ONNX Runtime has it.
FLOATS, INT8 = "encoder.onnx", "encoder.int8.onnx"


@dataclass(frozen=True)
class Runtime:
    """A runtime with one file of an export.

    Attributes:
        name: With its version.
        platforms: Where people have it.
        driver: Script in `drivers/`.
        file: Of the export.
        packages: What pip installs in an environment of its own; none: that of the product.
        node: What npm installs, for a driver in JavaScript; beside `packages`, if it has both.
        needs: A program without which it does not run.
        options: For the driver.
        bits: Whether its bits are `equal` to those of ONNX Runtime, `near` them, or it `fails`.
        words: What a user has to know.
    """

    name: str
    platforms: str
    driver: str
    file: str = FLOATS
    packages: tuple[str, ...] = ()
    node: tuple[str, ...] = ()
    needs: str = ""
    options: tuple[str, ...] = ()
    bits: str = "equal"
    words: str = ""

    @property
    def key(self) -> str:
        """Names a row of the results."""
        return f"{self.name}, {self.file}"

    @property
    def exact(self) -> str:
        """The file that ONNX Runtime runs for the codes to compare with."""
        return INT8 if self.file == INT8 else FLOATS


ONNXRUNTIME = Runtime(
    "ONNX Runtime 1.32.0", "servers, desktops", "product.py", options=("onnxruntime",)
)
NUMPY, ONNX = "numpy==2.4.6", "onnx==1.23.2"
OPENCV5, OPENCV4 = "opencv-python-headless==5.0.0.93", "opencv-python-headless==4.14.0.94"
OPENCV4_WORDS = (
    "give it uint8 always: after floats it repeats its first answer, without an error; codes come "
    "as floats"
)
TVM, TINYGRAD = ("apache-tvm==0.27.0.post1", ONNX, NUMPY), ("tinygrad==0.14.0", NUMPY)
ONNX2TORCH = ("onnx2torch==1.5.15", "torch==2.14.1", "torchvision==0.29.1", ONNX, NUMPY)
TFJS = ("core", "converter", "backend-cpu", "backend-wasm")
MNN_WORDS = "declare the input NCHW; convert from Python: `mnnconvert` installs a package by pip"

#: In the order of the table.
RUNTIMES = (
    ONNXRUNTIME,
    Runtime(
        "ONNX Runtime 1.32.0, format ORT",
        "phones",
        "ort_format.py",
        words="`--optimization_style Fixed` alone; `--target_platform amd64` on x86",
    ),
    Runtime(
        "onnxruntime-node 1.30.0",
        "Node.js",
        "ort_node.mjs",
        node=("onnxruntime-node@1.30.0",),
        words="install with `ONNXRUNTIME_NODE_INSTALL=skip`",
    ),
    Runtime(
        "onnxruntime-web 1.30.0, WASM",
        "browsers",
        "ort_web.mjs",
        node=("onnxruntime-web@1.30.0",),
    ),
    Runtime(
        "OpenVINO 2026.4.1",
        "Intel",
        "product.py",
        options=("openvino",),
        words="`INFERENCE_PRECISION_HINT` is `f32`",
    ),
    Runtime(
        "LiteRT 2.3.0", "phones, boards", "product.py", "encoder.tflite", options=("litert",)
    ),
    Runtime(
        "TensorFlow 2.21.0", "servers", "product.py", "saved_model/1", options=("tensorflow",)
    ),
    Runtime(
        "OpenCV 5.0.0",
        "desktops, boards",
        "opencv_dnn.py",
        packages=(OPENCV5, NUMPY),
        words="takes uint8 alone, by default",
    ),
    Runtime(
        "OpenCV 4.14.0",
        "desktops, boards",
        "opencv_dnn.py",
        packages=(OPENCV4, NUMPY),
        words=OPENCV4_WORDS,
    ),
    Runtime(
        "MNN 3.6.1",
        "phones",
        "mnn_module.py",
        packages=("MNN==3.6.1", NUMPY),
        words=MNN_WORDS,
    ),
    Runtime(
        "ncnn 1.0.20261020, by pnnx",
        "phones",
        "ncnn_logits.py",
        "encoder.logits.onnx",
        packages=("--no-deps", "ncnn==1.0.20261020", "pnnx==20261020", NUMPY),
        words="`pnnx` with `fp16=0`; an image a call, whose array you keep; pack logits yourself",
    ),
    Runtime(
        "tract 0.23.9",
        "Rust, boards",
        "tract_onnx.py",
        "encoder.batch16.onnx",
        packages=("tract==0.23.9", NUMPY),
        words="fix the batch",
    ),
    Runtime(
        "TVM 0.27.0",
        "boards",
        "tvm_relax.py",
        packages=TVM,
        words="compile for a target; untuned it is slow",
    ),
    Runtime(
        "tinygrad 0.14.0",
        "desktops, GPUs",
        "tinygrad_onnx.py",
        packages=TINYGRAD,
        needs="clang",
        words="needs clang, not gcc",
    ),
    Runtime(
        "TensorFlow.js 4.22.0, WASM",
        "browsers",
        "tfjs.mjs",
        "saved_model/1",
        packages=("tensorflowjs==4.22.0",),
        node=tuple(f"@tensorflow/tfjs-{part}@4.22.0" for part in TFJS),
        words="converted by `tfjs_convert.py`; int32 in and out",
    ),
    Runtime(
        "PyTorch 2.14.1, by onnx2torch 1.5.15",
        "servers",
        "onnx2torch_module.py",
        packages=ONNX2TORCH,
        words="opset 15, by onnx's own converter or `--opset 15`",
    ),
    Runtime(
        "LiteRT, by onnx2tf 1.29.24",
        "phones, boards",
        "onnx2tf_lite.py",
        packages=("onnx2tf==1.29.24",),
        words="`-kat images`, or it takes the layout for another",
    ),
    Runtime("OpenCV 5.0.0", "", "opencv_dnn.py", INT8, (OPENCV5, NUMPY), bits="near"),
    Runtime("tract 0.23.9", "", "tract_onnx.py", INT8, ("tract==0.23.9", NUMPY), bits="near"),
    Runtime("TVM 0.27.0", "", "tvm_relax.py", INT8, TVM, bits="near"),
    Runtime("tinygrad 0.14.0", "", "tinygrad_onnx.py", INT8, TINYGRAD, needs="clang", bits="near"),
    Runtime(
        "PyTorch 2.14.1, by onnx2torch 1.5.15",
        "",
        "onnx2torch_module.py",
        INT8,
        ONNX2TORCH,
        bits="fails",
    ),
    Runtime("MNN 3.6.1", "", "mnn_module.py", INT8, ("MNN==3.6.1", NUMPY), bits="fails"),
)  # fmt: skip

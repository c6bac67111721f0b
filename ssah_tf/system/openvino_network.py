"""Networks in OpenVINO, compiled in one way."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openvino


def compile_network(
    network: "str | openvino.Model", options: dict[str, Any]
) -> "openvino.CompiledModel":
    """Compile a network for this processor, in float32.

    OpenVINO's default is bfloat16 where a processor has it, and bits change.

    Args:
        network: What was read, or the path of its file.
        options: More of OpenVINO's properties.
    """
    import openvino

    float32 = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(network, "CPU", {**options, **float32})

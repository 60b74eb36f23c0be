"""Write a model in the formats of other runtimes, class names inside, and run what was written by that runtime."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bottleneck_features.models.deployable import IMAGES, PROBABILITIES
from bottleneck_features.models.engines import import_openvino
from bottleneck_features.models.errors import EngineUnavailable
from bottleneck_features.plain import one_line

LABELS = "labels.txt"
OPSET = 17
Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Format:
    """A way to keep a model.

    Attributes:
        file: its file or folder.
        needs: the modules that write and run it, besides TensorFlow and Keras.
        write: writes a model and its class names to a path.
        load: gives what turns uint8 images `(n, height, width, 3)` into probabilities `(n, classes)`.
    """

    file: str
    needs: tuple[str, ...]
    write: Callable[[keras.Model, Path, Sequence[str]], None]
    load: Callable[[Path], Run]

    def require(self) -> None:
        """Check that its packages are there.

        Raises:
            EngineUnavailable: naming those that are not, and what installs them.
        """
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if missing:
            raise EngineUnavailable(
                f"{self.file} needs {', '.join(missing)}, not installed here: pip install 'bottleneck-features[export]'"
            )


def remove(path: Path) -> None:
    """Remove what a format wrote."""
    for one in _parts(path):
        if one.is_dir():
            shutil.rmtree(one)
        else:
            one.unlink(missing_ok=True)


def move(path: Path, folder: Path) -> Path:
    """Move what a format wrote to a folder of the same disk; at no moment is there half of it, or a mixture with another.

    Returns:
        Its path there. What was there before is left beside `path`, or gone.
    """
    there = folder / path.name
    if there.exists() and (path.is_dir() or len(_parts(path)) > 1):
        there.replace(path.with_name(f"{path.name}.before"))
    for one in reversed(_parts(path)):
        one.replace(folder / one.name)
    return there


def _parts(path: Path) -> tuple[Path, ...]:
    """Return all that a format wrote, that first by which it is opened."""
    return (path, path.with_suffix(".bin")) if path.suffix == ".xml" else (path,)


def label_lines(labels: Sequence[str]) -> str:
    """Return the class names as text of exactly one line per class: line breaks become spaces."""
    return "".join(f"{one_line(label)}\n" for label in labels)


def _traced(model: keras.Model) -> Callable:
    """Trace a concrete function of uint8 images, never in training mode."""
    import tensorflow as tf

    signature = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name=IMAGES)

    @tf.function(input_signature=[signature], autograph=False)
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {PROBABILITIES: model(images, training=False)}

    return serve.get_concrete_function()


def _into_zip(path: Path, labels: Sequence[str]) -> None:
    """Add the class names to a zip archive, or behind a file that is none, where `unzip` finds them."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(LABELS, label_lines(labels))


def _write_keras(model: keras.Model, path: Path, labels: Sequence[str]) -> None:
    model.save(path)
    _into_zip(path, labels)


def _load_keras(path: Path) -> Run:
    model = keras.models.load_model(path, compile=False)
    return lambda images: np.asarray(model(images))


def _write_savedmodel(model: keras.Model, path: Path, labels: Sequence[str]) -> None:
    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = keras.InputSpec(shape=(None, *model.input_shape[1:]), dtype="uint8", name=IMAGES)
    archive.add_endpoint("serve", lambda images: {PROBABILITIES: model(images, training=False)}, [signature])
    archive.write_out(str(path), verbose=False)
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / LABELS).write_text(label_lines(labels), encoding="utf-8", newline="\n")


def _load_savedmodel(path: Path) -> Run:
    import tensorflow as tf

    served = tf.saved_model.load(str(path))
    return lambda images: served.serve(images)[PROBABILITIES].numpy()


def _write_onnx(model: keras.Model, path: Path, labels: Sequence[str]) -> None:
    # Keras' own ONNX export turns the constants of a Normalization layer into inputs; a frozen graph has none
    import onnx
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(_traced(model))
    converted, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        input_names=[tensor.name for tensor in frozen.inputs],
        output_names=[tensor.name for tensor in frozen.outputs],
        opset=OPSET,
        custom_op_handlers={"Erfc": (_complement_of_erf, [])},
    )
    _name_ends(converted)
    onnx.helper.set_model_props(converted, {"names": json.dumps(list(labels), ensure_ascii=False)})
    onnx.checker.check_model(converted)
    onnx.save(converted, path)


def _complement_of_erf(context: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """Write the `Erfc` of TensorFlow's exact gelu as `1 - Erf(x)`, which ONNX has."""
    shape, kind = context.get_shape(node.output[0]), context.get_dtype(node.output[0])
    outputs = list(node.output)
    context.remove_node(node.name)
    erf = context.make_node("Erf", [node.input[0]], shapes=[shape], dtypes=[kind])
    one = context.make_const(f"{name}_one", np.ones((), np.float32))
    context.make_node("Sub", [one.output[0], erf.output[0]], outputs=outputs, shapes=[shape], dtypes=[kind])


def _name_ends(converted) -> None:  # type: ignore[no-untyped-def]
    """Give the input and the output of an ONNX graph their names."""
    graph = converted.graph
    names = {graph.input[0].name: IMAGES, graph.output[0].name: PROBABILITIES}
    for node in graph.node:
        for ends in (node.input, node.output):
            for place, name in enumerate(ends):
                ends[place] = names.get(name, name)
    graph.input[0].name, graph.output[0].name = IMAGES, PROBABILITIES
    for end in (graph.input[0], graph.output[0]):
        end.type.tensor_type.shape.dim[0].dim_param = "n"


def _load_onnx(path: Path) -> Run:
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # its packages would report their use to their maker
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run([PROBABILITIES], {IMAGES: images})[0]


def _write_openvino(model: keras.Model, path: Path, labels: Sequence[str]) -> None:
    openvino = import_openvino()
    converted = openvino.convert_model(_traced(model), share_weights=False)
    converted.set_rt_info(" ".join(re.sub(r"\s", "_", one_line(label)) for label in labels), ["model_info", "labels"])
    openvino.save_model(converted, path, compress_to_fp16=False)


def _load_openvino(path: Path) -> Run:
    compiled = import_openvino().Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: np.array(compiled(images)[PROBABILITIES])


def _write_litert(model: keras.Model, path: Path, labels: Sequence[str]) -> None:
    import tensorflow as tf

    # of a concrete function the converter leaves out the weights of a Keras model, without a word
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        _write_savedmodel(model, Path(folder, "model"), labels)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(Path(folder, "model")), signature_keys=["serving_default"]
        )
        path.write_bytes(converter.convert())
    _into_zip(path, labels)


def _load_litert(path: Path) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(path)).get_signature_runner()
    return lambda images: run(**{IMAGES: images})[PROBABILITIES]


FORMATS = {
    "keras": Format("model.keras", (), _write_keras, _load_keras),
    "savedmodel": Format("model-savedmodel", (), _write_savedmodel, _load_savedmodel),
    "onnx": Format("model.onnx", ("tf2onnx", "onnx", "onnxruntime"), _write_onnx, _load_onnx),
    "openvino": Format("model.xml", ("openvino",), _write_openvino, _load_openvino),
    "litert": Format("model.tflite", ("ai_edge_litert",), _write_litert, _load_litert),
}

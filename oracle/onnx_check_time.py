"""How long `onnx` takes to read, check and infer the shapes of a model: beside `lamda_dsl::check` in docs/results/language-speed.md.

    python oracle/onnx_check_time.py MODEL.onnx

First the file as it is, then without its weights, which become inputs of their type and shape. Small constants stay, as
shapes may depend on them. In memory: no disk is read while the clock runs.
"""

import io
import statistics
import sys
import time

import onnx

ROUNDS = 15


def load(data):
    return onnx.load(io.BytesIO(data))


def infer(model):
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def whole(data):
    model = load(data)
    onnx.checker.check_model(model)
    infer(model)


def show(name, run):
    wall, cpu = [], []
    for _ in range(ROUNDS):
        before = time.perf_counter(), time.process_time()
        run()
        wall.append((time.perf_counter() - before[0]) * 1e3)
        cpu.append((time.process_time() - before[1]) * 1e3)
    print(f"{name:<16}{statistics.median(wall):10.2f}{min(wall):10.2f}{statistics.median(cpu):10.2f}")


def table(title, data):
    model = load(data)
    print(f"\n{title}: {len(data)} bytes, {len(model.graph.node)} nodes")
    print(f"{'ms':<16}{'median':>10}{'least':>10}{'CPU':>10}")
    show("load", lambda: load(data))
    show("checker", lambda: onnx.checker.check_model(model))
    show("shape inference", lambda: infer(model))
    show("all three", lambda: whole(data))


def without_weights(data):
    model = load(data)
    weights = [t for t in model.graph.initializer if len(t.raw_data) > 64 or len(t.float_data) > 16]
    for t in weights:
        model.graph.input.append(onnx.helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)))
        model.graph.initializer.remove(t)
    return model.SerializeToString()


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    print("onnx", onnx.__version__)
    table("as it is", data)
    table("without weights", without_weights(data))

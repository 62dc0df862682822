"""The models that the tests export, in onnx.checker and in stock ONNX Runtime.

Not part of `cargo test`, since it needs Python packages; run it when the export changes:

    pip install numpy onnx onnxruntime safetensors
    mkdir /tmp/dump && LAMDA_FORMAT_DUMP=/tmp/dump cargo test --release -p lamda-format
    python crates/lamda-format/tests/oracle.py /tmp/dump

Every `NAME.onnx` stands beside a `NAME.safetensors` with what it is given (`input:x`) and what the reference in double
precision makes of it (`output:y`). Exit status 1 when a model does not load or differs by more than 1e-4 of its scale.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file


# Ids and masks are stored in single precision too.
KINDS = {
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


def check(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    tensors = load_file(path.with_suffix(".safetensors"))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = {i.name: tensors["input:" + i.name].astype(KINDS[i.type]) for i in session.get_inputs()}
    worst = 0.0
    for output, found in zip(session.get_outputs(), session.run(None, given)):
        expected = tensors["output:" + output.name]
        if found.shape != expected.shape:
            raise ValueError(f"{output.name} is {found.shape}, not {expected.shape}")
        scale = max(1e-3, np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
        same = (found == expected) | (np.isnan(found) & np.isnan(expected))
        with np.errstate(invalid="ignore"):
            difference = np.where(same, 0.0, np.abs(found - expected))
        worst = float(np.maximum(worst, difference.max(initial=0.0) / scale))
    if not worst <= 1e-4:
        raise ValueError(f"differs by {worst:.1e}")
    return worst


def main():
    paths = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
    failed, worst = 0, 0.0
    for path in paths:
        try:
            worst = max(worst, check(path))
        except Exception as error:
            failed += 1
            print(f"{path.name}: {str(error).splitlines()[0]}")
    print(f"onnxruntime {onnxruntime.__version__}: {len(paths)} models, {failed} failed, worst {worst:.1e}")
    sys.exit(1 if failed or not paths else 0)


if __name__ == "__main__":
    main()

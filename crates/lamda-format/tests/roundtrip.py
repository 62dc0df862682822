"""Whole folders of ONNX models through import and export, compared in stock ONNX Runtime.

Not part of `cargo test`, since it needs Python packages and models; run it when import or export change:

    pip install numpy onnx onnxruntime
    cargo build --release -p lamda-format --example roundtrip
    python crates/lamda-format/tests/roundtrip.py models FOLDER     # *.onnx
    python crates/lamda-format/tests/roundtrip.py nodes FOLDER      # ONNX's node tests: */model.onnx, */test_data_set_0
    [--example target/release/examples/roundtrip] [--match TEXT] [--all]

`models`: names, types and sizes of inputs and outputs must agree, and both files must give the same outputs for three
random inputs: within 1e-4 of each output's scale, integers exactly. `nodes`: the written file must give the outputs
that the test expects, by the tolerances of ONNX's own runner, or what ONNX Runtime makes of the original where that is
something else. Where ONNX Runtime cannot run the original either, and
for outputs that are random, the two files are compared node for node: operators and attributes are the same, and the
written one, read again, has the structure and the weights of what was read from the original. The latter is asserted of
every model besides.

A table is printed (of all with `--all`, else of what failed or is an exception) and the totals. Exit status 1 when
anything failed.
"""

import argparse
import collections
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

# Files that are no sound models: what is wrong with them.
UNSOUND = {
    "NNLQP__test_onnx__resnet18-v1-7-no-weight.onnx": "its initialisers have no data; ONNX Runtime refuses it too",
}
RANDOM = {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def roundtrip(example, source, target):
    done = subprocess.run([example, source, target], capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"exit status {done.returncode}")
    report = json.loads(done.stdout)
    if report["hash"] != report["again"]:
        raise RuntimeError("read again, the structure differs")
    if not report["weights"]:
        raise RuntimeError("read again, the weights differ")
    if report["faults"]:
        raise RuntimeError("; ".join(report["faults"]))
    return report


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def interface(values):
    """Name, type and sizes; of a size that is not a number only that it is none."""
    sizes = lambda v: [d if isinstance(d, int) else "?" for d in v.shape or []]
    return [(v.name, v.type, sizes(v)) for v in values]


def plain(kind):
    """A type without what says how axes are read."""
    copy = onnx.TypeProto()
    copy.CopyFrom(kind)
    copy.ClearField("denotation")
    for field, inner in copy.ListFields():
        if field.name in ("sequence_type", "optional_type"):
            inner.elem_type.CopyFrom(plain(inner.elem_type))
        elif field.name == "map_type":
            inner.value_type.CopyFrom(plain(inner.value_type))
        elif field.name == "tensor_type":
            for dim in inner.shape.dim:
                dim.ClearField("denotation")
    return copy


def nodes_of(path):
    """The operators of a file with their attributes, also inside nodes; what moves nothing left out."""
    found = collections.Counter()

    def visit(graph):
        for n in graph.node:
            attributes = []
            for a in n.attribute:
                if a.type == onnx.AttributeProto.GRAPH:
                    visit(a.g)
                    continue
                value = onnx.helper.get_attribute_value(a)
                if a.type == onnx.AttributeProto.TENSOR:
                    value = (value.data_type, list(value.dims), numpy_helper.to_array(value).tobytes())
                attributes.append((a.name, str(value)))
            if n.op_type not in ("Constant", "Identity"):
                found[(n.domain, n.op_type, len([i for i in n.input if i]), len(n.output), tuple(sorted(attributes)))] += 1

    visit(onnx.load(path).graph)
    return found


def same_nodes(path, target, report):
    """Without translated nodes, the operators of both files are the same."""
    if report["translated"] == 0 and (old := nodes_of(path)) != (new := nodes_of(target)):
        raise RuntimeError(f"the operators differ: {list((old - new).items())[:2]} became {list((new - old).items())[:2]}")


def declared(path):
    """Names, types and sizes of a file's inputs and outputs, with the names of dynamic sizes."""
    graph = onnx.load(path, load_external_data=False).graph
    own = {t.name for t in graph.initializer} | {t.values.name for t in graph.sparse_initializer}

    def one(v):
        tensor = v.type.tensor_type
        if v.type.WhichOneof("value") != "tensor_type":
            return v.name, str(plain(v.type)), None
        dims = None
        if tensor.HasField("shape"):
            dims = [getattr(d, d.WhichOneof("value")) if d.WhichOneof("value") else "?" for d in tensor.shape.dim]
            dims = ["?" if d in (-1, "") else d for d in dims]
        return v.name, tensor.elem_type, dims

    return [one(v) for v in graph.input if v.name not in own], [one(v) for v in graph.output]


def agree(old, new, what):
    if [v[:2] for v in old] != [v[:2] for v in new]:
        raise RuntimeError(f"{what} are {new}, not {old}")
    for (name, _, a), (_, _, b) in zip(old, new):
        # A size that the file leaves open may be known here.
        fits = a is None or (b is not None and len(a) == len(b) and all(x == y or not isinstance(x, int) for x, y in zip(a, b)))
        if not fits:
            raise RuntimeError(f"{what}: `{name}` is {b}, not {a}")
        if what == "inputs" and a != b:
            raise RuntimeError(f"{what}: `{name}` is {b}, not {a}")


def fill(v, rng, batch, open_size, high):
    """A random value for an input: ids below `high`, masks of 0 and 1, open sizes as given."""
    shape = []
    for i, d in enumerate(v.shape):
        is_batch = "batch" in str(d).lower() or (i == 0 and "seq" not in str(d).lower())
        is_batch = is_batch or (d is None and isinstance(v.shape[0], int))
        shape.append(d if isinstance(d, int) and d > 0 else batch if is_batch else open_size)
    kind = TYPES[v.type]
    name = v.name.lower()
    if kind == np.bool_:
        return rng.integers(0, 2, shape).astype(kind)
    if np.issubdtype(kind, np.integer):
        if name == "sr":
            return np.full(shape, 16000, kind)
        small = any(word in name for word in ("mask", "segment", "token_type"))
        return rng.integers(-100 if kind == np.int8 else 0, 2 if small else high, shape).astype(kind)
    return rng.standard_normal(shape).astype(kind)


def inputs_that_run(sess, seed):
    """Random inputs that a model takes, the larger batch and ids first, and what it makes of them."""
    error = None
    for batch, size, high in itertools.product((2, 1, 64), (8, 64, 512), (100, 5)):
        rng = np.random.default_rng(seed)
        given = {v.name: fill(v, rng, batch, size, high) for v in sess.get_inputs()}
        try:
            return given, sess.run(None, given)
        except Exception as refused:
            error = refused
    raise error


def close(found, expected, tolerance=1e-4):
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(close(f, e) for f, e in zip(found, expected))
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(close(np.asarray(found[k]), np.asarray(expected[k])) for k in expected)
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if expected.dtype.kind not in "fc":
        return bool((found == expected).all())
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(1e-3, float(finite.max())) if finite.size else 1.0
    return bool(np.allclose(found, expected, rtol=0, atol=tolerance * scale, equal_nan=True))


def model(path, target, example):
    report = roundtrip(example, path, target)
    for old, new, what in zip(declared(path), declared(target), ("inputs", "outputs")):
        agree(old, new, what)
    note = f"{report['translated']} translated, {report['carried']} carried"
    try:
        before = session(path)
    except Exception as error:
        same_nodes(path, target, report)
        reason = str(error).splitlines()[0].rpartition(" failed:")[2]
        return "nodes", f"{note}; ONNX Runtime does not load it: {reason[:160]}"
    after = session(target)
    for old, new in ((before.get_inputs(), after.get_inputs()), (before.get_outputs(), after.get_outputs())):
        if [o[:2] for o in interface(old)] != [o[:2] for o in interface(new)]:
            raise RuntimeError(f"ONNX Runtime reads {interface(new)}, not {interface(old)}")
    for seed in range(3):
        try:
            given, expected = inputs_that_run(before, seed)
        except Exception as error:
            same_nodes(path, target, report)
            return "nodes", f"{note}; ONNX Runtime does not run it: {str(error).splitlines()[0][:160]}"
        for v, f, e in zip(before.get_outputs(), after.run(None, given), expected):
            if not close(f, e):
                raise RuntimeError(f"`{v.name}` differs")
    return "run", note


def read_value(path, value):
    data = path.read_bytes()
    kind = value.type.WhichOneof("value")
    if kind == "sequence_type":
        proto = onnx.SequenceProto.FromString(data)
        return numpy_helper.to_list(proto)
    if kind == "optional_type":
        proto = onnx.OptionalProto.FromString(data)
        return numpy_helper.to_optional(proto)
    return numpy_helper.to_array(onnx.TensorProto.FromString(data))


def expect(found, expected, rtol=1e-3, atol=1e-7):
    """As onnx.backend.test.runner compares."""
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for f, e in zip(found, expected):
            expect(f, e)
        return
    if expected is None:
        assert found is None
        return
    found, expected = np.asarray(found), np.asarray(expected)
    if np.issubdtype(expected.dtype, np.str_) or expected.dtype == object:
        np.testing.assert_array_equal(found.astype(str), expected.astype(str))
        return
    assert found.dtype == expected.dtype, f"{found.dtype} for {expected.dtype}"
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def given_and_expected(folder):
    graph = onnx.load(folder / "model.onnx").graph
    data = folder / "test_data_set_0"
    read = lambda kind, values: {v.name: read_value(data / f"{kind}_{i}.pb", v) for i, v in enumerate(values)}
    return read("input", graph.input), list(read("output", graph.output).values())


def run_node(path, given):
    sess = session(path)
    names = {v.name for v in sess.get_inputs()}
    return sess.run(None, {k: v for k, v in given.items() if k in names})


def random_outputs(path):
    return any(n.op_type in RANDOM for n in onnx.load(path).graph.node)


def node(folder, target, example):
    path = folder / "model.onnx"
    report = roundtrip(example, path, target)
    for old, new, what in zip(declared(path), declared(target), ("inputs", "outputs")):
        agree(old, new, what)
    note = f"{report['translated']} translated, {report['carried']} carried"
    given, expected = given_and_expected(folder)
    try:
        found = run_node(path, given)
    except BaseException as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        reason = reason.rpartition("node_tests/")[2][:120]
        same_nodes(path, target, report)
        return "nodes", f"{note}; {reason}"
    again = run_node(target, given)
    if random_outputs(path):
        same_nodes(path, target, report)
        return "nodes", f"{note}; its outputs are random"
    try:
        expect(found, expected)
    except AssertionError:
        # ONNX Runtime is not as the test expects; it must then be the same with both files.
        if not close(again, found, 1e-6):
            raise
        return "same", f"{note}; ONNX Runtime gives neither what the test expects"
    expect(again, expected)
    return "run", note


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["models", "nodes"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--example", default="target/release/examples/roundtrip")
    parser.add_argument("--match", default="")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    if options.what == "models":
        cases = sorted(options.folder.glob("*.onnx"))
    else:
        cases = sorted(p.parent for p in options.folder.glob("*/model.onnx"))
    totals = {"run": 0, "same": 0, "nodes": 0, "unsound": 0, "failed": 0}
    with tempfile.TemporaryDirectory() as scratch:
        target = pathlib.Path(scratch) / "out.onnx"
        for case in (c for c in cases if options.match in c.name):
            try:
                check = model if options.what == "models" else node
                kind, note = check(case, target, options.example)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                kind, note = "failed", (str(error).strip().splitlines() or [repr(error)])[0][:300]
                if case.name in UNSOUND:
                    kind, note = "unsound", f"{UNSOUND[case.name]}: {note}"
            totals[kind] += 1
            if options.all or kind != "run":
                print(f"{kind:8}{case.name}  {note}", flush=True)
    words = {"run": "equal in ONNX Runtime", "same": "equal to what it makes of the original", "nodes": "equal node for node", "unsound": "unsound", "failed": "failed"}
    print(f"onnxruntime {onnxruntime.__version__}: " + ", ".join(f"{totals[k]} {w}" for k, w in words.items()))
    sys.exit(1 if totals["failed"] or not sum(totals.values()) else 0)


if __name__ == "__main__":
    main()

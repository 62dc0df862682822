"""How long models are as text: ONNX's own text form without the values of initialisers, and ours, in tokens (o200k).

    pip install onnx
    cargo build --release -p lamda --example through_text
    python oracle/tokens.py FILE.onnx ...

ONNX's form is `onnx.printer.to_text` of the model whose initialisers, and constants of more than 16 elements, have no data.
Ours is what `lamda convert` writes. Prints a table in Markdown and the median ratio.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import onnx

EXAMPLE = "target/release/examples/through_text"


def ask(*arguments):
    done = subprocess.run([EXAMPLE, *map(str, arguments)], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


def without_data(graph):
    for tensor in graph.initializer:
        empty(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                elements = 1
                for size in attribute.t.dims:
                    elements *= size
                if elements > 16:
                    empty(attribute.t)
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                without_data(inner)


def empty(tensor):
    for field in ["raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data"]:
        tensor.ClearField(field)


def onnx_tokens(path):
    model = onnx.load(path)
    without_data(model.graph)
    initializers = list(model.graph.initializer)
    del model.graph.initializer[:]
    text = onnx.printer.to_text(model)
    # Names, types and sizes of initialisers stay, as ONNX's form has them.
    names = [f"{onnx.helper.tensor_dtype_to_string(t.data_type)[12:].lower()}[{','.join(map(str, t.dims))}] {t.name}" for t in initializers]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(text + "\n<" + ", ".join(names) + ">")
        file.flush()
        return ask("--tokens", file.name)["tokens"]


def main():
    print("| model | ONNX text | ours | ratio | translated | carried |\n|---|--:|--:|--:|--:|--:|")
    ratios = []
    for path in map(pathlib.Path, sys.argv[1:]):
        try:
            ours = ask(path)
        except RuntimeError as error:
            print(f"| {path.stem} | | {str(error)[:60]} | | | |")
            continue
        theirs = onnx_tokens(path)
        ratios.append(theirs / ours["tokens"])
        print(f"| {path.stem} | {theirs:,} | {ours['tokens']:,} | {ratios[-1]:.1f} | {ours['translated']} | {ours['carried']} |")
    print(f"\nMedian ratio {statistics.median(ratios):.1f}, lowest {min(ratios):.1f}, {len(ratios)} models.")


main()

//! Operators that are carried, constants and graphs inside nodes, out and in again.

use crate::common::carrying::{is_batched, network};
use crate::common::deployed_hash;
use lamda_format::{ExportOptions, export, import, read_weights, write_weights};
use lamda_ir::op::{Activation, Attribute, AvgPool, Opaque, Window};
use lamda_ir::{
    Code, DType, Graph, Layout, Op, RawTensor, TensorType, ValueId, Weights, canonical_order,
    fold_batch_norm, structural_hash, verify,
};
use std::collections::HashMap;

fn tensors(weights: &Weights) -> Vec<Vec<u8>> {
    let single = weights.iter().map(|(_, t)| t.data().iter().flat_map(|v| v.to_le_bytes()).collect());
    let mut all: Vec<Vec<u8>> = single.chain(weights.iter_raw().map(|(_, t)| t.bytes().to_vec())).collect();
    all.sort();
    all
}

/// A graph without names, a line for each node in the canonical order.
fn outline(graph: &Graph) -> Vec<String> {
    let mut numbers: HashMap<ValueId, usize> = HashMap::new();
    graph.inputs().iter().enumerate().for_each(|(i, (_, v))| _ = numbers.insert(*v, i));
    let mut lines: Vec<String> = graph.inputs().iter().map(|(_, v)| graph.value(*v).ty.to_string()).collect();
    let mut shared: HashMap<&str, usize> = HashMap::new();
    for id in canonical_order(graph) {
        let node = graph.node(id);
        let read: Vec<usize> = node.inputs.iter().map(|v| numbers[v]).collect();
        // Of operators with weights, which nodes share them.
        let weights = shared.len();
        let weights = *shared.entry(&node.weights).or_insert(weights);
        let op = match &node.op {
            Op::Opaque(op) => op.name.clone(),
            other => format!("{other:?}"),
        };
        lines.push(format!("{op} {read:?} {weights}"));
        if let Op::Opaque(op) = &node.op {
            for (name, sub) in op.subgraphs() {
                lines.push(format!("  {name} {:?}", sub.captures));
                lines.extend(outline(&sub.graph).into_iter().map(|line| format!("    {line}")));
            }
        }
        for v in &node.outputs {
            let number = numbers.len();
            numbers.insert(*v, number);
        }
    }
    lines
}

fn names(list: &[(String, ValueId)]) -> Vec<&str> {
    list.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn what_is_written_is_read_again() {
    let mut nested = 0;
    for seed in 0..300 {
        let (graph, weights) = network(seed);
        assert_eq!(read_weights(&write_weights(&weights).unwrap()).unwrap(), weights, "{seed}");
        let bytes = export(&graph, &weights, &ExportOptions::default()).unwrap();
        let read = import(&bytes).unwrap_or_else(|e| panic!("{seed}: {e}"));
        let (deployed, folded, _) = fold_batch_norm(&graph, &weights).unwrap();
        assert_eq!(outline(&read.graph), outline(&deployed), "{seed}");
        assert_eq!(structural_hash(&read.graph), deployed_hash(&graph, &weights), "{seed}");
        assert_eq!(tensors(&read.weights), tensors(&folded), "{seed}");
        read.weights.check(&read.graph).unwrap();
        assert_eq!(names(read.graph.inputs()), names(graph.inputs()));
        assert_eq!(names(read.graph.outputs()), names(graph.outputs()));
        assert_eq!(read.graph.opsets(), graph.opsets());
        assert!(is_batched(&read.graph));
        assert!(verify(&read.graph).iter().all(|d| d.code != Code::Structure), "{seed}");
        let again = export(&read.graph, &read.weights, &ExportOptions::default()).unwrap();
        assert_eq!(structural_hash(&import(&again).unwrap().graph), structural_hash(&read.graph), "{seed}");
        let bodies = read.graph.nodes().iter().filter_map(|n| match &n.op {
            Op::Opaque(op) => Some(op.subgraphs().count()),
            _ => None,
        });
        nested += bodies.sum::<usize>();
    }
    assert!(nested > 100, "{nested}");
}

fn single(opset: i64, f: impl Into<Op>) -> Graph {
    let mut graph = Graph::new("g");
    graph.set_opset("", opset);
    let x = graph.add_input("x", TensorType::batched(Layout::Map, &[4, 6, 6]));
    let a = graph.add("a", Opaque::new("Tan", 1), &[x]).unwrap();
    let y = graph.add("y", f, &[a]).unwrap();
    graph.add_output("y", y);
    graph
}

#[test]
fn an_operator_that_the_version_lacks_is_named() {
    let weights = Weights::new();
    let options = ExportOptions::default();
    for (opset, needed) in [(6, "opset 9"), (8, "opset 9")] {
        let error = export(&single(opset, Activation::Gelu), &weights, &options).unwrap_err().to_string();
        assert!(error.contains(needed) && error.contains("`y`"), "{error}");
    }
    let window = Window { dilation: vec![2, 2], ..Window::new(vec![2, 2]) };
    let pool = AvgPool { window, count_pad: false };
    assert!(export(&single(18, pool.clone()), &weights, &options).is_err());
    assert!(export(&single(19, pool), &weights, &options).is_ok());
}

#[test]
fn outputs_may_be_inputs_constants_and_the_same() {
    let mut graph = Graph::new("g");
    let x = graph.add_input("x y", TensorType::batched(Layout::Vector, &[4]));
    let value = lamda_ir::RawTensor::new(lamda_ir::DType::I64, vec![1], vec![7; 8]).unwrap();
    let c = graph.add("c", lamda_ir::op::Constant { value }, &[]).unwrap();
    for (name, v) in [("same", x), ("again", x), ("c", c), ("d", c)] {
        graph.add_output(name, v);
    }
    let bytes = export(&graph, &Weights::new(), &ExportOptions::default()).unwrap();
    let read = import(&bytes).unwrap();
    assert_eq!(structural_hash(&read.graph), structural_hash(&graph));
    assert_eq!(names(read.graph.outputs()), names(graph.outputs()));
}

#[test]
fn long_lists_of_attributes_lie_with_the_weights() {
    let mut g = Graph::new("trees");
    let x = g.add_input("x", TensorType::batched(Layout::Vector, &[3]));
    let stored = |name: &str, dtype| (name.to_owned(), Attribute::Stored { dtype, len: 20 });
    let op = Opaque {
        domain: "ai.onnx.ml".into(),
        attributes: vec![
            stored("nodes_values", DType::F32),
            ("class_ids".to_owned(), Attribute::Ints((0..16).collect())),
            stored("nodes_modes", DType::String),
            stored("nodes_treeids", DType::I64),
        ],
        ..Opaque::new("TreeEnsembleClassifier", 1)
    };
    let y = g.add("tree", op, &[x]).unwrap();
    g.add_output("y", y);
    g.set_opset("ai.onnx.ml", 3);
    let mut weights = Weights::new();
    // By name: modes, treeids, values.
    let strings: Vec<Vec<u8>> = (0..20u8).map(|i| vec![b'a' + i % 3; usize::from(i % 4)]).collect();
    weights.insert_raw("tree.attribute.0", RawTensor::of_strings(vec![20], &strings).unwrap());
    let numbers: Vec<f64> = (0..20).map(|i| f64::from(i * i)).collect();
    weights.insert_raw("tree.attribute.1", RawTensor::of_numbers(DType::I64, vec![20], &numbers).unwrap());
    let numbers: Vec<f64> = (0..20).map(|i| f64::from(i as f32 * 0.1)).collect();
    weights.insert_raw("tree.attribute.2", RawTensor::of_numbers(DType::F32, vec![20], &numbers).unwrap());
    weights.check(&g).unwrap();
    assert_eq!(read_weights(&write_weights(&weights).unwrap()).unwrap(), weights);
    let bytes = export(&g, &weights, &ExportOptions::default()).unwrap();
    let back = import(&bytes).unwrap();
    assert_eq!(structural_hash(&back.graph), structural_hash(&g));
    assert_eq!(back.weights, weights);
    assert_eq!(export(&back.graph, &back.weights, &ExportOptions::default()).unwrap(), bytes);
}

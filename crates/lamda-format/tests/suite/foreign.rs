//! Models that others write, built here with tract's own messages: the forms in which exporters spell what the graph
//! has one word for, and files that are not sound.

use crate::common::{close, run_in_tract};
use lamda_format::{ExportOptions, ImportError, Imported, export, import};
use lamda_ir::{Layout, Mode, Op, Tensor, execute};
use prost::Message;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto::{self, Value};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto,
};

/// A model in the making: input `x`, output `y`, a batch of 2.
#[derive(Clone)]
struct File(ModelProto);

impl File {
    fn new(opset: i64, input: &[i64]) -> File {
        let graph = GraphProto {
            name: "foreign".to_owned(),
            input: vec![value("x", input)],
            output: vec![ValueInfoProto { name: "y".to_owned(), ..Default::default() }],
            ..Default::default()
        };
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: opset }];
        File(ModelProto { ir_version: 8, opset_import, graph: Some(graph), ..Default::default() })
    }

    fn graph(&mut self) -> &mut GraphProto {
        self.0.graph.as_mut().unwrap()
    }

    /// `"out = Operator(a, b)"`, with attributes.
    fn node(mut self, text: &str, attribute: Vec<AttributeProto>) -> File {
        let (outputs, call) = text.split_once(" = ").unwrap();
        let (op_type, inputs) = call.strip_suffix(')').unwrap().split_once('(').unwrap();
        let list = |text: &str| {
            text.split(", ").filter(|s| !s.is_empty()).map(|s| s.trim_matches('_').to_owned()).collect()
        };
        let name = format!("{op_type} {}", self.graph().node.len());
        self.graph().node.push(NodeProto {
            name,
            op_type: op_type.to_owned(),
            input: list(inputs),
            output: list(outputs),
            attribute,
            ..Default::default()
        });
        self
    }

    fn floats(mut self, name: &str, dims: &[i64], data: &[f32]) -> File {
        let raw_data = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        let tensor = TensorProto {
            name: name.to_owned(),
            data_type: 1,
            dims: dims.to_vec(),
            raw_data,
            ..Default::default()
        };
        self.graph().initializer.push(tensor);
        self
    }

    fn scalar(self, name: &str, value: f32) -> File {
        self.floats(name, &[], &[value])
    }

    /// Varied numbers.
    fn some(self, name: &str, dims: &[i64]) -> File {
        let count = dims.iter().product::<i64>();
        let data: Vec<f32> = (0..count).map(|i| ((i * 37 % 19) as f32 - 9.0) / 10.0).collect();
        self.floats(name, dims, &data)
    }

    fn ints(mut self, name: &str, data: &[i64]) -> File {
        let tensor = TensorProto {
            name: name.to_owned(),
            data_type: 7,
            dims: vec![data.len() as i64],
            int64_data: data.to_vec(),
            ..Default::default()
        };
        self.graph().initializer.push(tensor);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    /// Imports it and asserts that the graph computes what tract computes of the file, and that it has these operators.
    fn is(&self, operators: &[&str]) -> Imported {
        let read = import(&self.bytes()).unwrap_or_else(|e| panic!("{e}"));
        let kinds: Vec<&str> = read.graph.nodes().iter().map(|n| n.op.kind()).collect();
        assert_eq!(kinds, operators);
        let ty = read.graph.tensor_type(read.graph.inputs()[0].1).unwrap();
        let shape = ty.sizes(2).unwrap();
        let x = Tensor::from_fn(&shape, |i| f64::from((i * 29 % 31) as f32 / 4.0 - 4.0));
        let found = execute(&read.graph, &read.weights, Mode::Inference, std::slice::from_ref(&x)).unwrap();
        let expected = run_in_tract("foreign", &self.bytes(), std::slice::from_ref(&x));
        close("foreign", "import", &found, &expected, 1e-4);
        let again = export(&read.graph, &read.weights, &ExportOptions::default()).unwrap();
        close("foreign", "export", &run_in_tract("foreign, again", &again, &[x]), &expected, 1e-4);
        read
    }

    fn refused(&self) -> ImportError {
        import(&self.bytes()).unwrap_err()
    }
}

fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |n: &i64| Dimension { denotation: String::new(), value: Some(dimension::Value::DimValue(*n)) };
    let shape = Some(TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let tensor = type_proto::Tensor { elem_type: 1, shape };
    let ty = TypeProto { value: Some(Value::TensorType(tensor)), denotation: String::new() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(ty), ..Default::default() }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: 2, i, ..Default::default() }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: 7, ints: ints.to_vec(), ..Default::default() }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: 1, f, ..Default::default() }
}

fn text(name: &str, s: &str) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: 3, s: s.as_bytes().to_vec(), ..Default::default() }
}

/// What is made of a file.
fn kinds(file: &File) -> Vec<String> {
    let read = import(&file.bytes()).unwrap_or_else(|e| panic!("{e}"));
    read.graph.nodes().iter().map(|n| n.op.kind().to_owned()).collect()
}

const MAP: [i64; 4] = [2, 4, 6, 7];

fn map() -> File {
    File::new(17, &MAP)
}

#[test]
fn functions_spelt_out() {
    let file = map()
        .scalar("half", 0.5)
        .scalar("root", 2f32.sqrt())
        .scalar("one", 1.0)
        .scalar("inverse", 0.5f32.sqrt());
    let file = file.scalar("three", 3.0).scalar("zero", 0.0).scalar("six", 6.0).scalar("sixth", 1.0 / 6.0);
    let erf = file
        .clone()
        .node("d = Div(x, root)", vec![])
        .node("e = Erf(d)", vec![])
        .node("s = Add(one, e)", vec![]);
    erf.clone().node("p = Mul(s, x)", vec![]).node("y = Mul(half, p)", vec![]).is(&["Activation"]);
    erf.clone().node("p = Mul(s, half)", vec![]).node("y = Mul(p, x)", vec![]).is(&["Activation"]);
    let erf = file
        .clone()
        .node("d = Mul(inverse, x)", vec![])
        .node("e = Erf(d)", vec![])
        .node("s = Add(e, one)", vec![]);
    erf.node("h = Mul(x, half)", vec![]).node("y = Mul(h, s)", vec![]).is(&["Activation"]);
    let clip = file.clone().node("a = Add(x, three)", vec![]).node("c = Clip(a, zero, six)", vec![]);
    clip.clone().node("y = Div(c, six)", vec![]).is(&["Activation"]);
    clip.clone().node("y = Mul(sixth, c)", vec![]).is(&["Activation"]);
    clip.clone().node("p = Mul(x, c)", vec![]).node("y = Div(p, six)", vec![]).is(&["Activation"]);
    clip.clone().node("h = Div(c, six)", vec![]).node("y = Mul(h, x)", vec![]).is(&["Activation"]);
    let sixth = || vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)];
    let hard = map().node("h = HardSigmoid(x)", sixth());
    hard.clone().node("y = Mul(x, h)", vec![]).is(&["Activation"]);
    // Read twice, the inner value is a value of its own.
    hard.node("p = Mul(x, h)", vec![]).node("y = Add(p, h)", vec![]).is(&[
        "Activation",
        "Arithmetic",
        "Arithmetic",
    ]);
    map().node("s = Sigmoid(x)", vec![]).node("y = Mul(s, x)", vec![]).is(&["Activation"]);
    file.clone().node("y = Clip(x, zero)", vec![]).is(&["Activation"]);
    File::new(9, &MAP).node("y = Clip(x)", vec![float("min", 0.0), float("max", 6.0)]).is(&["Activation"]);
    File::new(20, &MAP).node("y = Gelu(x)", vec![]).is(&["Activation"]);
}

#[test]
fn limits_and_slopes_spelt_out() {
    use lamda_ir::op::Activation;
    let is = |file: File, function: Activation| {
        let read = file.is(&["Activation"]);
        assert_eq!(read.graph.nodes()[0].op, function.into());
    };
    let file = || map().scalar("zero", 0.0).scalar("tenth", 0.1).scalar("six", 6.0);
    let none = f64::INFINITY;
    is(file().node("y = Clip(x, tenth)", vec![]), Activation::Clip { min: 0.1, max: none });
    is(file().node("y = Clip(x, _, six)", vec![]), Activation::Clip { min: -none, max: 6.0 });
    let limits = vec![float("min", -1.0), float("max", f32::MAX)];
    is(File::new(9, &MAP).node("y = Clip(x)", limits), Activation::Clip { min: -1.0, max: none });
    for last in ["y = Min(six, r)", "y = Clip(r, _, six)", "y = Clip(r, zero, six)"] {
        is(file().node("r = Relu(x)", vec![]).node(last, vec![]), Activation::Relu6);
    }
    let above = file().node("r = Relu(x)", vec![]).node("y = Clip(r, tenth, six)", vec![]);
    above.is(&["Activation", "Activation"]);
    let mish = map().node("s = Softplus(x)", vec![]).node("t = Tanh(s)", vec![]);
    is(mish.node("y = Mul(t, x)", vec![]), Activation::Mish);
    is(File::new(18, &MAP).node("y = Mish(x)", vec![]), Activation::Mish);
    for dims in [&[4, 1, 1][..], &[1], &[1, 1, 1], &[1, 4, 1, 1]] {
        map().some("slope", dims).node("y = PRelu(x, slope)", vec![]).is(&["PRelu"]);
    }
    // Before opset 13 a softmax is over all axes from the given one on.
    let old = || File::new(11, &MAP);
    old().node("y = Softmax(x)", vec![int("axis", 3)]).is(&["Softmax"]);
    let pooled = old().node("p = GlobalAveragePool(x)", vec![]).node("s = Softmax(p)", vec![]);
    pooled.node("y = Flatten(s)", vec![]).is(&["GlobalPool", "Softmax"]);
    let read = import(&old().node("y = Softmax(x)", vec![int("axis", 1)]).bytes()).unwrap();
    assert!(matches!(read.graph.nodes()[0].op, lamda_ir::Op::Opaque(_)));
}

#[test]
fn layers_spelt_out() {
    let vector = || File::new(17, &[2, 6]).some("w", &[6, 3]).some("t", &[3, 6]).some("b", &[3]);
    vector().node("m = MatMul(x, w)", vec![]).node("y = Add(b, m)", vec![]).is(&["Linear"]);
    vector().node("y = MatMul(x, w)", vec![]).is(&["Linear"]);
    vector().node("y = Gemm(x, w, b)", vec![]).is(&["Linear"]);
    vector().node("y = Gemm(x, t, b)", vec![int("transB", 1)]).is(&["Linear"]);
    let rows = File::new(17, &[2, 5, 6]).some("w", &[6, 3]).some("b", &[3]);
    rows.node("m = MatMul(x, w)", vec![]).node("y = Add(m, b)", vec![]).is(&["Linear"]);
    let norm = map().some("g", &[4]).some("b", &[4]).some("m", &[4]).floats("v", &[4], &[1.0, 0.5, 2.0, 3.0]);
    let norm = norm.node("n = BatchNormalization(x, g, b, m, v)", vec![float("epsilon", 1e-3)]);
    norm.node("y = Dropout(n)", vec![float("ratio", 0.25)]).is(&["BatchNorm", "Dropout"]);
}

#[test]
fn factors_and_summands_are_folded() {
    let vector = || File::new(17, &[2, 6]).some("w", &[6, 3]).some("b", &[3]);
    let factors = |alpha, beta| vec![float("alpha", alpha), float("beta", beta)];
    vector().node("y = Gemm(x, w, b)", factors(0.5, -2.0)).is(&["Linear"]);
    // One weight with two factors is two weights.
    let both = vector().node("p = Gemm(x, w)", factors(0.5, 1.0)).node("q = Gemm(x, w)", factors(3.0, 1.0));
    both.node("y = Add(p, q)", vec![]).is(&["Linear", "Linear", "Arithmetic"]);
    let conv =
        || map().some("w", &[5, 4, 3, 3]).some("b", &[5]).some("c", &[5, 1, 1]).some("d", &[1, 5, 1, 1]);
    conv().node("m = Conv(x, w)", vec![]).node("y = Add(m, c)", vec![]).is(&["Conv"]);
    conv().node("m = Conv(x, w, b)", vec![]).node("y = Add(d, m)", vec![]).is(&["Conv"]);
    // By position, or of a value that is read again, it is not a bias.
    let rows = conv().some("r", &[4, 1]).node("m = Conv(x, w)", vec![]).node("y = Add(m, r)", vec![]);
    assert_eq!(kinds(&rows), ["Conv", "Parameter", "Add"]);
    let twice = conv().node("m = Conv(x, w)", vec![]).node("a = Add(m, c)", vec![]);
    twice.node("y = Mul(a, m)", vec![]).is(&["Conv", "Conv", "Arithmetic"]);
}

#[test]
fn joins_of_any_number() {
    let three = || map().node("a = Relu(x)", vec![]).node("b = Tanh(x)", vec![]);
    for operator in ["Sum", "Max", "Min"] {
        let joined = three().node(&format!("y = {operator}(a, b, x)"), vec![]);
        joined.is(&["Activation", "Activation", "Arithmetic", "Arithmetic"]);
        map().node(&format!("t = {operator}(x)"), vec![]).node("y = Relu(t)", vec![]).is(&["Activation"]);
    }
    three().node("y = Sum(a, b)", vec![]).is(&["Activation", "Activation", "Arithmetic"]);
}

#[test]
fn transposed_convolutions_spelt_otherwise() {
    // tract refuses SAME for windows that tile.
    let deconv = |attributes: Vec<AttributeProto>| {
        map().some("w", &[4, 3, 3, 4]).some("b", &[3]).node("y = ConvTranspose(x, w, b)", attributes)
    };
    let strides = || ints("strides", &[2, 2]);
    // An odd padding, whose place is certain from opset 11 on.
    for (opset, nodes) in [(10, 3), (11, 1)] {
        let mut file = deconv(vec![strides(), ints("output_shape", &[11, 15])]);
        file.0.opset_import[0].version = opset;
        assert_eq!(kinds(&file).len(), nodes, "{opset}");
    }
    deconv(vec![strides(), ints("output_padding", &[1, 0])]).is(&["ConvTranspose"]);
    let cut = ints("pads", &[1, 0, 1, 0]);
    let read = deconv(vec![strides(), cut, ints("output_padding", &[1, 1])]).is(&["ConvTranspose"]);
    let lamda_ir::Op::ConvTranspose(conv) = &read.graph.nodes()[0].op else { panic!() };
    assert_eq!((conv.window.pads.as_slice(), conv.extra.as_slice()), (&[(1, 0), (0, 0)][..], &[0, 1][..]));
    // A given shape beyond what the windows reach; tract has no word for it.
    let shaped = deconv(vec![ints("strides", &[3, 2]), ints("output_shape", &[19, 13])]).bytes();
    let read = import(&shaped).unwrap().graph;
    let lamda_ir::Op::ConvTranspose(conv) = &read.nodes()[0].op else { panic!() };
    assert_eq!((conv.window.pads.as_slice(), conv.extra.as_slice()), (&[(0, 0), (2, 1)][..], &[1, 0][..]));
    for auto in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        deconv(vec![strides(), text("auto_pad", auto)]).is(&["ConvTranspose"]);
    }
}

#[test]
fn norms_spelt_out() {
    let file = || map().some("g", &[2]).some("h", &[2]).some("w", &[4, 1, 1]).some("b", &[1, 4, 1, 1]);
    let file = || file().ints("split", &[0, 2, -1]).ints("back", &[2, 4, 6, 7]);
    let normed = || {
        let split = file().node("r = Reshape(x, split)", vec![]);
        split.node("n = InstanceNormalization(r, g, h)", vec![float("epsilon", 0.5)])
    };
    normed().node("y = Reshape(n, back)", vec![]).is(&["GroupNorm"]);
    let joined = || normed().node("s = Shape(x)", vec![]).node("j = Reshape(n, s)", vec![]);
    joined().node("m = Mul(w, j)", vec![]).node("y = Add(m, b)", vec![]).is(&["GroupNorm"]);
    let own = |opset: i64, n: i64| {
        let file = File::new(opset, &MAP).some("w", &[n]).some("b", &[n]);
        file.node("y = GroupNormalization(x, w, b)", vec![int("num_groups", 2)])
    };
    own(21, 4).is(&["GroupNorm"]);
    // tract reads the weights of opset 18 as those of 21.
    assert_eq!(import(&own(18, 2).bytes()).unwrap().graph.nodes()[0].op.kind(), "GroupNorm");
    let length = || {
        let reduce = vec![ints("axes", &[1]), int("keepdims", 1)];
        map().scalar("least", 0.5).ints("dims", &MAP).node("l = ReduceL2(x)", reduce)
    };
    let clip = length().node("c = Clip(l, least)", vec![]).node("e = Expand(c, dims)", vec![]);
    clip.node("y = Div(x, e)", vec![]).is(&["L2Norm"]);
    map().node("y = LpNormalization(x)", vec![int("axis", 1), int("p", 2)]).is(&["L2Norm"]);
    map().node("y = LRN(x)", vec![int("size", 3), float("alpha", 0.1)]).is(&["LocalResponseNorm"]);
}

#[test]
fn sequences_that_are_transposed() {
    let file = || File::new(17, &[2, 7, 6]).some("w", &[5, 6, 3]);
    let turn = || vec![ints("perm", &[0, 2, 1])];
    let pool = vec![ints("kernel_shape", &[2])];
    let read = file().node("t = Transpose(x)", turn()).node("c = Conv(t, w)", vec![]);
    let read = read.node("u = Transpose(c)", turn()).node("v = Transpose(u)", turn());
    let read = read.node("p = MaxPool(v)", pool).node("y = Transpose(p)", turn());
    let read = read.is(&["Conv", "MaxPool"]);
    let x = read.graph.tensor_type(read.graph.inputs()[0].1).unwrap();
    assert_eq!(x.layout, lamda_ir::Layout::Sequence);
}

#[test]
fn operators_on_sequences_spelt_out() {
    let rows =
        File::new(13, &[2, 5, 6]).some("m", &[6, 4]).some("w", &[4]).some("b", &[4]).scalar("two", 2.0);
    let rows = rows.scalar("eps", 1e-5).node("h = MatMul(x, m)", vec![]);
    let mean = || vec![ints("axes", &[-1])];
    let norm = rows.clone().node("a = ReduceMean(h)", mean()).node("d = Sub(h, a)", vec![]);
    let norm = norm.node("p = Pow(d, two)", vec![]).node("v = ReduceMean(p)", mean());
    let norm = norm.node("e = Add(v, eps)", vec![]).node("r = Sqrt(e)", vec![]).node("n = Div(d, r)", vec![]);
    let norm = norm.node("s = Mul(n, w)", vec![]).node("y = Add(s, b)", vec![]);
    norm.is(&["Linear", "LayerNorm"]);
    let single = File::new(17, &[2, 4]).some("w", &[4]);
    single.clone().node("y = LayerNormalization(x, w)", vec![]).is(&["LayerNorm"]);
    let table = rows.clone().some("t", &[1, 5, 4]);
    table.clone().node("y = Add(h, t)", vec![]).is(&["Linear", "Position"]);
    table.node("y = Add(t, h)", vec![]).is(&["Linear", "Position"]);
    // A product of two values, and a norm over the steps, which has no operator.
    let square = File::new(17, &[2, 3, 4, 4]).node("y = MatMul(x, x)", vec![]);
    square.is(&["MatMul"]);
    let steps =
        File::new(17, &[2, 5, 6]).some("m", &[6, 4]).some("w", &[5, 4]).node("h = MatMul(x, m)", vec![]);
    let steps = steps.node("y = LayerNormalization(h, w)", vec![int("axis", 1)]);
    assert_eq!(kinds(&steps), ["Linear", "Parameter", "LayerNormalization"]);
}

#[test]
fn constants_by_channel() {
    let file = map().some("c", &[4, 1, 1]).some("d", &[1, 4, 1, 1]).scalar("s", 0.25);
    let one = ["Conv"];
    let read = file.clone().node("m = Sub(x, c)", vec![]).node("y = Div(m, s)", vec![]).is(&["Conv", "Conv"]);
    assert_eq!(read.notes.len(), 2);
    file.clone().node("m = Mul(c, x)", vec![]).node("y = Add(m, d)", vec![]).is(&one);
    file.clone().node("y = Add(s, x)", vec![]).is(&one);
    // One scalar, two widths: the weights must not be shared.
    let both = file.some("w", &[6, 4, 1, 1]).node("a = Mul(x, s)", vec![]).node("c1 = Conv(a, w)", vec![]);
    both.node("y = Mul(c1, s)", vec![]).is(&["Conv", "Conv", "Conv"]);
    let vector = File::new(17, &[2, 6]).some("c", &[6]);
    vector.node("y = Mul(x, c)", vec![]).is(&["BatchNorm"]);
}

#[test]
fn windows_spelt_otherwise() {
    let same = |auto: &str, stride: i64| vec![text("auto_pad", auto), ints("strides", &[stride, stride])];
    for auto in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        for stride in [1, 2, 3] {
            map().some("w", &[5, 4, 3, 2]).node("y = Conv(x, w)", same(auto, stride)).is(&["Conv"]);
            let mut pool = same(auto, stride);
            pool.push(ints("kernel_shape", &[3, 3]));
            map().node("y = AveragePool(x)", pool).is(&["AvgPool"]);
        }
    }
    for (kernel, stride, pad) in [(3, 2, 0), (3, 2, 1), (2, 2, 0), (2, 3, 0), (3, 3, 1), (2, 3, 1)] {
        let window = vec![
            ints("kernel_shape", &[kernel, kernel]),
            ints("strides", &[stride, stride]),
            ints("pads", &[pad, pad, pad, pad]),
            int("ceil_mode", 1),
        ];
        map().node("y = MaxPool(x)", window.clone()).is(&["MaxPool"]);
        map().node("y = AveragePool(x)", window).is(&["AvgPool"]);
    }
}

#[test]
fn pooled_maps_are_vectors() {
    let file =
        map().some("w", &[4, 4, 1, 1]).some("b", &[4]).ints("shape", &[0, -1]).ints("sizes", &[-1, 4, 1, 1]);
    let file = file.ints("two three", &[2, 3]).some("g", &[4, 4]);
    let gap = file.clone().node("p = GlobalAveragePool(x)", vec![]);
    let head = gap.clone().node("c = Conv(p, w, b)", vec![]);
    head.clone().node("y = Flatten(c)", vec![]).is(&["GlobalPool", "Linear"]);
    head.clone().node("y = Reshape(c, shape)", vec![]).is(&["GlobalPool", "Linear"]);
    head.clone().node("y = Squeeze(c, two three)", vec![]).is(&["GlobalPool", "Linear"]);
    let se = head.node("s = Sigmoid(c)", vec![]).node("y = Mul(x, s)", vec![]);
    se.is(&["GlobalPool", "Linear", "Activation", "Arithmetic"]);
    let flat = gap.node("f = Flatten(p)", vec![]).node("l = Gemm(f, g)", vec![]);
    let joined = ["GlobalPool", "Linear", "Arithmetic"];
    flat.clone().node("u = Unsqueeze(l, two three)", vec![]).node("y = Mul(u, x)", vec![]).is(&joined);
    flat.node("u = Reshape(l, sizes)", vec![]).node("y = Mul(u, x)", vec![]).is(&joined);
    let mean = file.clone().node("y = ReduceMean(x)", vec![ints("axes", &[-1, -2]), int("keepdims", 0)]);
    mean.is(&["GlobalPool"]);
    let mean = file.node("m = ReduceMean(x)", vec![ints("axes", &[2, 3])]).node("y = Mul(x, m)", vec![]);
    mean.is(&["GlobalPool", "Arithmetic"]);
}

#[test]
fn moves_spelt_out() {
    let file =
        map().ints("split", &[2, 2, 2, 6, 7]).ints("back", &[2, 4, 6, 7]).ints("flat", &[-1, 2, 2, 42]);
    let turn = |perm: &[i64]| vec![ints("perm", perm)];
    let a =
        file.clone().node("a = Reshape(x, split)", vec![]).node("b = Transpose(a)", turn(&[0, 2, 1, 3, 4]));
    a.node("y = Reshape(b, back)", vec![]).is(&["ChannelShuffle"]);
    let a = file.clone().node("a = Reshape(x, flat)", vec![]).node("b = Transpose(a)", turn(&[0, 2, 1, 3]));
    a.node("y = Reshape(b, back)", vec![]).is(&["ChannelShuffle"]);
    let parts = file.ints("parts", &[1, 3]).node("l, r = Split(x, parts)", vec![int("axis", 1)]);
    let parts = parts.node("y = Concat(r, l)", vec![int("axis", -3)]);
    parts.is(&["ChannelSlice", "ChannelSlice", "Concat"]);
    let slice = map().ints("s", &[-3]).ints("e", &[i64::MAX]).ints("a", &[-3]);
    slice.node("y = Slice(x, s, e, a)", vec![]).is(&["ChannelSlice"]);
    map().ints("i", &[1, 2]).node("y = Gather(x, i)", vec![int("axis", 1)]).is(&["ChannelSlice"]);
    let twice = map().floats("f", &[4], &[1.0, 1.0, 3.0, 3.0]).ints("n", &[2, 4, 18, 21]);
    let floor = || vec![text("coordinate_transformation_mode", "asymmetric"), text("nearest_mode", "floor")];
    twice.clone().node("y = Resize(x, _, f)", floor()).is(&["Upsample"]);
    twice.clone().node("y = Resize(x, _, _, n)", floor()).is(&["Upsample"]);
    twice.clone().node("y = Resize(x, _, f)", vec![]).is(&["Upsample"]);
    let old = File::new(9, &MAP).floats("f", &[4], &[1.0, 1.0, 2.0, 2.0]);
    // tract has no Upsample to compare with.
    let read = import(&old.node("y = Upsample(x, f)", vec![]).bytes()).unwrap();
    assert_eq!(read.graph.nodes()[0].op, lamda_ir::op::Upsample::nearest(vec![2, 2]).into());
}

#[test]
fn resizing_spelt_out() {
    let coordinates =
        |mode: &str, to: &str| vec![text("mode", mode), text("coordinate_transformation_mode", to)];
    let floor = || [coordinates("nearest", "asymmetric"), vec![text("nearest_mode", "floor")]].concat();
    let by = |scales: [f32; 4]| map().floats("f", &[4], &scales);
    let to = |sizes: [i64; 4]| map().ints("n", &sizes);
    let is = |file: File, op: lamda_ir::op::Upsample| {
        assert_eq!(file.is(&["Upsample"]).graph.nodes()[0].op, op.into());
    };
    let op = |sizing: Sizing, mode: Interpolation| Upsample { sizing, mode };
    use lamda_ir::op::{Interpolation, Sizing, Upsample};
    let factors = |h: usize, w: usize| Sizing::Factors(vec![h, w]);
    let sizes = |h: usize, w: usize| Sizing::Sizes(vec![h, w]);
    is(by([1.0, 1.0, 2.0, 3.0]).node("y = Resize(x, _, f)", floor()), Upsample::nearest(vec![2, 3]));
    is(to([2, 4, 9, 7]).node("y = Resize(x, _, _, n)", floor()), op(sizes(9, 7), Interpolation::Nearest));
    // 6 x 1.5 and 7 x 2
    is(
        by([1.0, 1.0, 1.5, 2.0]).node("y = Resize(x, _, f)", coordinates("linear", "half_pixel")),
        op(sizes(9, 14), Interpolation::Linear),
    );
    is(
        by([1.0, 1.0, 2.0, 2.0]).node("y = Resize(x, _, f)", coordinates("linear", "pytorch_half_pixel")),
        op(factors(2, 2), Interpolation::Linear),
    );
    is(
        to([2, 4, 3, 4]).node("y = Resize(x, _, _, n)", coordinates("linear", "align_corners")),
        op(sizes(3, 4), Interpolation::Corners),
    );
    let axes = [floor(), vec![ints("axes", &[3, -2])]].concat();
    let file = File::new(18, &MAP).ints("n", &[7, 9]).node("y = Resize(x, _, _, n)", axes);
    let read = import(&file.bytes()).unwrap();
    assert_eq!(read.graph.nodes()[0].op, op(sizes(9, 7), Interpolation::Nearest).into());
    for file in [
        by([1.0, 1.0, 2.0, 2.0]).node("y = Resize(x, _, f)", coordinates("linear", "asymmetric")),
        by([1.0, 1.0, 2.0, 2.0]).node("y = Resize(x, _, f)", coordinates("cubic", "half_pixel")),
        by([1.0, 2.0, 2.0, 2.0]).node("y = Resize(x, _, f)", floor()),
        to([2, 4, 1, 7]).node("y = Resize(x, _, _, n)", coordinates("linear", "pytorch_half_pixel")),
        to([2, 4, 9, 7]).node("y = Resize(x, _, _, n)", vec![]),
    ] {
        assert_eq!(kinds(&file)[1], "Resize");
    }
}

#[test]
fn reshapes_that_move_the_batch_are_not_taken_for_flatten() {
    for target in [vec![1, -1], vec![4, -1], vec![-1, 84], vec![0, 0, -1], vec![2, 4, 7, 6]] {
        map().ints("t", &target).node("y = Reshape(x, t)", vec![]).is(&["Reshape"]);
    }
    for target in [vec![-1, -1], vec![5, -1], vec![0, 5], vec![0, 0, 0, 0, 0], vec![-2, 84]] {
        let file = map().ints("t", &target).node("y = Reshape(x, t)", vec![]);
        let read = import(&file.bytes()).unwrap();
        let kinds: Vec<&str> = read.graph.nodes().iter().map(|n| n.op.kind()).collect();
        assert_eq!(kinds, ["Constant", "Reshape"], "{target:?}");
    }
}

#[test]
fn axes_are_moved_as_exporters_write_it() {
    // What flattens the positions of a map, and back.
    let file = map().ints("t", &[0, 4, -1]).node("a = Reshape(x, t)", vec![]);
    let file = file.node("b = Transpose(a)", vec![ints("perm", &[0, 2, 1])]).some("w", &[4, 3]);
    let file = file.node("c = MatMul(b, w)", vec![]);
    file.clone().node("y = Relu(c)", vec![]).is(&["Tokens", "Linear", "Activation"]);
    let file = file.ints("u", &[2, 3, 6, 7]).node("d = Transpose(c)", vec![ints("perm", &[0, 2, 1])]);
    let file = file.node("e = Reshape(d, u)", vec![]);
    file.node("y = Relu(e)", vec![]).is(&["Tokens", "Linear", "Grid", "Activation"]);
    // Channels last at both rims.
    let file = File::new(17, &[2, 6, 7, 4]).node("a = Transpose(x)", vec![ints("perm", &[0, 3, 1, 2])]);
    let file = file.some("w", &[5, 4, 3, 3]).node("b = Conv(a, w)", vec![]);
    let read = file.node("y = Transpose(b)", vec![ints("perm", &[0, 2, 3, 1])]).is(&[
        "Transpose",
        "Conv",
        "Transpose",
    ]);
    assert_eq!(read.graph.tensor_type(read.graph.inputs()[0].1).unwrap().layout, Layout::Plain);
    // A convolution over what a reshape made, and a product over what a convolution made.
    let file = map().ints("t", &[2, 8, 21]).node("a = Reshape(x, t)", vec![]).some("w", &[3, 8, 3]);
    let file = file.node("b = Conv(a, w)", vec![]).some("v", &[19, 5]);
    file.node("y = MatMul(b, v)", vec![]).is(&["Reshape", "Reinterpret", "Conv", "Reinterpret", "Linear"]);
    // Positions cut off, one side each.
    let file = map().ints("s", &[-5, 1]).ints("e", &[i64::MAX, -1]).ints("axes", &[2, 3]);
    file.node("y = Slice(x, s, e, axes)", vec![]).is(&["Crop"]);
    let file = map().ints("one", &[1]);
    file.node("d = Unsqueeze(x, one)", vec![])
        .node("y = Squeeze(d, one)", vec![])
        .is(&["Reshape", "Reshape"]);
    let file = map().ints("p", &[0, 0, 1, 0, 0, 0, 0, 2]);
    file.node("y = Pad(x, p)", vec![text("mode", "reflect")]).is(&["Pad"]);
    map().node("y = ReduceMean(x)", vec![ints("axes", &[2])]).is(&["AxisMean"]);
    map().node("y = DepthToSpace(x)", vec![int("blocksize", 2), text("mode", "CRD")]).is(&["DepthToSpace"]);
}

#[test]
fn other_operators_are_carried() {
    let file = map()
        .node("a = Celu(x)", vec![])
        .node("b, i = TopK2(a, x)", vec![float("f", 0.5), ints("n", &[1, -1])]);
    let mut file = file.node("y = Add(a, b)", vec![]);
    file.graph().node[1].domain = "org.example".to_owned();
    file.0.opset_import.push(OperatorSetIdProto { domain: "org.example".to_owned(), version: 1 });
    let read = import(&file.bytes()).unwrap();
    let kinds: Vec<&str> = read.graph.nodes().iter().map(|n| n.op.kind()).collect();
    assert_eq!(kinds, ["Celu", "TopK2", "Add"]);
    let again = export(&read.graph, &read.weights, &ExportOptions::default()).unwrap();
    let twice = import(&again).unwrap();
    let ops = |r: &Imported| r.graph.nodes().iter().map(|n| n.op.clone()).collect::<Vec<_>>();
    assert_eq!(ops(&read), ops(&twice));
    assert_eq!(read.graph.opsets(), [(String::new(), 17), ("org.example".to_owned(), 1)]);
    assert_eq!(twice.graph.opsets(), read.graph.opsets());
}

#[test]
fn what_no_output_depends_on_is_left_out() {
    let read = map().node("a = Celu(x)", vec![]).node("b = Tan(x)", vec![]).node("y = Relu(a)", vec![]);
    let read = import(&read.bytes()).unwrap();
    let kinds: Vec<&str> = read.graph.nodes().iter().map(|n| n.op.kind()).collect();
    assert_eq!(kinds, ["Celu", "Activation"]);
}

#[test]
fn functions_of_other_types_are_carried() {
    let mut file = map().node("y = Sqrt(x)", vec![]);
    let Some(Value::TensorType(t)) = &mut file.graph().input[0].r#type.as_mut().unwrap().value else {
        panic!()
    };
    t.elem_type = 11;
    let read = import(&file.bytes()).unwrap();
    assert_eq!(read.graph.nodes()[0].op.kind(), "Sqrt");
    assert!(export(&read.graph, &read.weights, &ExportOptions::default()).is_ok());
}

#[test]
fn what_has_no_word_is_carried_with_its_constants() {
    let file = map().some("slope", &[4, 1, 1]).some("r", &[4, 4]).some("w", &[4, 4, 1, 1]).ints("p", &[1; 8]);
    let file = file.node("a = Pow(x, slope)", vec![]).node("b = Conv(a, w)", vec![]);
    let file =
        file.node("c = Pad(b, p)", vec![]).node("y = Einsum(c, r)", vec![text("equation", "nchw,cd->ndhw")]);
    let read = import(&file.bytes()).unwrap();
    let kinds: Vec<&str> = read.graph.nodes().iter().map(|n| n.op.kind()).collect();
    assert_eq!(kinds, ["Parameter", "Pow", "Conv", "Constant", "Pad", "Parameter", "Einsum"]);
    let stored: Vec<&str> = read.weights.iter().map(|(name, _)| name).collect();
    assert_eq!(stored, ["Conv_1.weight", "r.value", "slope.value"]);
}

#[test]
fn unsound_files_are_named() {
    let relu = || map().node("y = Relu(x)", vec![]);
    let mut file = relu();
    file.0.opset_import[0].version = 0;
    assert!(matches!(file.refused(), ImportError::Opset { found: 0 }));
    file.0.opset_import.clear();
    assert!(matches!(file.refused(), ImportError::Opset { found: 0 }));
    file.0.graph = None;
    assert!(matches!(file.refused(), ImportError::Malformed { .. }));
    let mut file = relu().some("w", &[3]);
    file.graph().initializer[0].data_location = Some(1);
    assert!(matches!(file.refused(), ImportError::ExternalData { name } if name == "w"));
    let file = relu().node("z = Relu(nothing)", vec![]);
    assert!(matches!(file.refused(), ImportError::Dangling { value, .. } if value == "nothing"));
    let file = map().node("y = Add(x, z)", vec![]).node("z = Relu(y)", vec![]);
    assert!(matches!(file.refused(), ImportError::Cycle { .. }));
    for twice in
        [relu().node("y = Tanh(x)", vec![]), relu().some("x", &[1]).some("x", &[1]), relu().some("y", &[1])]
    {
        assert!(matches!(twice.refused(), ImportError::Duplicate { .. }));
    }
    for dims in [[2, i64::MAX, 4, 4], [2, 1 << 30, 1 << 30, 4], [2, -7, 4, 4]] {
        assert!(matches!(
            File::new(17, &dims).node("y = Relu(x)", vec![]).refused(),
            ImportError::Type { .. }
        ));
    }
    let mut file = map().floats("w", &[1 << 40, 1 << 40, 3, 3], &[1.0]).node("y = Conv(x, w)", vec![]);
    assert!(matches!(file.refused(), ImportError::Tensor { name, .. } if name == "w"));
    file.graph().initializer[0].dims = vec![-1, 4, 1, 1];
    assert!(matches!(file.refused(), ImportError::Tensor { name, .. } if name == "w"));
    for (strides, expected) in
        [(vec![1, -1], "negative"), (vec![1], "entries"), (vec![1, i64::MAX], "larger")]
    {
        let file = map().some("w", &[4, 4, 1, 1]).node("y = Conv(x, w)", vec![ints("strides", &strides)]);
        assert!(matches!(file.refused(), ImportError::Node { reason, .. } if reason.contains(expected)));
    }
    let wide = map().some("w", &[4, 3, 1, 1]).node("y = Conv(x, w)", vec![]).refused();
    assert!(matches!(wide, ImportError::Node { reason, .. } if reason.contains("[4, 4, 1, 1] are needed")));
}

#[test]
fn weights_are_not_made_larger_than_the_file() {
    let file = File::new(17, &[1, 1 << 38, 1, 1]).scalar("s", 2.0).node("y = Mul(x, s)", vec![]);
    assert!(matches!(file.refused(), ImportError::Node { .. }));
}

#[test]
fn other_versions_and_element_types_are_carried() {
    for opset in [1, 6, 99] {
        let mut file = File::new(opset, &MAP).node("y = Relu(x)", vec![]);
        let kind = |file: &File| import(&file.bytes()).unwrap().graph.nodes()[0].op.clone();
        assert_eq!(kind(&file), lamda_ir::op::Opaque::new("Relu", 1).into(), "{opset}");
        file.0.opset_import[0].version = 17;
        assert_eq!(kind(&file), lamda_ir::op::Activation::Relu.into());
    }
    let mut file = map().floats("w", &[4, 4, 1, 1], &[0.5; 8]).node("y = Conv(x, w)", vec![]);
    file.graph().initializer[0].data_type = 10;
    let read = import(&file.bytes()).unwrap();
    let kinds: Vec<&str> = read.graph.nodes().iter().map(|n| n.op.kind()).collect();
    assert_eq!(kinds, ["Parameter", "Conv"]);
    assert_eq!(read.weights.iter_raw().next().unwrap().1.dtype(), lamda_ir::DType::F16);
}

#[test]
fn bodies_read_from_around_them() {
    let body = |input: &str| GraphProto {
        node: vec![NodeProto {
            op_type: "Relu".to_owned(),
            input: vec![input.to_owned()],
            output: vec!["inner".to_owned()],
            ..Default::default()
        }],
        input: vec![value("own", &MAP)],
        output: vec![value("inner", &MAP)],
        ..Default::default()
    };
    for (input, captures) in [("x", vec![0]), ("own", vec![]), ("a", vec![1])] {
        let attribute =
            AttributeProto { name: "body".to_owned(), r#type: 5, g: Some(body(input)), ..Default::default() };
        let file = map().node("a = Relu(x)", vec![]).node("y = Scan(x)", vec![attribute]);
        let read = import(&file.bytes()).unwrap();
        let Op::Opaque(scan) = &read.graph.nodes().last().unwrap().op else { panic!() };
        let (_, sub) = scan.subgraphs().next().unwrap();
        assert_eq!(sub.captures, captures, "{input}");
        assert_eq!(sub.own_inputs(), 1);
        assert_eq!(sub.graph.nodes()[0].op.kind(), "Activation");
    }
    let attribute =
        AttributeProto { name: "body".to_owned(), r#type: 5, g: Some(body("z")), ..Default::default() };
    let file = map().node("y = Scan(x)", vec![attribute]);
    assert!(matches!(file.refused(), ImportError::Dangling { value, .. } if value == "z"));
}

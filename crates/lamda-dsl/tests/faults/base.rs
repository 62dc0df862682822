//! Sound models to put faults into: the corpus, and random ones that are sound by the way they are made.

use lamda_dsl::syntax::{Module, StmtKind, StmtPath};
use lamda_dsl::{check, parse, print};
use lamda_ir::{Dim, Graph, Layout, TensorType};
use std::path::Path;

/// Numbers that follow from a seed (splitmix64).
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// A sound model, and what flows through its statements.
pub(crate) struct Base {
    pub(crate) module: Module,
    pub(crate) graph: Graph,
    /// Every statement.
    pub(crate) stmts: Vec<StmtPath>,
    /// Statements that are one operator of one node, run at least once, with what enters and what leaves the first run.
    pub(crate) run: Vec<(StmtPath, TensorType, TensorType)>,
}

impl Base {
    /// Of a text that must check, in the printer's form.
    fn new(name: &str, text: &str) -> Base {
        let text = print(&parse(text).0);
        let checked = check(&text);
        let faults: Vec<_> = checked.diagnostics.iter().filter(|d| d.is_error()).collect();
        assert!(faults.is_empty(), "{name} is sound, and is refused: {faults:?}\n{text}");
        let graph = checked.graph().unwrap().clone();
        let mut run: Vec<(StmtPath, TensorType, TensorType)> = Vec::new();
        for ((_, node), origin) in graph.iter().zip(checked.origins()) {
            // What turns an input round stands in no statement.
            let Some(stmt) = checked.module.stmt(&origin.stmt) else { continue };
            let plain =
                stmt.call().is_some_and(|c| c.bodies.is_empty() && !c.is_foreign() && c.name.text != "se");
            let types = (node.inputs.first().and_then(|v| graph.tensor_type(*v)), node.outputs.first());
            let (Some(from), Some(to)) = types else { continue };
            let Some(to) = graph.tensor_type(*to) else { continue };
            if plain && !run.iter().any(|r| r.0 == origin.stmt) {
                run.push((origin.stmt.clone(), from.clone(), to.clone()));
            }
        }
        Base { stmts: checked.module.stmt_paths(), module: checked.module, graph, run }
    }

    /// The operators whose call fits.
    pub(crate) fn calls(&self, fits: impl Fn(&str) -> bool) -> Vec<StmtPath> {
        let named = |p: &&StmtPath| matches!(&self.module.stmt(p).unwrap().kind, StmtKind::Call(c) if fits(&c.name.text));
        self.stmts.iter().filter(named).cloned().collect()
    }

    /// The statements that make a value of some layouts.
    pub(crate) fn makes(&self, layouts: &[Layout]) -> Vec<(StmtPath, TensorType)> {
        let fits = self.run.iter().filter(|r| layouts.contains(&r.2.layout));
        fits.map(|(p, _, to)| (p.clone(), to.clone())).collect()
    }
}

/// The corpus, the smaller models more often, and `random` others.
pub(crate) fn bases(random: u64) -> Vec<Base> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/good");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let mut all: Vec<Base> = paths
        .iter()
        .map(|p| Base::new(&p.display().to_string(), &std::fs::read_to_string(p).unwrap()))
        // Where axes are moved a fault shows as one of the operators behind it; those have files in corpus/bad.
        .filter(|base| !base.graph.nodes().iter().any(|n| moves(&n.op)))
        .collect();
    all.extend((0..random).map(|seed| Base::new("random", &text(&mut Rng(seed)))));
    all
}

/// A network that is sound: every piece takes a map of any size and gives one of even channels.
fn text(rng: &mut Rng) -> String {
    let mut out = String::from(
        "let wide = 12\nblock unit(c, s=1, act=relu) {\n  skip proj { conv c k=3 s=s; bn; act; conv c; bn }\n  act\n}\n\
         block narrow(e=2) { skip? { conv c_in*e; bn; silu; dwconv; conv c_in } }\n",
    );
    let size = [12, 16, 20][rng.below(3)];
    out += &format!(
        "model net(x: f32[N, 4, {size}, {size}], extra: f32[N, 5]) -> y {{\n  stem: conv wide k=3; bn; relu\n  body:\n"
    );
    out += "    unit 8; narrow\n";
    for i in 0..2 + rng.below(4) {
        out += &piece(rng, i);
    }
    out += "  head: conv 16; bn; relu; gap; cat @extra; linear 32; relu; linear 10\n}\n";
    out
}

fn piece(rng: &mut Rng, i: usize) -> String {
    let c = 4 * (1 + rng.below(6));
    let k = [1, 3, 5][rng.below(3)];
    let inner = ["bn; relu", "dwconv; bn", "silu; dwconv k=5", "se w=2", "narrow e=1"][rng.below(5)];
    match rng.below(11) {
        0 => format!("    conv {c} k={k}; bn; relu\n"),
        1 => format!("    unit {c}\n"),
        2 => format!("    unit [{c}, {c}] s=[1, 1]\n"),
        3 => format!("    repeat 3 {{ conv [{c}, 8, 8] k={k}; bn; {inner} }}\n"),
        4 => format!("    skip {{ {inner} }}; relu\n"),
        5 => format!("    cat {{ conv {c} }} {{ dwconv; {inner} }}; conv {c} g=2\n"),
        6 => format!("    as t{i}; {inner}; conv {c} k={k}; cat @t{i}; conv {c}\n"),
        7 => format!("    add {{ conv {c} k={k} }} {{ conv {c}; {inner} }}\n"),
        8 => "    mul { } { gap; linear c_in; sigmoid }\n".to_owned(),
        9 => format!("    l{i}: {{ maxpool 2; conv {c}; narrow e=2 }}\n"),
        _ => format!("    upsample 2; avgpool 2; conv {c} p=0; shuffle 2; groupnorm 2\n"),
    }
}

/// The channels and the smallest spatial axis of a value, where both are numbers.
pub(crate) fn sizes(ty: &TensorType) -> Option<(usize, usize)> {
    let spatial: Option<Vec<usize>> = ty.spatial().iter().map(|d: &Dim| d.known()).collect();
    Some((ty.channels()?, spatial?.into_iter().min()?))
}

fn moves(op: &lamda_ir::Op) -> bool {
    use lamda_ir::Op;
    matches!(
        op,
        Op::Transpose(_) | Op::Reshape(_) | Op::Reinterpret(_) | Op::Tokens(_) | Op::Grid(_) | Op::Cast(_)
    )
}

//! One fault of each kind, put into a sound model at a random place.

use super::base::{Base, Rng, sizes};
use lamda_dsl::syntax::*;
use lamda_dsl::table;
use lamda_ir::{Code, Layout};

/// A model with a fault.
pub(crate) struct Faulty {
    pub(crate) module: Module,
    pub(crate) place: Place,
}

/// Where the fault must be shown.
pub(crate) enum Place {
    /// At a statement.
    Stmt(StmtPath),
    /// At the header of the model or of a block, or at a definition.
    Item(usize),
    /// At any statement: what enters is wrong and the first that takes it says so, or a sum is and a call says so.
    Anywhere,
}

/// Puts a fault in, when the model has a place for it.
pub(crate) type Inject = fn(&Base, &mut Rng) -> Option<Faulty>;

/// Every kind, the code that it must have, and how it is put in.
pub(crate) const KINDS: &[(&str, Code, Inject)] = &[
    ("unknown operator", Code::UnknownOperator, unknown_operator),
    ("unknown argument", Code::UnknownArgument, unknown_argument),
    ("two plain arguments", Code::BadArgument, two_plain),
    ("an argument too few", Code::BadArgument, missing),
    ("an argument twice", Code::BadArgument, twice),
    ("a join of one value", Code::Arity, lonely_join),
    ("a join of different shapes", Code::JoinShapes, join_shapes),
    ("a kernel larger than its input", Code::KernelTooLarge, kernel),
    ("groups that do not divide", Code::Groups, groups),
    ("a stride on an axis of 1", Code::StrideOnUnit, stride),
    ("no channels", Code::BadWidth, |b, r| width(b, r, 0)),
    ("too many channels", Code::BadWidth, |b, r| width(b, r, 65_537)),
    ("a wrong kind of value", Code::WrongLayout, layout),
    ("a wrong number of sizes", Code::WrongLayout, axes),
    ("a wrong element type", Code::WrongDType, dtype),
    ("a value that is dropped", Code::Unused, dropped),
    ("a name that is not used", Code::Unused, |b, r| after(b, r, vec![tap("never")], 0)),
    ("an input that is not used", Code::Unused, unused_input),
    ("a parameter that is not used", Code::Unused, unused_parameter),
    ("a block that is not used", Code::Unused, unused_block),
    ("a number that is not used", Code::Unused, unused_let),
    ("a name that is not known", Code::UnknownName, unknown_name),
    ("a name that is taken", Code::NameTaken, taken),
    ("a block that calls itself", Code::Recursion, recursion),
    ("too many turns", Code::Expansion, expansion),
    ("a list of another length than the turns", Code::ListLength, list_in_repeat),
    ("a list on an operator", Code::ListLength, list_on_operator),
];

fn tap(name: &str) -> Stmt {
    Stmt::new(StmtKind::Tap(vec![name.into()]))
}

fn call(text: &str) -> Call {
    Call::new(text)
}

/// Puts statements behind a statement that runs; the fault is at one of them.
fn behind(base: &Base, path: &StmtPath, stmts: Vec<Stmt>, at: u32) -> Option<Faulty> {
    let mut module = base.module.clone();
    let mut place = path.clone();
    place.steps.last_mut()?.1 += 1;
    let (body, index) = module.slot_mut(&place)?;
    body.stmts.splice(index..index, stmts);
    place.steps.last_mut()?.1 += at;
    Some(Faulty { module, place: Place::Stmt(place) })
}

fn after(base: &Base, rng: &mut Rng, stmts: Vec<Stmt>, at: u32) -> Option<Faulty> {
    let run: Vec<StmtPath> = base.run.iter().map(|r| r.0.clone()).collect();
    behind(base, &some(rng, &run)?, stmts, at)
}

fn changed(base: &Base, path: &StmtPath, change: impl FnOnce(&mut Call) -> Option<()>) -> Option<Faulty> {
    let mut module = base.module.clone();
    change(module.stmt_mut(path)?.call_mut()?)?;
    Some(Faulty { module, place: Place::Stmt(path.clone()) })
}

fn some<T>(rng: &mut Rng, of: &[T]) -> Option<T>
where
    T: Clone,
{
    if of.is_empty() { None } else { Some(rng.pick(of).clone()) }
}

/// A word with one letter left out, doubled or changed, or with two of them in another order.
fn typo(word: &str, rng: &mut Rng) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let at = rng.below(letters.len());
    match rng.below(4) {
        0 => drop(letters.remove(at)),
        1 => letters.insert(at, letters[at]),
        2 if at > 0 => letters.swap(at - 1, at),
        _ => letters[at] = 'z',
    }
    letters.into_iter().collect()
}

fn is_word(base: &Base, word: &str) -> bool {
    let named = |i: &Item| match i {
        Item::Block(b) => b.name.text == word || b.params.iter().any(|p| p.name.text == word),
        _ => false,
    };
    table::operator(word).is_some()
        || table::alias(word).is_some()
        || table::KEYWORDS.contains(&word)
        || base.module.items.iter().any(named)
}

fn unknown_operator(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    // Joins keep their words: braces behind an unknown word are another fault.
    let path = some(rng, &base.calls(|n| n.len() >= 4 && table::operator(n).is_some_and(|o| !o.is_join())))?;
    changed(base, &path, |call| {
        let wrong = typo(&call.name.text, rng);
        (!is_word(base, &wrong)).then(|| call.name = Name::from(wrong.as_str()))
    })
}

fn unknown_argument(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let path = some(rng, &base.calls(|n| table::operator(n).is_some()))?;
    changed(base, &path, |call| {
        let op = table::operator(&call.name.text)?;
        let named: Vec<&table::ArgSpec> = op.named.iter().collect();
        let key = match some(rng, &named) {
            Some(arg) => typo(&format!("{}{}", arg.name, ["", "s", "z"][rng.below(3)]), rng),
            None => "width".to_owned(),
        };
        let known = op.arg(&key).is_some() || table::ARGUMENT_ALIASES.iter().any(|a| a.0 == key);
        let free = !known && !key.is_empty() && key != "q" && !table::KEYWORDS.contains(&key.as_str());
        free.then(|| call.args.push(Arg::named(&key, 3)))
    })
}

fn two_plain(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let path =
        some(rng, &base.calls(|n| matches!(n, "conv" | "linear" | "maxpool" | "avgpool" | "shuffle")))?;
    changed(base, &path, |call| {
        call.plain(0)?;
        call.args.insert(1, Arg::plain(3));
        Some(())
    })
}

fn missing(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let needs = |n: &str| {
        table::operator(n)
            .and_then(|o| o.plain.as_ref())
            .is_some_and(|p| p.default == table::ArgDefault::Required)
    };
    let path = some(rng, &base.calls(|n| needs(n) && n != "upsample" && n != "param" && n != "const"))?;
    changed(base, &path, |call| {
        call.plain(0)?;
        call.args.retain(|a| a.name.is_some());
        Some(())
    })
}

fn twice(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let path = some(rng, &base.calls(|n| n == "conv" || n == "dwconv"))?;
    changed(base, &path, |call| {
        call.unset("d");
        call.args.push(Arg::named("d", 1));
        call.args.push(Arg::named("d", 2));
        Some(())
    })
}

fn lonely_join(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let join = *rng.pick(&["add", "mul", "cat", "max", "sub"]);
    after(base, rng, vec![call(join).branch(vec![call("relu").into()]).into()], 0)
}

fn join_shapes(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let (path, ty) = some(rng, &base.makes(&[Layout::Map, Layout::Signal]))?;
    let c = ty.channels()?;
    let widen = || vec![call("conv").arg(Arg::plain(c + 2)).into()];
    // An axis of 1 stretches, and a skip does not.
    let stmt = match rng.below(3) {
        0 | 1 if c == 1 => return None,
        0 => call("add").branch(Vec::new()).branch(widen()).into(),
        1 => call("mul").branch(widen()).branch(Vec::new()).into(),
        _ => Stmt::new(StmtKind::Skip(Skip { kind: SkipKind::Exact, body: Body::new(widen()) })),
    };
    behind(base, &path, vec![stmt], 0)
}

fn kernel(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let (path, ty) = some(rng, &base.makes(&[Layout::Map, Layout::Signal]))?;
    let (_, size) = sizes(&ty)?;
    let made = match rng.below(3) {
        0 => call("conv").arg(Arg::plain(8)).arg(Arg::named("k", size + 1 + rng.below(3))),
        1 => call("maxpool").arg(Arg::plain(size + 1)).arg(Arg::named("s", 1)),
        _ => call("dwconv").arg(Arg::named("k", size + 2)),
    };
    behind(base, &path, vec![made.arg(Arg::named("p", 0)).into()], 0)
}

fn groups(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let (path, ty) = some(rng, &base.makes(&[Layout::Map, Layout::Signal]))?;
    let g = ty.channels()? + 1 + rng.below(3);
    let made = match rng.below(4) {
        0 => call("conv").arg(Arg::plain(8)).arg(Arg::named("g", g)),
        1 => call("shuffle").arg(Arg::plain(g)),
        2 => call("groupnorm").arg(Arg::plain(g)),
        _ => call("part").arg(Arg::plain(0)).arg(Arg::named("of", g)),
    };
    behind(base, &path, vec![made.into()], 0)
}

fn stride(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let (path, ty) = some(rng, &base.makes(&[Layout::Map, Layout::Signal]))?;
    sizes(&ty)?;
    let all: Vec<u32> = ty.spatial().iter().filter_map(|d| d.known()).map(|n| n as u32).collect();
    let k = if all.len() == 1 { Value::from(all[0] as usize) } else { Value::Size(all) };
    let pool = call("avgpool").arg(Arg::plain(k)).arg(Arg::named("s", 1)).arg(Arg::named("p", 0));
    let made = match rng.below(3) {
        0 => call("conv").arg(Arg::plain(8)).arg(Arg::named("k", 3)).arg(Arg::named("s", 2)),
        1 => call("maxpool").arg(Arg::plain(2)),
        _ => call("dwconv").arg(Arg::named("s", 3)),
    };
    behind(base, &path, vec![pool.into(), made.into()], 1)
}

fn width(base: &Base, rng: &mut Rng, c: usize) -> Option<Faulty> {
    let run: Vec<StmtPath> = base.run.iter().map(|r| r.0.clone()).collect();
    let path = some(rng, &run)?;
    changed(base, &path, |call| {
        matches!(call.name.text.as_str(), "conv" | "linear" | "deconv" | "lstm" | "gru" | "embedding")
            .then_some(())?;
        *call.plain_mut(0)? = c.into();
        Some(())
    })
}

fn layout(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let all = [Layout::Map, Layout::Vector, Layout::Sequence];
    let (path, ty) = some(rng, &base.makes(&all))?;
    let made = match ty.layout {
        Layout::Map => match rng.below(2) {
            0 => call("lstm").arg(Arg::plain(8)),
            _ => call("attention"),
        },
        Layout::Vector => match rng.below(3) {
            0 => call("conv").arg(Arg::plain(8)).arg(Arg::named("k", 3)),
            1 => call("maxpool").arg(Arg::plain(2)),
            _ => call("gap"),
        },
        _ => call("upsample").arg(Arg::plain(2)),
    };
    behind(base, &path, vec![made.into()], 0)
}

fn axes(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let (path, _) = some(rng, &base.makes(&[Layout::Map]))?;
    let made = match rng.below(2) {
        0 => call("conv").arg(Arg::plain(8)).arg(Arg::named("k", Value::Size(vec![3, 1, 1]))),
        _ => call("maxpool").arg(Arg::plain(Value::Size(vec![2, 2, 2]))),
    };
    behind(base, &path, vec![made.into()], 0)
}

fn dtype(base: &Base, _: &mut Rng) -> Option<Faulty> {
    // What is carried from ONNX takes what it gets.
    if base.stmts.iter().any(|p| base.module.stmt(p).and_then(Stmt::call).is_some_and(Call::is_foreign)) {
        return None;
    }
    let mut module = base.module.clone();
    let ty = &mut model(&mut module)?.inputs.first_mut()?.ty;
    let float = ty.dtype.text == "f32";
    ty.dtype = if float { "i32".into() } else { "f32".into() };
    Some(Faulty { module, place: Place::Anywhere })
}

fn model(module: &mut Module) -> Option<&mut Model> {
    module.items.iter_mut().find_map(|i| match i {
        Item::Model(m) => Some(m),
        _ => None,
    })
}

fn dropped(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let top: Vec<StmtPath> = base.run.iter().map(|r| r.0.clone()).filter(|p| in_model(base, p)).collect();
    let path = some(rng, &top)?;
    let first = base.module.model()?.inputs.first()?.name.text.clone();
    // A value that has a name is not dropped.
    let mut next = path.clone();
    next.steps.last_mut()?.1 += 1;
    let follows = base.module.stmt(&next).map(|s| &s.kind);
    if matches!(follows, Some(StmtKind::Tap(_) | StmtKind::Ref(_))) {
        return None;
    }
    behind(base, &path, vec![Stmt::new(StmtKind::Ref(first.as_str().into()))], 0)
}

fn in_model(base: &Base, path: &StmtPath) -> bool {
    matches!(base.module.items.get(path.item as usize), Some(Item::Model(_)))
}

fn unused_input(base: &Base, _: &mut Rng) -> Option<Faulty> {
    let mut module = base.module.clone();
    let model = model(&mut module)?;
    let mut input = model.inputs.first()?.clone();
    input.name = "idle".into();
    input.external = None;
    model.inputs.push(input);
    let item = base.module.items.iter().position(|i| matches!(i, Item::Model(_)))?;
    Some(Faulty { module, place: Place::Item(item) })
}

fn unused_parameter(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let mut module = base.module.clone();
    let blocks: Vec<usize> =
        (0..module.items.len()).filter(|&i| matches!(module.items[i], Item::Block(_))).collect();
    let item = some(rng, &blocks)?;
    let Item::Block(block) = &mut module.items[item] else { return None };
    block.params.push(Param { name: "idle".into(), default: Some(1.into()) });
    Some(Faulty { module, place: Place::Item(item) })
}

fn unused_block(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let mut module = base.module.clone();
    let item = rng.below(module.items.len());
    let block = Block {
        trivia: Trivia::default(),
        name: "idle".into(),
        params: Vec::new(),
        body: Body::new(vec![call("relu").into()]),
    };
    module.items.insert(item, Item::Block(block));
    Some(Faulty { module, place: Place::Item(item) })
}

fn unused_let(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let mut module = base.module.clone();
    let item = rng.below(module.items.len());
    let number = Let { trivia: Trivia::default(), name: "idle".into(), value: 3.into() };
    module.items.insert(item, Item::Let(number));
    Some(Faulty { module, place: Place::Item(item) })
}

fn unknown_name(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    if rng.below(2) == 0 {
        let cat = Call { args: vec![Arg::plain(Value::Ref("nowhere".into()))], ..call("cat") };
        return after(base, rng, vec![cat.into()], 0);
    }
    after(base, rng, vec![call("conv").arg(Arg::plain(Value::name("nowhere"))).into()], 0)
}

fn taken(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let top: Vec<StmtPath> = base.run.iter().map(|r| r.0.clone()).filter(|p| in_model(base, p)).collect();
    let path = some(rng, &top)?;
    let input = base.module.model()?.inputs.first()?.name.text.clone();
    behind(base, &path, vec![tap(&input)], 0)
}

fn recursion(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let inner: Vec<StmtPath> = base.stmts.iter().filter(|p| !in_model(base, p)).cloned().collect();
    let path = some(rng, &inner)?;
    let Item::Block(block) = &base.module.items[path.item as usize] else { return None };
    let mut again = call(&block.name.text);
    for param in &block.params {
        again.args.push(Arg::named(&param.name.text, Value::name(&param.name.text)));
    }
    behind(base, &path, vec![again.into()], 0)
}

fn expansion(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let repeat = |n: usize, stmts: Vec<Stmt>| {
        Stmt::new(StmtKind::Repeat(Repeat { count: n.into(), body: Body::new(stmts) }))
    };
    let stmt = match rng.below(2) {
        0 => repeat(100_000 + rng.below(1000), vec![call("relu").into()]),
        _ => repeat(300, vec![repeat(300, vec![call("relu").into()])]),
    };
    let mut faulty = after(base, rng, vec![stmt], 0)?;
    // What is too much in a block may only be so at a call of it.
    let in_block = matches!(&faulty.place, Place::Stmt(path) if !in_model(base, path));
    if in_block {
        faulty.place = Place::Anywhere;
    }
    Some(faulty)
}

fn list_in_repeat(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let turns = 2 + rng.below(4);
    let values: Vec<Value> = (0..=turns.max(2)).map(|i| Value::from(i + 1)).collect();
    let body = Body::new(vec![call("id").into(), call("leaky").arg(Arg::plain(Value::List(values))).into()]);
    let stmt = Stmt::new(StmtKind::Repeat(Repeat { count: turns.into(), body }));
    let mut faulty = after(base, rng, vec![stmt], 0)?;
    let Place::Stmt(place) = &mut faulty.place else { return None };
    place.steps.push((0, 1));
    Some(faulty)
}

fn list_on_operator(base: &Base, rng: &mut Rng) -> Option<Faulty> {
    let in_repeat = |p: &StmtPath| {
        (1..p.steps.len()).any(|n| {
            let outer = StmtPath { item: p.item, steps: p.steps[..n].to_vec() };
            matches!(base.module.stmt(&outer).map(|s| &s.kind), Some(StmtKind::Repeat(_)))
        })
    };
    let free: Vec<StmtPath> =
        base.calls(|n| n == "conv" || n == "dwconv").into_iter().filter(|p| !in_repeat(p)).collect();
    let path = some(rng, &free)?;
    changed(base, &path, |call| {
        let kernel = rng.below(2) == 0 || call.name.text == "dwconv";
        let key = if kernel { "k" } else { "g" };
        call.set(key, Value::List(vec![3.into(), 1.into()]));
        Some(())
    })
}

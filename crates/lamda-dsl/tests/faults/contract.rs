//! Faults against a task and a device: the input, the head, an operator that is lacking, memory.

use super::base::{Base, Rng, bases};
use lamda_dsl::syntax::{Arg, Call, Item, Module, Size, StmtPath};
use lamda_dsl::{check, print};
use lamda_ir::{Code, Contract, Graph, TensorType, check_contract, costs};
use std::collections::BTreeSet;

/// The tightest contract that a graph keeps.
fn kept(graph: &Graph) -> Contract {
    let inputs: Option<Vec<TensorType>> =
        graph.inputs().iter().map(|(_, v)| graph.tensor_type(*v).cloned()).collect();
    let kinds: BTreeSet<String> = graph.nodes().iter().map(|n| n.op.kind().to_owned()).collect();
    let classes = match graph.outputs() {
        [(_, y)] => graph.tensor_type(*y).filter(|t| t.dims().len() == 2).and_then(|t| t.channels()),
        _ => None,
    };
    let cost = costs(graph);
    Contract {
        inputs,
        classes,
        operators: Some(kinds.into_iter().collect()),
        ram_bytes: cost.peak_activation_bytes,
        flash_bytes: Some(cost.params * 4),
    }
}

fn codes(module: &Module, contract: &Contract) -> Option<Vec<Code>> {
    let checked = check(&print(module));
    Some(check_contract(checked.graph()?, contract).iter().filter(|d| d.is_error()).map(|d| d.code).collect())
}

/// Changes the last `linear` by one class.
fn head(base: &Base) -> Option<Module> {
    let mut module = base.module.clone();
    let last: StmtPath = base.calls(|n| n == "linear").pop()?;
    let width = module.stmt_mut(&last)?.call_mut()?.plain_mut(0)?;
    let n = width.as_number()?;
    *width = (n as usize + 1).into();
    Some(module)
}

/// Changes one number of the input.
fn input(base: &Base, rng: &mut Rng) -> Option<Module> {
    let mut module = base.module.clone();
    let model = module.items.iter_mut().find_map(|i| match i {
        Item::Model(m) => Some(m),
        _ => None,
    })?;
    let dims = &mut model.inputs.first_mut()?.ty.dims;
    let at = rng.below(dims.len());
    let Size::Number(n) = &mut dims[at] else { return None };
    *n += 1 + rng.below(3) as u32;
    Some(module)
}

/// One more statement at a place that runs.
fn more(base: &Base, rng: &mut Rng, calls: Vec<Call>) -> Option<Module> {
    let mut module = base.module.clone();
    if base.run.is_empty() {
        return None;
    }
    let mut place = rng.pick(&base.run).0.clone();
    place.steps.last_mut()?.1 += 1;
    let (body, index) = module.slot_mut(&place)?;
    body.stmts.splice(index..index, calls.into_iter().map(Into::into));
    Some(module)
}

#[test]
fn contracts_that_are_broken_are_named() {
    let bases = bases(150);
    let mut rng = Rng(3);
    let mut seen = [0; 4];
    for base in &bases {
        let contract = kept(&base.graph);
        assert_eq!(codes(&base.module, &contract), Some(vec![]), "{}", print(&base.module));
        for _ in 0..4 {
            let wide = Call::new("linear").arg(Arg::plain(60_000));
            let cases = [
                (head(base).filter(|_| contract.classes.is_some()), Code::ContractOutput),
                (input(base, &mut rng).filter(|_| contract.inputs.is_some()), Code::ContractInput),
                (more(base, &mut rng, vec![Call::new("l2norm")]), Code::ContractOperator),
                (more(base, &mut rng, vec![wide]), Code::ContractMemory),
            ];
            for (i, (module, code)) in cases.into_iter().enumerate() {
                // A change that makes another fault is not this one.
                let Some(module) = module else { continue };
                let Some(found) = codes(&module, &contract) else { continue };

                assert!(found.contains(&code), "{code:?}: {found:?}\n{}", print(&module));
                seen[i] += 1;
            }
        }
    }
    assert!(seen.iter().all(|n| *n >= 100), "{seen:?}");
}

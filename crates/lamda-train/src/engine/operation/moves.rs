//! Operators that are linear in their elements without having weights: transpose, reshape, tokens, grid, take, pad, crop,
//! depth to space and back, means along axes, resampling. What goes where is asked of the reference execution once,
//! when the model is compiled, so there is one definition of each.

use lamda_ir::{Context, Dim, Layout, Mode, Operator, Tensor, TensorType};

use super::{Call, INPUTS, Operation};

/// `y[i] = constant[i] + Σ weight · x[from]` over the entries of `i`; elements are runs of `run` numbers.
#[derive(Debug)]
pub(super) struct Moves {
    run: usize,
    x_len: usize,
    /// Where the entries of each run of the output begin, and at last their number.
    begins: Vec<usize>,
    entries: Vec<(usize, f32)>,
    constants: Vec<f32>,
}

impl Moves {
    /// Of an operator that only moves elements, or puts constants beside them.
    pub(super) fn of_places(op: &dyn Operator, from: &TensorType, to: &TensorType) -> Result<Self, String> {
        let (mut shape, from_order) = (sizes(from)?, order(from)?);
        shape[0] = 2;
        let total: usize = shape.iter().product();
        let x_len = total / 2;
        // Elements that follow their input by as much as it was moved come from it.
        let [first, second] = [1, 1 + total].map(|start| {
            let x = Tensor::from_fn(&shape, |i| (start + i) as f64);
            evaluate(op, from, &x)
        });
        let (first, second) = (first?, second?);
        let to_order = order(to)?;
        let len = to_order.len();
        if first.len() != 2 * len {
            return Err("it changes the size of the batch".into());
        }
        let mut sources = vec![None; len];
        let mut constants = vec![0.0; len];
        for i in 0..2 * len {
            let (sample, place) = (i / len, to_order[i % len]);
            if second[i] - first[i] != total as f64 {
                constants[place] = first[i] as f32;
                continue;
            }
            let source = first[i] as usize - 1;
            if source / x_len != sample {
                return Err("it moves elements from one sample to another".into());
            }
            sources[place] = Some(from_order[source % x_len]);
        }
        let channels = to.channels().unwrap_or(1);
        let whole = |run: &[Option<usize>]| {
            run[0].is_some_and(|first| {
                first % channels == 0 && run.iter().enumerate().all(|(i, s)| *s == Some(first + i))
            })
        };
        let run = if sources.chunks(channels).all(whole) { channels } else { 1 };
        let mut moves =
            Moves { run, x_len, begins: vec![0], entries: Vec::with_capacity(len / run), constants };
        for source in sources.iter().step_by(run) {
            moves.entries.extend(source.map(|source| (source / run, 1.0)));
            moves.begins.push(moves.entries.len());
        }
        Ok(moves)
    }

    /// Of an operator that mixes positions, each spatial axis by itself and with weights that sum to one, and leaves
    /// channels alone.
    pub(super) fn of_positions(
        op: &dyn Operator,
        from: &TensorType,
        to: &TensorType,
    ) -> Result<Self, String> {
        let (axes, made) = (positions(from)?, positions(to)?);
        let channels = from.channels().ok_or("its channels are not known")?;
        let mut shape = sizes(from)?;
        let channel_axis = from.channel_axis().ok_or("it has no channels")?;
        shape[channel_axis] = 1;
        let plane = from.with_shape(shape.iter().map(|&n| Dim::Known(n)).collect());
        // The weights of each axis, `[made][taken]`.
        let mut weights = Vec::new();
        for (axis, (&n, &m)) in axes.iter().zip(&made).enumerate() {
            let behind: usize = axes[axis + 1..].iter().product();
            let behind_made: usize = made[axis + 1..].iter().product();
            let mut of_axis = vec![0.0; n * m];
            for i in 0..n {
                let x = Tensor::from_fn(&shape, |flat| f64::from(u8::from(flat / behind % n == i)));
                let y = evaluate(op, &plane, &x)?;
                (0..m).for_each(|o| of_axis[o * n + i] = y[o * behind_made]);
            }
            weights.push(of_axis);
        }
        let x_len = channels * axes.iter().product::<usize>();
        let y_len = channels * made.iter().product::<usize>();
        let mut moves =
            Moves { run: channels, x_len, begins: vec![0], entries: Vec::new(), constants: vec![0.0; y_len] };
        for place in 0..y_len / channels {
            let mut entries = vec![(0, 1.0)];
            let mut behind_made: usize = made.iter().product();
            for ((weights, &n), &m) in weights.iter().zip(&axes).zip(&made) {
                behind_made /= m;
                let row = &weights[place / behind_made % m * n..][..n];
                let taken = row.iter().enumerate().filter(|(_, w)| **w != 0.0);
                let taken: Vec<_> = taken.collect();
                let each = |&(at, weight): &(usize, f64)| {
                    taken.iter().map(move |(i, w)| (at * n + i, weight * **w)).collect::<Vec<_>>()
                };
                entries = entries.iter().flat_map(each).collect();
            }
            moves.entries.extend(entries.into_iter().map(|(at, weight)| (at, weight as f32)));
            moves.begins.push(moves.entries.len());
        }
        Ok(moves)
    }
}

impl Operation for Moves {
    fn forward(&self, _: Call<'_>, x: &[&[f32]; INPUTS], y: &mut [f32], _: &mut [f32]) {
        for (x, y) in x[0].chunks_exact(self.x_len).zip(y.chunks_exact_mut(self.constants.len())) {
            y.copy_from_slice(&self.constants);
            for (bounds, y) in self.begins.windows(2).zip(y.chunks_exact_mut(self.run)) {
                for &(from, weight) in &self.entries[bounds[0]..bounds[1]] {
                    let x = &x[from * self.run..][..self.run];
                    y.iter_mut().zip(x).for_each(|(y, x)| *y += weight * x);
                }
            }
        }
    }

    fn backward(
        &self,
        _: Call<'_>,
        _: &[&[f32]; INPUTS],
        dy: &[f32],
        dx: &mut [Option<&mut [f32]>; INPUTS],
        _: &mut [f32],
        _: &mut [f32],
    ) {
        let [Some(dx), ..] = dx else { return };
        dx.fill(0.0);
        for (dx, dy) in dx.chunks_exact_mut(self.x_len).zip(dy.chunks_exact(self.constants.len())) {
            for (bounds, dy) in self.begins.windows(2).zip(dy.chunks_exact(self.run)) {
                for &(from, weight) in &self.entries[bounds[0]..bounds[1]] {
                    let dx = &mut dx[from * self.run..][..self.run];
                    dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += weight * dy);
                }
            }
        }
    }
}

fn evaluate(op: &dyn Operator, ty: &TensorType, x: &Tensor<f64>) -> Result<Vec<f64>, String> {
    let cx = Context { mode: Mode::Training, types: &[ty] };
    op.eval(&cx, &[x], &[]).map(Tensor::into_data).map_err(|error| error.to_string())
}

fn sizes(t: &TensorType) -> Result<Vec<usize>, String> {
    t.sizes(1).filter(|sizes| !sizes.is_empty()).ok_or_else(|| format!("the sizes of {t} are not known"))
}

fn positions(t: &TensorType) -> Result<Vec<usize>, String> {
    t.spatial()
        .iter()
        .map(|dim| dim.known().ok_or_else(|| format!("the sizes of {t} are not known")))
        .collect()
}

/// For each element of a sample, as the IR orders them, its place here.
fn order(t: &TensorType) -> Result<Vec<usize>, String> {
    let sizes = sizes(t)?;
    let len: usize = sizes[1..].iter().product();
    let channels = match t.layout {
        Layout::Map | Layout::Signal => sizes[1],
        Layout::Sequence | Layout::Vector | Layout::Plain => return Ok((0..len).collect()),
    };
    let pixels = len / channels.max(1);
    Ok((0..len).map(|i| i % pixels * channels + i / pixels).collect())
}

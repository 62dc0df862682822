//! Learned or computed rows: tokens put in front of a sequence, positions added to it, and a table looked up by id.

use std::ops::Range;

use super::{Call, INPUTS, Operation};

/// Learned rows in front of each sequence of `len` numbers.
#[derive(Debug)]
pub(super) struct InFront {
    pub(super) weight: Range<usize>,
    pub(super) len: usize,
}

impl Operation for InFront {
    fn forward(&self, call: Call<'_>, x: &[&[f32]; INPUTS], y: &mut [f32], _: &mut [f32]) {
        let front = self.weight.len();
        for (x, y) in x[0].chunks_exact(self.len).zip(y.chunks_exact_mut(front + self.len)) {
            y[..front].copy_from_slice(&call.parameters[self.weight.clone()]);
            y[front..].copy_from_slice(x);
        }
    }

    fn backward(
        &self,
        _: Call<'_>,
        _: &[&[f32]; INPUTS],
        dy: &[f32],
        dx: &mut [Option<&mut [f32]>; INPUTS],
        gradients: &mut [f32],
        _: &mut [f32],
    ) {
        let front = self.weight.len();
        for (sample, dy) in dy.chunks_exact(front + self.len).enumerate() {
            gradients[self.weight.clone()].iter_mut().zip(dy).for_each(|(g, dy)| *g += dy);
            if let Some(dx) = &mut dx[0] {
                dx[sample * self.len..][..self.len].copy_from_slice(&dy[front..]);
            }
        }
    }

    fn has_parameters(&self) -> bool {
        true
    }
}

/// Rows added to a sequence: the first of a learned table, or fixed ones.
#[derive(Debug)]
pub(super) enum Positions {
    Learned { weight: Range<usize> },
    Fixed { rows: Vec<f32> },
}

impl Operation for Positions {
    fn forward(&self, call: Call<'_>, x: &[&[f32]; INPUTS], y: &mut [f32], _: &mut [f32]) {
        let rows = match self {
            Self::Learned { weight } => &call.parameters[weight.clone()],
            Self::Fixed { rows } => rows,
        };
        for (x, y) in x[0].chunks_exact(rows.len()).zip(y.chunks_exact_mut(rows.len())) {
            y.iter_mut().zip(x.iter().zip(rows)).for_each(|(y, (x, row))| *y = x + row);
        }
    }

    fn backward(
        &self,
        _: Call<'_>,
        _: &[&[f32]; INPUTS],
        dy: &[f32],
        dx: &mut [Option<&mut [f32]>; INPUTS],
        gradients: &mut [f32],
        _: &mut [f32],
    ) {
        if let Self::Learned { weight } = self {
            for dy in dy.chunks_exact(weight.len()) {
                gradients[weight.clone()].iter_mut().zip(dy).for_each(|(g, dy)| *g += dy);
            }
        }
        if let Some(dx) = &mut dx[0] {
            dx.copy_from_slice(dy);
        }
    }

    fn has_parameters(&self) -> bool {
        matches!(self, Self::Learned { .. })
    }
}

/// The row of a table for each id. The engine lets no batch in whose ids are not in the table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) weight: Range<usize>,
    pub(super) width: usize,
}

impl Operation for Table {
    fn forward(&self, call: Call<'_>, x: &[&[f32]; INPUTS], y: &mut [f32], _: &mut [f32]) {
        let table = &call.parameters[self.weight.clone()];
        for (id, y) in x[0].iter().zip(y.chunks_exact_mut(self.width)) {
            y.copy_from_slice(&table[*id as usize * self.width..][..self.width]);
        }
    }

    fn backward(
        &self,
        _: Call<'_>,
        x: &[&[f32]; INPUTS],
        dy: &[f32],
        _: &mut [Option<&mut [f32]>; INPUTS],
        gradients: &mut [f32],
        _: &mut [f32],
    ) {
        let table = &mut gradients[self.weight.clone()];
        for (id, dy) in x[0].iter().zip(dy.chunks_exact(self.width)) {
            let row = &mut table[*id as usize * self.width..][..self.width];
            row.iter_mut().zip(dy).for_each(|(g, dy)| *g += dy);
        }
    }

    fn has_parameters(&self) -> bool {
        true
    }
}

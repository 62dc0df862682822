//! Gaussian-process regression over sparse features (Rasmussen and Williams, 2006, algorithm 2.1): a Matérn 5/2
//! kernel, its length and noise chosen from a small grid by the marginal likelihood.

/// Features that are not zero, sorted by number.
pub(super) type Features = Vec<(u64, f64)>;

const LENGTHS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];
const NOISES: [f64; 3] = [1e-3, 1e-2, 1e-1];

/// A fitted process.
pub(super) struct Process<'a> {
    points: &'a [Features],
    length: f64,
    factor: Vec<Vec<f64>>,
    weights: Vec<f64>,
}

impl<'a> Process<'a> {
    /// The most likely process for standardised targets, which are as many as the points; `None` where no
    /// kernel of the grid is positive definite.
    pub(super) fn fit(points: &'a [Features], targets: &[f64]) -> Option<Process<'a>> {
        let distances: Vec<Vec<f64>> = points
            .iter()
            .enumerate()
            .map(|(i, p)| points[..=i].iter().map(|q| distance(p, q)).collect())
            .collect();
        let mut all: Vec<f64> = distances.iter().flatten().copied().filter(|d| *d > 0.0).collect();
        all.sort_by(f64::total_cmp);
        let median = all.get(all.len() / 2).copied().unwrap_or(1.0);
        let mut best: Option<(f64, Process<'a>)> = None;
        for length in LENGTHS.map(|l| l * median) {
            for noise in NOISES {
                let kernel =
                    |i: usize, j: usize| matern(distances[i][j] / length) + if i == j { noise } else { 0.0 };
                let Some(factor) = cholesky(points.len(), kernel) else { continue };
                let half = forward(&factor, targets);
                let fit: f64 = half.iter().map(|v| v * v).sum();
                let volume: f64 = factor.iter().enumerate().map(|(i, row)| row[i].ln()).sum();
                let likelihood = -0.5 * fit - volume;
                if best.as_ref().is_none_or(|(b, _)| likelihood > *b) {
                    let weights = backward(&factor, half);
                    best = Some((likelihood, Process { points, length, factor, weights }));
                }
            }
        }
        best.map(|(_, process)| process)
    }

    /// Mean and standard deviation at a point.
    pub(super) fn predict(&self, point: &Features) -> (f64, f64) {
        let row: Vec<f64> = self.points.iter().map(|p| matern(distance(p, point) / self.length)).collect();
        let mean = row.iter().zip(&self.weights).map(|(k, w)| k * w).sum();
        let reached: f64 = forward(&self.factor, &row).iter().map(|v| v * v).sum();
        (mean, (1.0 - reached).max(1e-9).sqrt())
    }
}

fn matern(r: f64) -> f64 {
    let r = r * 5.0_f64.sqrt();
    (1.0 + r + r * r / 3.0) * (-r).exp()
}

/// The Euclidean distance.
fn distance(a: &Features, b: &Features) -> f64 {
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    while i < a.len() || j < b.len() {
        let left = a.get(i).map_or(u64::MAX, |x| x.0);
        let right = b.get(j).map_or(u64::MAX, |x| x.0);
        let mut difference = 0.0;
        if left <= right && i < a.len() {
            difference += a[i].1;
            i += 1;
        }
        if right <= left && j < b.len() {
            difference -= b[j].1;
            j += 1;
        }
        sum += difference * difference;
    }
    sum.sqrt()
}

fn cholesky(n: usize, kernel: impl Fn(usize, usize) -> f64) -> Option<Vec<Vec<f64>>> {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(n);
    for i in 0..n {
        let mut row: Vec<f64> = Vec::with_capacity(i + 1);
        for other in &rows {
            let dot: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
            row.push((kernel(i, row.len()) - dot) / other[row.len()]);
        }
        let left = kernel(i, i) - row.iter().map(|v| v * v).sum::<f64>();
        if left <= 0.0 {
            return None;
        }
        row.push(left.sqrt());
        rows.push(row);
    }
    Some(rows)
}

fn forward(factor: &[Vec<f64>], right: &[f64]) -> Vec<f64> {
    let mut out: Vec<f64> = Vec::with_capacity(right.len());
    for (row, value) in factor.iter().zip(right) {
        let dot: f64 = row.iter().zip(&out).map(|(a, b)| a * b).sum();
        out.push((value - dot) / row[out.len()]);
    }
    out
}

fn backward(factor: &[Vec<f64>], mut right: Vec<f64>) -> Vec<f64> {
    for i in (0..right.len()).rev() {
        right[i] /= factor[i][i];
        for j in 0..i {
            right[j] -= factor[i][j] * right[i];
        }
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_recalls_what_it_saw_and_doubts_what_it_did_not() {
        let points: Vec<Features> = (0..12).map(|i| vec![(3, f64::from(i) / 2.0)]).collect();
        let targets: Vec<f64> = (0..12).map(|i| (f64::from(i) / 2.0).sin()).collect();
        let process = Process::fit(&points, &targets).unwrap();
        let (near, sure) = process.predict(&vec![(3, 2.25)]);
        assert!((near - 2.25_f64.sin()).abs() < 0.1, "{near}");
        let (_, unsure) = process.predict(&vec![(3, 40.0)]);
        assert!(unsure > 5.0 * sure, "{unsure} {sure}");
    }

    #[test]
    fn distances_of_sparse_features_are_those_of_dense_ones() {
        let (a, b) = (vec![(1, 2.0), (4, 1.0)], vec![(2, 2.0), (4, 2.0), (9, 4.0)]);
        assert_eq!(distance(&a, &b), 25.0_f64.sqrt());
        assert_eq!(distance(&b, &a), 25.0_f64.sqrt());
    }
}

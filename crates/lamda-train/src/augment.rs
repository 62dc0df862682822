//! Random variations of one sample, `[channels, spatial…]`.
//!
//! Each position of the result is looked up in the source: mirrored, zoomed about the middle, moved. Moves alone are exact
//! copies; a zoom interpolates linearly. Then come gain, noise and masks.

use crate::recipe::{Augmentation, Fill};
use rand::RngExt;
use rand_pcg::Pcg64Mcg;

/// Where a position along an axis comes from: the two neighbours and the share of the second; `None` is outside.
type Taps = Vec<[Option<(usize, f32)>; 2]>;

/// Varies `from` into `into`. `spatial` are the sizes of the innermost axes along which samples may be moved.
pub(crate) fn vary(from: &[f32], spatial: &[usize], by: Augmentation, rng: &mut Pcg64Mcg, into: &mut [f32]) {
    let gain = 1.0 + by.scale * centred(rng);
    let zoom = 1.0 + by.zoom * centred(rng);
    let last = spatial.len().saturating_sub(1);
    let axis = |(at, &size): (usize, &usize), rng: &mut Pcg64Mcg| {
        let mut reach = by.shift as i64;
        let (mut factor, mut mirrored) = (zoom, false);
        if at == last {
            reach += by.time_shift as i64;
            factor *= 1.0 + by.warp * centred(rng);
            mirrored = by.flip && rng.random_bool(0.5);
        }
        let by_move = if reach > 0 { rng.random_range(-reach..=reach) } else { 0 };
        taps(size, by_move, factor, mirrored, by.fill)
    };
    let axes: Vec<Taps> = spatial.iter().enumerate().map(|axis_size| axis(axis_size, rng)).collect();
    let plane: usize = spatial.iter().product::<usize>().max(1);
    for (from, into) in from.chunks_exact(plane).zip(into.chunks_exact_mut(plane)) {
        match &axes[..] {
            [columns] => {
                into.fill(0.0);
                line(from, columns, into, 1.0);
            }
            [rows, columns] => {
                into.fill(0.0);
                let width = columns.len();
                for (rows, into) in rows.iter().zip(into.chunks_exact_mut(width)) {
                    for &(row, weight) in rows.iter().flatten() {
                        line(&from[row * width..(row + 1) * width], columns, into, weight);
                    }
                }
            }
            _ => into.copy_from_slice(from),
        }
    }
    into.iter_mut().for_each(|v| *v *= gain);
    if by.noise > 0.0 {
        let deviation = by.noise * rng.random::<f32>();
        into.iter_mut().for_each(|v| *v += deviation * normal(rng));
    }
    if let [.., before, width] = *spatial {
        strip(into, [before, width], 1, by.mask_time, rng);
        strip(into, [before, width], 0, by.mask_frequency, rng);
    } else if let [width] = *spatial {
        strip(into, [1, width], 1, by.mask_time, rng);
    }
}

/// Adds the weighted values of a line at the taps.
fn line(from: &[f32], taps: &Taps, into: &mut [f32], weight: f32) {
    for (value, taps) in into.iter_mut().zip(taps) {
        for &(at, share) in taps.iter().flatten() {
            *value += weight * share * from[at];
        }
    }
}

fn taps(size: usize, by_move: i64, factor: f32, mirrored: bool, fill: Fill) -> Taps {
    let inside = |at: i64, share: f32| {
        let kept = match fill {
            Fill::Edge => at.clamp(0, size as i64 - 1),
            Fill::Zero => at,
        };
        usize::try_from(kept).ok().filter(|&at| at < size && share > 0.0).map(|at| (at, share))
    };
    let tap = |at: usize| {
        let at = if mirrored { size - 1 - at } else { at };
        if factor == 1.0 {
            return [inside(at as i64 + by_move, 1.0), None];
        }
        let middle = (size - 1) as f32 / 2.0;
        let place = (at as f32 - middle) / factor + middle + by_move as f32;
        let share = place - place.floor();
        [inside(place.floor() as i64, 1.0 - share), inside(place.floor() as i64 + 1, share)]
    };
    (0..size).map(tap).collect()
}

/// Sets a strip of rows (axis 0) or columns (axis 1) of every plane to 0.
fn strip(values: &mut [f32], [rows, columns]: [usize; 2], axis: usize, most: usize, rng: &mut Pcg64Mcg) {
    let size = if axis == 0 { rows } else { columns };
    let width = if most > 0 { rng.random_range(0..=most.min(size)) } else { return };
    let first = rng.random_range(0..=size - width);
    for (at, value) in values.iter_mut().enumerate() {
        let position = if axis == 0 { at / columns % rows } else { at % columns };
        if (first..first + width).contains(&position) {
            *value = 0.0;
        }
    }
}

/// From -1 to 1.
fn centred(rng: &mut Pcg64Mcg) -> f32 {
    rng.random::<f32>() * 2.0 - 1.0
}

/// Box and Muller's transform.
fn normal(rng: &mut Pcg64Mcg) -> f32 {
    let (a, b) = (1.0 - rng.random::<f32>(), rng.random::<f32>());
    (-2.0 * a.ln()).sqrt() * (std::f32::consts::TAU * b).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn varied(spatial: &[usize], by: Augmentation, seed: u64) -> Vec<f32> {
        let size = spatial.iter().product::<usize>() * 2;
        let from: Vec<f32> = (1..=size).map(|v| v as f32).collect();
        // What stood there before does not shine through.
        let mut into = vec![9.0; size];
        vary(&from, spatial, by, &mut Pcg64Mcg::seed_from_u64(seed), &mut into);
        into
    }

    #[test]
    fn nothing_asked_changes_nothing() {
        for spatial in [&[3, 4][..], &[7], &[]] {
            let same: Vec<f32> = (1..=spatial.iter().product::<usize>() * 2).map(|v| v as f32).collect();
            assert_eq!(varied(spatial, Augmentation::default(), 1), same);
        }
    }

    #[test]
    fn a_move_copies_and_fills() {
        let found = |by, fill| -> Vec<Option<usize>> {
            taps(3, by, 1.0, false, fill).iter().map(|t| t[0].map(|(at, _)| at)).collect()
        };
        assert_eq!(found(1, Fill::Zero), [Some(1), Some(2), None]);
        assert_eq!(found(1, Fill::Edge), [Some(1), Some(2), Some(2)]);
        assert_eq!(found(-2, Fill::Zero), [None, None, Some(0)]);
        let shift = Augmentation { shift: 2, ..Augmentation::default() };
        let known: Vec<f32> = (0..=24).map(|v| v as f32).collect();
        for seed in 0..20 {
            assert!(varied(&[3, 4], shift, seed).iter().all(|v| known.contains(v)));
        }
        assert_ne!(varied(&[3, 4], shift, 0), varied(&[3, 4], shift, 2));
    }

    #[test]
    fn a_mirror_and_a_zoom_keep_the_middle() {
        let mirrored = taps(3, 0, 1.0, true, Fill::Zero);
        assert_eq!(mirrored[0][0], Some((2, 1.0)));
        for factor in [0.5, 0.9, 1.3] {
            let taps = taps(5, 0, factor, false, Fill::Edge);
            assert_eq!(taps[2][0], Some((2, 1.0)));
            assert!(taps.iter().all(|t| (t.iter().flatten().map(|t| t.1).sum::<f32>() - 1.0).abs() < 1e-6));
        }
    }

    #[test]
    fn a_mask_is_a_strip_of_every_channel() {
        let mask = Augmentation { mask_time: 2, ..Augmentation::default() };
        let mut widths = [0; 3];
        for seed in 0..40 {
            let found = varied(&[3, 4], mask, seed);
            let zero: Vec<usize> =
                (0..4).filter(|&c| found.iter().skip(c).step_by(4).all(|v| *v == 0.0)).collect();
            assert_eq!(found.iter().filter(|v| **v == 0.0).count(), zero.len() * 6);
            widths[zero.len()] += 1;
        }
        assert!(widths.iter().all(|&n| n > 0), "{widths:?}");
    }

    #[test]
    fn noise_has_at_most_its_deviation() {
        let noise = Augmentation { noise: 0.5, ..Augmentation::default() };
        let found = varied(&[100, 100], noise, 3);
        let square = |(i, v): (usize, &f32)| f64::from(v - (i + 1) as f32).powi(2);
        let deviation = (found.iter().enumerate().map(square).sum::<f64>() / found.len() as f64).sqrt();
        assert!(deviation > 0.0 && deviation < 0.51, "{deviation}");
    }
}

//! Image folders: PNG and JPEG, brought to one size and to 1 or 3 channels, values from 0 to 1, `[C, H, W]`.
//!
//! Resizing is separable with a triangle filter that widens when shrinking (as Pillow's `BILINEAR`). Grey is
//! 0.299 R + 0.587 G + 0.114 B; an alpha channel is dropped. An EXIF orientation is not applied.

use super::error::{Fault, TaskError};
use super::items::{Items, files};
use super::samples::{Cached, Samples};
use super::spec::Spec;
use crate::recipe::{Augmentation, Fill};
use lamda_ir::Layout;
use std::io::{BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// The side to which images of several sizes are brought unless `size` says another.
const SIDE: usize = 64;
/// Images of one size are kept at it up to this side.
const LARGEST: usize = 128;

/// Interleaved 8-bit pixels.
struct Pixels {
    height: usize,
    width: usize,
    channels: usize,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Images {
    paths: Vec<PathBuf>,
    channels: usize,
    height: usize,
    width: usize,
}

impl Samples for Images {
    fn read(&self, i: usize, into: &mut [f32]) -> Result<(), Fault> {
        let path = &self.paths[i];
        let pixels = decode(path)?;
        let plane = self.height * self.width;
        for (channel, into) in into.chunks_exact_mut(plane).enumerate() {
            let from = channel_of(&pixels, channel, self.channels);
            into.copy_from_slice(&resize(&from, [pixels.height, pixels.width], [self.height, self.width]));
        }
        Ok(())
    }

    fn decodes(&self) -> bool {
        true
    }
}

pub(super) fn read(spec: &Spec, root: &Path, budget: usize) -> Result<Items, TaskError> {
    let mut faults = Vec::new();
    let files = files(spec, root, &["png", "jpg", "jpeg"], true, &mut faults)?;
    let mut headers = Vec::new();
    for file in &files {
        match header(&file.path) {
            Ok(found) => headers.push(found),
            Err(fault) => faults.push(fault),
        }
    }
    let mut remarks = Vec::new();
    let first = headers.first().map_or([SIDE, SIDE], |h| h.0);
    let alike = headers.iter().all(|h| h.0 == first);
    let [height, width] = spec.data.size.unwrap_or_else(|| {
        if alike && first.iter().all(|&side| side <= LARGEST) {
            first
        } else {
            let found = if alike { format!("{}x{}", first[0], first[1]) } else { "several sizes".into() };
            remarks.push(format!("images of {found} are brought to {SIDE}x{SIDE}; data.size says another"));
            [SIDE, SIDE]
        }
    });
    let channels = match spec.data.channels {
        Some(channels @ (1 | 3)) => channels,
        Some(other) => {
            let what = format!("data.channels = {other}; images have 1 or 3");
            return Err(TaskError::Unclear { path: root.to_owned(), what });
        }
        None if headers.iter().all(|h| h.1) => 1,
        None => 3,
    };
    let paths = files.iter().map(|f| f.path.clone()).collect();
    let images = Images { paths, channels, height, width };
    let scaled = if alike && first == [height, width] {
        String::new()
    } else {
        format!(", resized to {height}x{width} with a triangle filter (Pillow's BILINEAR)")
    };
    let colour = if channels == 1 { "grey" } else { "RGB" };
    Ok(Items {
        samples: Arc::new(Cached::new(images, files.len(), budget)),
        items: files.into_iter().map(|f| f.item).collect(),
        layout: Layout::Map,
        shape: vec![channels, height, width],
        steps: vec![format!("{colour} pixels{scaled}, divided by 255")],
        remarks,
        augmentation: Augmentation {
            shift: (height.min(width) / 10).max(1),
            scale: 0.1,
            fill: Fill::Edge,
            ..Augmentation::default()
        },
        distinct: true,
        faults,
    })
}

/// Height and width, and whether it is grey.
fn header(path: &Path) -> Result<([usize; 2], bool), Fault> {
    let bytes = std::fs::read(path).map_err(|e| Fault::io(path, &e))?;
    if is_png(&bytes) {
        let decoder = png::Decoder::new(Cursor::new(bytes));
        let reader = decoder.read_info().map_err(|e| corrupt(path, &e))?;
        let info = reader.info();
        let grey = matches!(info.color_type, png::ColorType::Grayscale | png::ColorType::GrayscaleAlpha);
        return Ok(([info.height as usize, info.width as usize], grey));
    }
    let mut decoder = JpegDecoder::new(Cursor::new(bytes));
    decoder.decode_headers().map_err(|e| corrupt(path, &e))?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    Ok(([height, width], decoder.input_colorspace() == Some(ColorSpace::Luma)))
}

fn decode(path: &Path) -> Result<Pixels, Fault> {
    let bytes = std::fs::read(path).map_err(|e| Fault::io(path, &e))?;
    if is_png(&bytes) {
        let mut decoder = png::Decoder::new(BufReader::new(Cursor::new(bytes)));
        decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
        let mut reader = decoder.read_info().map_err(|e| corrupt(path, &e))?;
        let size = reader.output_buffer_size().ok_or_else(|| corrupt(path, &"it is too large"))?;
        let mut bytes = vec![0; size];
        let info = reader.next_frame(&mut bytes).map_err(|e| corrupt(path, &e))?;
        bytes.truncate(info.buffer_size());
        let channels = info.color_type.samples();
        return Ok(Pixels { height: info.height as usize, width: info.width as usize, channels, bytes });
    }
    // Strict: what a lenient decoder fills up with grey is a corrupt file.
    let options = DecoderOptions::default().set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| corrupt(path, &e))?;
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let space = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let bytes = decoder.decode().map_err(|e| corrupt(path, &e))?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let channels = if grey { 1 } else { 3 };
    if bytes.len() != width * height * channels {
        return Err(corrupt(path, &"its pixels are not all there"));
    }
    Ok(Pixels { height, width, channels, bytes })
}

fn is_png(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89PNG")
}

fn corrupt(path: &Path, error: &dyn std::fmt::Display) -> Fault {
    Fault::new(
        path.display().to_string(),
        format!("cannot be decoded: {error}"),
        "replace it from its source, or remove it",
    )
}

/// A channel of an image, from 0 to 1.
fn channel_of(pixels: &Pixels, channel: usize, of: usize) -> Vec<f32> {
    let colour = |p: &[u8], i: usize| f32::from(p[if p.len() < 3 { 0 } else { i }]);
    let value = |p: &[u8]| {
        let value = match (of, p.len()) {
            (1, 3..) => 0.299 * colour(p, 0) + 0.587 * colour(p, 1) + 0.114 * colour(p, 2),
            _ => colour(p, channel),
        };
        value / 255.0
    };
    pixels.bytes.chunks_exact(pixels.channels).map(value).collect()
}

/// Brings `[height, width]` values to another size.
fn resize(from: &[f32], size: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    if size == to {
        return from.to_vec();
    }
    let [height, width] = size;
    let (across, down) = (taps(width, to[1]), taps(height, to[0]));
    let mut rows = vec![0.0; height * to[1]];
    for (from, into) in from.chunks_exact(width).zip(rows.chunks_exact_mut(to[1])) {
        for (value, (first, weights)) in into.iter_mut().zip(&across) {
            *value = weights.iter().zip(&from[*first..]).map(|(w, v)| w * v).sum();
        }
    }
    let mut out = vec![0.0; to[0] * to[1]];
    for (into, (first, weights)) in out.chunks_exact_mut(to[1]).zip(&down) {
        for (row, weight) in rows[first * to[1]..].chunks_exact(to[1]).zip(weights) {
            into.iter_mut().zip(row).for_each(|(v, r)| *v += weight * r);
        }
    }
    out
}

/// For each position of the new axis, the first old position that counts, and the weights from there on.
fn taps(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let tap = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        let first = (centre - reach).floor().max(0.0) as usize;
        let last = ((centre + reach).ceil() as usize).min(from);
        let weight = |at: usize| (1.0 - ((at as f64 + 0.5 - centre) / reach).abs()).max(0.0);
        let sum: f64 = (first..last).map(weight).sum();
        (first, (first..last).map(|at| (weight(at) / sum) as f32).collect())
    };
    (0..to).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PyTorch 2.13: `interpolate(a, size, mode="bilinear", antialias=True)`.
    #[test]
    fn resizing_is_that_of_pytorch() {
        let from: Vec<f32> = (0..16).map(|v| (v * v) as f32).collect();
        let near = |found: &[f32], expected: &[f32]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{found:?} {expected:?}");
        };
        near(&resize(&from, [4, 4], [2, 2]), &[21.081_633, 34.775_513, 105.489_79, 138.938_77]);
        near(&resize(&from, [4, 4], [5, 6]), &[0.0, 0.5, 1.5, 3.5, 6.5, 9.0, 11.2, 14.5]);
        near(&resize(&[1.0; 35], [5, 7], [3, 11]), &[1.0; 33]);
    }
}

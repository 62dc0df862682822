//! Arrays on disk: the NPY format (versions 1 to 3, row-major), its archive NPZ, and IDX.
//!
//! NPY: `\x93NUMPY`, version, the header's length, a Python dictionary with `descr`, `fortran_order` and `shape`, values.
//! IDX: two zeros, the type, the rank, sizes as big-endian `u32`, values in big-endian.

use super::error::Fault;
use flate2::read::GzDecoder;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The type of a number on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number {
    /// `b`, `u`, `i` or `f`.
    kind: u8,
    bytes: usize,
    big: bool,
}

enum Place {
    Memory(Vec<u8>),
    File { path: PathBuf, file: Mutex<File>, offset: u64 },
}

/// An array whose values are read when they are asked for.
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    number: Number,
    place: Place,
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array")
            .field("shape", &self.shape)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Array {
    pub(super) fn is_bytes(&self) -> bool {
        self.number.kind == b'u' && self.number.bytes == 1
    }

    pub(super) fn in_file(&self) -> bool {
        matches!(self.place, Place::File { .. })
    }

    /// Reads values from a flat position on.
    pub(super) fn read(&self, first: usize, into: &mut [f32]) -> Result<(), Fault> {
        let Number { bytes, .. } = self.number;
        match &self.place {
            Place::Memory(all) => self.convert(&all[first * bytes..][..into.len() * bytes], into),
            Place::File { path, file, offset } => {
                let mut raw = vec![0; into.len() * bytes];
                {
                    let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    file.seek(SeekFrom::Start(offset + (first * bytes) as u64))
                        .map_err(|e| Fault::io(path, &e))?;
                    file.read_exact(&mut raw).map_err(|e| Fault::io(path, &e))?;
                }
                self.convert(&raw, into);
            }
        }
        Ok(())
    }

    fn convert(&self, raw: &[u8], into: &mut [f32]) {
        let Number { kind, bytes, big } = self.number;
        for (value, raw) in into.iter_mut().zip(raw.chunks_exact(bytes)) {
            let mut wide = [0u8; 8];
            wide[..bytes].copy_from_slice(raw);
            if big {
                wide[..bytes].reverse();
            }
            let bits = u64::from_le_bytes(wide);
            let signed = (bits << (64 - 8 * bytes)) as i64 >> (64 - 8 * bytes);
            *value = match (kind, bytes) {
                (b'f', 4) => f32::from_bits(bits as u32),
                (b'f', _) => f64::from_bits(bits) as f32,
                (b'i', _) => signed as f32,
                _ => bits as f32,
            };
        }
    }
}

/// An NPY file; its values stay in it.
pub(super) fn npy(path: &Path) -> Result<Array, Fault> {
    let mut file = File::open(path).map_err(|e| Fault::io(path, &e))?;
    let (number, shape) = header(&mut file, path)?;
    let offset = file.stream_position().map_err(|e| Fault::io(path, &e))?;
    let length = file.metadata().map_err(|e| Fault::io(path, &e))?.len();
    in_file(path, file, offset, length, number, shape)
}

/// The names of the arrays of an NPZ archive.
pub(super) fn members(path: &Path) -> Result<Vec<String>, Fault> {
    let archive = archive(path)?;
    let names: Result<Vec<String>, _> = archive
        .file_names()
        .map(|name| name.map(|name| name.strip_suffix(".npy").unwrap_or(&name).to_owned()))
        .collect();
    names.map_err(|e| corrupt(path, &e))
}

/// An array of an NPZ archive, in memory in its own type.
pub(super) fn member(path: &Path, name: &str) -> Result<Array, Fault> {
    let mut archive = archive(path)?;
    let mut entry =
        archive.by_name(&format!("{name}.npy")).map_err(|e| corrupt(path, &format!("{name}: {e}")))?;
    let (number, shape) = header(&mut entry, path)?;
    let mut values = Vec::new();
    entry.read_to_end(&mut values).map_err(|e| corrupt(path, &format!("{name}: {e}")))?;
    in_memory(path, values, number, shape)
}

/// An IDX file; its values stay in it unless it is compressed.
pub(super) fn idx(path: &Path) -> Result<Array, Fault> {
    let mut file = File::open(path).map_err(|e| Fault::io(path, &e))?;
    let length = file.metadata().map_err(|e| Fault::io(path, &e))?.len();
    if path.extension().is_some_and(|e| e == "gz") {
        let mut from = GzDecoder::new(file);
        let (number, shape) = idx_header(&mut from, path)?;
        let mut values = Vec::new();
        from.read_to_end(&mut values).map_err(|e| corrupt(path, &e))?;
        return in_memory(path, values, number, shape);
    }
    let (number, shape) = idx_header(&mut file, path)?;
    let offset = 4 + 4 * shape.len() as u64;
    in_file(path, file, offset, length, number, shape)
}

fn in_memory(path: &Path, values: Vec<u8>, number: Number, shape: Vec<usize>) -> Result<Array, Fault> {
    let expected = size(path, number, &shape)?;
    if values.len() as u64 != expected {
        return Err(corrupt(
            path,
            &format!("{} bytes of values where {shape:?} has {expected}", values.len()),
        ));
    }
    Ok(Array { shape, number, place: Place::Memory(values) })
}

fn in_file(
    path: &Path,
    file: File,
    offset: u64,
    length: u64,
    number: Number,
    shape: Vec<usize>,
) -> Result<Array, Fault> {
    let (found, expected) = (length.saturating_sub(offset), size(path, number, &shape)?);
    if found != expected {
        return Err(corrupt(path, &format!("{found} bytes of values where {shape:?} has {expected}")));
    }
    Ok(Array { shape, number, place: Place::File { path: path.to_owned(), file: Mutex::new(file), offset } })
}

fn size(path: &Path, number: Number, shape: &[usize]) -> Result<u64, Fault> {
    let product = shape.iter().try_fold(number.bytes, |all, &n| all.checked_mul(n));
    product.map(|n| n as u64).ok_or_else(|| corrupt(path, &"its shape is too large"))
}

fn archive(path: &Path) -> Result<zip::ZipArchive<File>, Fault> {
    let file = File::open(path).map_err(|e| Fault::io(path, &e))?;
    zip::ZipArchive::new(file).map_err(|e| corrupt(path, &e))
}

fn header(from: &mut impl Read, path: &Path) -> Result<(Number, Vec<usize>), Fault> {
    let broken = |_| corrupt(path, &"it ends in its header");
    let mut start = [0; 8];
    from.read_exact(&mut start).map_err(broken)?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err(corrupt(path, &"it is no NPY"));
    }
    let mut length = [0; 4];
    from.read_exact(&mut length[..if start[6] == 1 { 2 } else { 4 }]).map_err(broken)?;
    let mut text = Vec::new();
    let length = u64::from(u32::from_le_bytes(length));
    from.take(length).read_to_end(&mut text).map_err(broken)?;
    if text.len() as u64 != length {
        return Err(corrupt(path, &"it ends in its header"));
    }
    let text = String::from_utf8_lossy(&text).replace(' ', "");
    let after = |key: &str| text.split_once(&format!("'{key}':")).map(|(_, rest)| rest);
    let kind = after("descr").and_then(|r| r.strip_prefix('\'')).and_then(|r| r.split('\'').next());
    let shape = after("shape").and_then(|r| r.strip_prefix('(')).and_then(|r| r.split(')').next());
    let (Some(kind), Some(shape)) = (kind, shape) else {
        return Err(corrupt(path, &"its header has no type or no shape"));
    };
    if after("fortran_order").is_some_and(|r| r.starts_with("True")) {
        let hint = "save it with numpy.ascontiguousarray";
        return Err(Fault::new(path.display().to_string(), "is column-major", hint));
    }
    let sizes: Result<Vec<usize>, _> = shape.split(',').filter(|s| !s.is_empty()).map(str::parse).collect();
    let sizes = sizes.map_err(|_| corrupt(path, &format!("its shape is ({shape})")))?;
    let (order, rest) = kind.split_at_checked(1).unwrap_or_default();
    let bytes = rest.get(1..).and_then(|n| n.parse().ok()).unwrap_or(0);
    let number = Number { kind: rest.bytes().next().unwrap_or(0), bytes, big: order == ">" };
    Ok((known(number).ok_or_else(|| unknown(path, kind))?, sizes))
}

fn known(number: Number) -> Option<Number> {
    let sizes: &[usize] = match number.kind {
        b'b' => &[1],
        b'u' | b'i' => &[1, 2, 4, 8],
        b'f' => &[4, 8],
        _ => &[],
    };
    sizes.contains(&number.bytes).then_some(number)
}

fn idx_header(from: &mut impl Read, path: &Path) -> Result<(Number, Vec<usize>), Fault> {
    let broken = |_| corrupt(path, &"it ends in its header");
    let mut start = [0; 4];
    from.read_exact(&mut start).map_err(broken)?;
    let [0, 0, kind, rank] = start else { return Err(corrupt(path, &"it is no IDX")) };
    let (kind, bytes) = match kind {
        8 => (b'u', 1),
        9 => (b'i', 1),
        0xb => (b'i', 2),
        0xc => (b'i', 4),
        0xd => (b'f', 4),
        0xe => (b'f', 8),
        other => return Err(unknown(path, &format!("{other:#x}"))),
    };
    let mut shape = Vec::new();
    for _ in 0..rank {
        let mut size = [0; 4];
        from.read_exact(&mut size).map_err(broken)?;
        shape.push(u32::from_be_bytes(size) as usize);
    }
    Ok((Number { kind, bytes, big: true }, shape))
}

fn unknown(path: &Path, kind: &str) -> Fault {
    let what = format!("holds values of the type {kind}");
    Fault::new(path.display().to_string(), what, "save numbers of 8 to 64 bits, floats of 32 or 64")
}

fn corrupt(path: &Path, error: &dyn fmt::Display) -> Fault {
    Fault::new(
        path.display().to_string(),
        format!("cannot be read: {error}"),
        "save it again from its source",
    )
}

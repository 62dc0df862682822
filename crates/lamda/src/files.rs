//! Reading models and writing files: `.lamda` or `.onnx` wherever a model is meant.

use crate::exit::{ExitCode, Failure};
use anyhow::Context;
use lamda_dsl::{Color, Module, RaiseError, terminal};
use lamda_ir::{Diagnostic, Graph, Weights, costs, init_weights};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// The largest file that is read; protobuf's own limit.
const MAX_BYTES: u64 = i32::MAX as u64;

/// The largest text that is read, to say what is wrong with it.
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// The most bytes of weights in single precision: what an ONNX file holds.
pub const MAX_WEIGHT_BYTES: u64 = i32::MAX as u64;

/// The most bytes of activations of one sample.
pub const MAX_ACTIVATION_BYTES: u64 = 4 << 30;

/// A model as it was read.
pub struct Model {
    /// Its text; of an ONNX file, as the printer writes it.
    pub text: String,
    /// What was written; of an ONNX file, its network in words, which not every one has.
    module: Result<Module, RaiseError>,
    /// The network, when there is no error.
    pub graph: Option<Graph>,
    /// Its weights, when the file or the one beside it has them.
    pub weights: Option<Weights>,
    /// Every fault.
    pub diagnostics: Vec<Diagnostic>,
}

impl Model {
    /// The network.
    ///
    /// # Errors
    /// The model has faults; they are in the error.
    pub fn graph(&self, path: &Path) -> anyhow::Result<&Graph> {
        self.graph.as_ref().ok_or_else(|| {
            let rendered = terminal(&path.display().to_string(), &self.text, &self.diagnostics, Color::Never);
            let message = format!("{} does not check\n{rendered}", path.display());
            Failure { code: ExitCode::No, message, hint: None }.into()
        })
    }

    /// What was written.
    ///
    /// # Errors
    /// An ONNX file with what the language has no word for.
    pub fn module(&self, path: &Path) -> anyhow::Result<&Module> {
        self.module.as_ref().map_err(|error| {
            let message = format!("{} cannot be written in the language: {error}", path.display());
            let hint = Some("it can be measured as it is: `lamda measure`".to_owned());
            Failure { code: ExitCode::No, message, hint }.into()
        })
    }

    /// The weights, or fresh ones.
    ///
    /// # Errors
    /// The network is larger than anything that runs here.
    pub fn weights_or_fresh(&self, path: &Path, graph: &Graph, seed: u64) -> anyhow::Result<Weights> {
        check_size(path, graph)?;
        Ok(self.weights.clone().unwrap_or_else(|| init_weights(graph, seed)))
    }
}

/// Whether a network may be made in memory: a text of a line can ask for terabytes.
///
/// # Errors
/// It has more weights or activations than [`MAX_WEIGHT_BYTES`] and [`MAX_ACTIVATION_BYTES`].
pub fn check_size(path: &Path, graph: &Graph) -> anyhow::Result<()> {
    let cost = costs(graph);
    let weights = cost.params.saturating_mul(4);
    let needs = if weights > MAX_WEIGHT_BYTES {
        format!("{weights} bytes of weights, the most is {MAX_WEIGHT_BYTES}")
    } else if let Some(peak) = cost.peak_activation_bytes.filter(|peak| *peak > MAX_ACTIVATION_BYTES) {
        format!("{peak} bytes of activations, the most is {MAX_ACTIVATION_BYTES}")
    } else {
        return Ok(());
    };
    let message = format!("{} is too large: it needs {needs}", path.display());
    Err(Failure::usage(message, "make it narrower or shallower; `lamda show --costs` says where it is large"))
}

/// Whether a path names an ONNX file.
pub fn is_onnx(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx"))
}

/// Reads a model. The weights of `net.lamda` are those of `net.safetensors` beside it, if it exists.
///
/// # Errors
/// The file cannot be read, is no ONNX, or the weights beside it do not fit. Faults of a text are no error here.
pub fn read_model(path: &Path) -> anyhow::Result<Model> {
    if is_onnx(path) {
        let bytes = read(path, MAX_BYTES)?;
        let imported =
            lamda_format::import(&bytes).with_context(|| format!("cannot read {}", path.display()))?;
        let module = lamda_dsl::fold(&imported.graph);
        let text = module.as_ref().map(lamda_dsl::print).unwrap_or_default();
        let (graph, weights) = (Some(imported.graph), Some(imported.weights));
        return Ok(Model { text, module, graph, weights, diagnostics: Vec::new() });
    }
    let mut text = read_text(path)?;
    let checked = lamda_dsl::check(&text);
    // Beyond what the language reads there is nothing to point at, and pointing takes memory for every line.
    text.truncate(text.floor_char_boundary(lamda_dsl::MAX_BYTES));
    let mut weights = None;
    let beside = path.with_extension("safetensors");
    if let Some(graph) = checked.graph()
        && beside.exists()
    {
        let read = lamda_format::read_weights(&read(&beside, MAX_BYTES)?)
            .with_context(|| format!("cannot read {}", beside.display()))?;
        read.check(graph).map_err(|error| {
            Failure::usage(
                format!("{} does not fit {}: {error}", beside.display(), path.display()),
                "train the model again, or move the file with the weights away",
            )
        })?;
        weights = Some(read);
    }
    Ok(Model {
        text,
        module: Ok(checked.module),
        graph: checked.expansion.graph,
        weights,
        diagnostics: checked.diagnostics,
    })
}

/// The text of a file.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn read_text(path: &Path) -> anyhow::Result<String> {
    String::from_utf8(read(path, MAX_TEXT_BYTES)?).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let message = format!("{} is not UTF-8 text at byte {at}", path.display());
        Failure::usage(message, "give a .lamda or a .onnx file")
    })
}

/// The bytes of a file.
///
/// # Errors
/// It does not exist, is a folder, has more than `most` bytes or cannot be read.
fn read(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let name = path.display();
    if path.is_dir() {
        return Err(Failure::usage(format!("{name} is a folder"), "give a .lamda or a .onnx file"));
    }
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    read.map_err(|source| {
        let hint = match source.kind() {
            ErrorKind::NotFound => "check the path",
            ErrorKind::PermissionDenied => "make the file readable for this user",
            _ => "give a .lamda or a .onnx file",
        };
        Failure::usage(format!("cannot read {name}: {source}"), hint)
    })?;
    if bytes.len() as u64 > most {
        return Err(Failure::usage(format!("{name} has more than {most} bytes"), "give a smaller file"));
    }
    Ok(bytes)
}

/// The bytes of an ONNX file, whatever it holds.
///
/// # Errors
/// It cannot be read.
pub fn read_onnx(path: &Path) -> anyhow::Result<Vec<u8>> {
    read(path, MAX_BYTES)
}

/// Writes a file whole or not at all.
///
/// # Errors
/// The folder cannot be written or the disk is full; what was there before is untouched.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_all(&[(path, bytes)])
}

/// Writes files that belong together: each whole beside its place first, then all into their places.
///
/// # Errors
/// A folder cannot be written or the disk is full; what was there before is untouched.
pub fn write_all(files: &[(&Path, &[u8])]) -> anyhow::Result<()> {
    let mut staged = Vec::new();
    for (path, bytes) in files {
        staged.push((path, Staged::new(path, bytes).map_err(|source| cannot_write(path, &source))?));
    }
    for (path, file) in staged {
        file.place().map_err(|source| cannot_write(path, &source))?;
    }
    Ok(())
}

/// Whether a file can be written, found out before the work whose result it is to hold.
///
/// # Errors
/// As [`write`], but for the space.
pub fn check_writable(path: &Path) -> anyhow::Result<()> {
    match special(path) {
        true => Ok(()),
        false => Staged::new(path, &[]).map(drop).map_err(|source| cannot_write(path, &source)),
    }
}

/// A file that is written beside its place. It goes away unless it is placed.
struct Staged {
    part: PathBuf,
    target: PathBuf,
}

impl Staged {
    /// Links are followed and permissions kept. What is no plain file, such as `/dev/null`, is written at once and stays
    /// what it is.
    fn new(path: &Path, bytes: &[u8]) -> std::io::Result<Staged> {
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if special(path) {
            std::fs::OpenOptions::new().write(true).open(path)?.write_all(bytes)?;
            return Ok(Staged { part: PathBuf::new(), target });
        }
        let before = std::fs::metadata(&target).ok();
        if before.as_ref().is_some_and(std::fs::Metadata::is_dir) {
            return Err(ErrorKind::IsADirectory.into());
        }
        if before.as_ref().is_some_and(|m| m.permissions().readonly()) {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let part = folder_of(&target).join(format!(".{name}.{}.part", std::process::id()));
        let mut file = std::fs::File::create(&part)?;
        let staged = Staged { part, target };
        file.write_all(bytes)?;
        if let Some(before) = before {
            file.set_permissions(before.permissions())?;
        }
        file.sync_all()?;
        Ok(staged)
    }

    fn place(self) -> std::io::Result<()> {
        match self.part.as_os_str().is_empty() {
            true => Ok(()),
            false => std::fs::rename(&self.part, &self.target),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.part.as_os_str().is_empty() {
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

fn special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn cannot_write(path: &Path, source: &std::io::Error) -> anyhow::Error {
    let folder = folder_of(path);
    let hint = match source.kind() {
        ErrorKind::NotFound => format!("make the folder first: mkdir -p '{}'", folder.display()),
        ErrorKind::IsADirectory | ErrorKind::NotADirectory => {
            "name a file, in a folder that exists".to_owned()
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "name a file that may be written, in a folder that may be written".to_owned()
        }
        _ => "free some space or choose another folder".to_owned(),
    };
    Failure::usage(format!("cannot write {}: {source}", path.display()), hint)
}

//! Runs a property on made-up inputs for some minutes, and writes what breaks it to `corpus/found/KIND/`.
//!
//! The work is done in a child process, so that a stack that overflows, a loop without an end and memory without a
//! bound end the child only: the parent keeps its input and starts the next child. A find is: a panic, a broken
//! property, more than [`SECONDS`] of the processor for one input, or a process beyond [`RESIDENT`] bytes. Time and
//! memory are read from `/proc`; elsewhere the clock on the wall counts, and memory is not seen.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Seconds of the processor that one input may take.
const SECONDS: f64 = 2.0;
/// Bytes that the process may hold.
const RESIDENT: u64 = 1 << 30;
/// How many inputs of one complaint are kept.
const OF_ONE_KIND: u32 = 2;

/// Numbers that follow from a seed (splitmix64).
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 when `n` is.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next() % n as u64) as usize }
    }

    /// One of some; there must be one.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// What the command line says.
pub(crate) struct Options {
    /// The words that are no options.
    pub(crate) words: Vec<String>,
    minutes: f64,
    seed: u64,
    child: Option<PathBuf>,
}

impl Options {
    /// `KIND... [--minutes 20] [--seed 1]`
    pub(crate) fn read() -> Result<Options, String> {
        let mut options = Options { words: Vec::new(), minutes: 20.0, seed: 1, child: None };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--minutes" => options.minutes = value()?.parse().map_err(|_| "--minutes is a number")?,
                "--seed" => options.seed = value()?.parse().map_err(|_| "--seed is a whole number")?,
                "--child" => options.child = Some(value()?.into()),
                _ => options.words.push(arg),
            }
        }
        Ok(options)
    }
}

/// Counts of a run.
#[derive(Clone, Copy, Default)]
struct Counts {
    inputs: u64,
    accepted: u64,
    finds: u64,
}

/// Runs `property` on inputs of `make` until the time is over. The property says whether the input was accepted by
/// what is tested, or what is wrong.
pub(crate) fn run(
    options: &Options,
    kind: &str,
    extension: &str,
    make: impl FnMut(&mut Rng) -> Vec<u8>,
    property: impl Fn(&[u8]) -> Result<bool, String>,
) -> io::Result<()> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/found").join(kind);
    let keep = Keep { found, extension: extension.to_owned() };
    match &options.child {
        Some(scratch) => child(options, scratch, &keep, make, property),
        None => parent(options, kind, &keep),
    }
}

struct Keep {
    found: PathBuf,
    extension: String,
}

impl Keep {
    fn write(&self, input: &[u8], why: &str) -> io::Result<()> {
        let mut hasher = DefaultHasher::new();
        input.hash(&mut hasher);
        std::fs::create_dir_all(&self.found)?;
        let file = self.found.join(format!("{:016x}.{}", hasher.finish(), self.extension));
        println!("FOUND {}: {}", file.display(), why.lines().take(12).collect::<Vec<_>>().join(" | "));
        std::fs::write(file, input)
    }
}

fn parent(options: &Options, kind: &str, keep: &Keep) -> io::Result<()> {
    let scratch = std::env::temp_dir().join(format!("lamda-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let start = Instant::now();
    let mut total = Counts::default();
    let mut seed = options.seed;
    loop {
        let left = options.minutes - start.elapsed().as_secs_f64() / 60.0;
        if left <= 0.0 {
            break;
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&options.words).arg("--child").arg(&scratch);
        let status =
            command.args(["--seed", &seed.to_string()]).args(["--minutes", &left.to_string()]).status()?;
        let counts = std::fs::read_to_string(scratch.join("counts")).unwrap_or_default();
        let mut counts = counts.split(' ').map(|n| n.parse::<u64>().unwrap_or(0));
        let mut next = || counts.next().unwrap_or(0);
        let counts = Counts { inputs: next(), accepted: next(), finds: next() };
        total.inputs += counts.inputs;
        total.accepted += counts.accepted;
        total.finds += counts.finds;
        if !status.success() {
            let why = std::fs::read_to_string(scratch.join("why")).unwrap_or(format!("ended by {status}"));
            keep.write(&std::fs::read(scratch.join("input"))?, &why)?;
            total.finds += 1;
        }
        seed += 1;
    }
    std::fs::remove_dir_all(&scratch)?;
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    println!(
        "{kind}: {minutes:.1} minutes, {} inputs, {} accepted, {} finds",
        total.inputs, total.accepted, total.finds
    );
    Ok(())
}

fn child(
    options: &Options,
    scratch: &Path,
    keep: &Keep,
    mut make: impl FnMut(&mut Rng) -> Vec<u8>,
    property: impl Fn(&[u8]) -> Result<bool, String>,
) -> io::Result<()> {
    let _ = std::fs::remove_file(scratch.join("why"));
    let said = Arc::new(Mutex::new(String::new()));
    let hook = Arc::clone(&said);
    std::panic::set_hook(Box::new(move |info| {
        if let Ok(mut said) = hook.lock() {
            *said = info.to_string();
        }
    }));
    // When the input at work began, in seconds of the processor.
    let began = Arc::new(Mutex::new(used(Instant::now())));
    watch(scratch.to_owned(), Arc::clone(&began));
    let mut rng = Rng(options.seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let (start, mut shown) = (Instant::now(), Instant::now());
    let mut counts = Counts::default();
    let mut complaints: HashMap<String, u32> = HashMap::new();
    while start.elapsed().as_secs_f64() < options.minutes * 60.0 {
        let input = make(&mut rng);
        std::fs::write(scratch.join("input"), &input)?;
        if let Ok(mut began) = began.lock() {
            *began = used(start);
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| property(&input)))
            .unwrap_or_else(|_| Err(said.lock().map_or_else(|_| String::new(), |s| format!("panic: {s}"))));
        counts.inputs += 1;
        match outcome {
            Ok(accepted) => counts.accepted += u64::from(accepted),
            Err(why) => {
                let key: String = why.chars().filter(|c| !c.is_ascii_digit()).take(60).collect();
                let seen = complaints.entry(key).or_default();
                *seen += 1;
                if *seen <= OF_ONE_KIND {
                    keep.write(&input, &why)?;
                    counts.finds += 1;
                }
            }
        }
        if shown.elapsed() > Duration::from_secs(1) || counts.inputs % 64 == 0 {
            let Counts { inputs, accepted, finds } = counts;
            std::fs::write(scratch.join("counts"), format!("{inputs} {accepted} {finds}"))?;
            shown = Instant::now();
        }
    }
    Ok(())
}

/// Ends the process when an input takes too much.
fn watch(scratch: PathBuf, began: Arc<Mutex<f64>>) {
    let start = Instant::now();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let seconds = used(start) - began.lock().map_or(f64::MAX, |b| *b);
            let bytes = resident();
            if seconds > SECONDS || bytes > RESIDENT {
                let why = format!("{seconds:.1} s and {} MB for one input", bytes >> 20);
                let _ = std::fs::write(scratch.join("why"), why);
                std::process::exit(3);
            }
        }
    });
}

/// Seconds of the processor, or of the clock where they cannot be read.
fn used(start: Instant) -> f64 {
    let ticks = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| {
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
    });
    ticks.map_or_else(|| start.elapsed().as_secs_f64(), |ticks| ticks / 100.0)
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

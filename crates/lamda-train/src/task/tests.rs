//! Folders of each kind, made here, opened as tasks; and everything that can be wrong with them, named.

use super::{Fault, Kind, Task, TaskError};
use lamda_ir::Layout;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A grey 64x64 JPEG: one quantiser, one code of one bit for "no difference" and one for "end of block", 64 blocks.
fn jpeg() -> Vec<u8> {
    let table = |class: u8| [&[0xff, 0xc4, 0, 20, class, 1][..], &[0; 15], &[0]].concat();
    [
        &[0xff, 0xd8, 0xff, 0xdb, 0, 67, 0][..],
        &[1; 64],
        &[0xff, 0xc0, 0, 11, 8, 0, 64, 0, 64, 1, 1, 0x11, 0],
        &table(0),
        &table(0x10),
        &[0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0],
        &[0; 16],
        &[0xff, 0xd9],
    ]
    .concat()
}

struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn png(&self, name: &str, size: u32, value: u8) {
        let file = fs::File::create(self.path(name)).unwrap();
        let mut encoder = png::Encoder::new(file, size, size);
        encoder.set_color(png::ColorType::Grayscale);
        let mut writer = encoder.write_header().unwrap();
        let bytes: Vec<u8> = (0..size * size).map(|i| value.wrapping_add(i as u8)).collect();
        writer.write_image_data(&bytes).unwrap();
    }

    fn wav(&self, name: &str, rate: u32, samples: usize, pitch: f32) {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(self.path(name), spec).unwrap();
        for i in 0..samples {
            writer.write_sample(((i as f32 * pitch).sin() * 9000.0) as i16).unwrap();
        }
        writer.finalize().unwrap();
    }

    fn open(&self, name: &str) -> Result<Task, TaskError> {
        Task::find(self.0.path().join(name).to_str().unwrap())
    }

    fn faults(&self) -> Vec<Fault> {
        match self.open("") {
            Err(TaskError::Data { faults, .. }) => faults,
            other => panic!("{:?}", other.map(|t| t.about)),
        }
    }

    /// The one fault is of this file, and says this.
    fn fails(&self, place: &str, what: &str) {
        let faults = self.faults();
        let [fault] = &faults[..] else { panic!("{faults:?}") };
        assert!(fault.place.contains(place) && fault.what.contains(what), "{fault:?}");
        assert!(Path::new(fault.place.split(' ').next().unwrap()).exists(), "{fault:?}");
        assert!(!fault.hint.is_empty());
    }
}

fn images(place: &Place) {
    for (class, base) in [("cat", 0u8), ("dog", 120)] {
        for i in 0..10u8 {
            place.png(&format!("{class}/{class}{i}.png"), 8, base + 3 * i);
        }
    }
}

fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(values);
    bytes
}

#[test]
fn an_image_folder_explains_itself() {
    let place = Place::new();
    images(&place);
    let mut task = place.open("").unwrap();
    assert_eq!((task.classes.join(" "), task.kind), ("cat dog".into(), Kind::Classification));
    assert_eq!(task.input.to_string(), "f32[N, 1, 8, 8]");
    let test = task.take_test().unwrap();
    assert_eq!((task.train.len(), task.validation.len(), test.len()), (14, 2, 4));
    assert_eq!(test.class_counts(2), [2, 2]);
    let values = task.train.read_range(0..task.train.len()).unwrap();
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    assert!(mean.abs() < 1e-4, "the training split has mean 0, not {mean}");
    assert!(lamda_ir::DType::F32 == task.input.dtype);
}

#[test]
fn a_seed_decides_the_split_and_another_another() {
    let place = Place::new();
    images(&place);
    let first = |seed: u64| {
        place.write("task.toml", format!("schema = 1\n[split]\nseed = {seed}"));
        let task = place.open("").unwrap();
        task.validation.read_range(0..task.validation.len()).unwrap()
    };
    assert_eq!(first(1), first(1));
    assert!((2..12).any(|seed| first(seed) != first(1)));
}

#[test]
fn what_is_wrong_with_images_is_named() {
    let place = Place::new();
    images(&place);
    place.write("dog/torn.jpg", &jpeg()[..jpeg().len() - 12]);
    place.fails("torn.jpg", "cannot be decoded");
    place.write("dog/torn.jpg", jpeg());
    let resized = place.open("").unwrap();
    assert!(resized.remarks.iter().any(|r| r.contains("several sizes")), "{:?}", resized.remarks);
    fs::remove_file(place.path("dog/torn.jpg")).unwrap();

    fs::create_dir(place.0.path().join("bird")).unwrap();
    place.fails("bird", "no sample");
    fs::remove_dir(place.0.path().join("bird")).unwrap();

    place.write("loose.png", fs::read(place.path("cat/cat0.png")).unwrap());
    place.fails("loose.png", "nothing says its class");
}

#[test]
fn one_image_is_never_in_training_and_in_test() {
    let place = Place::new();
    for (split, base) in [("train", 0u8), ("val", 60), ("test", 90)] {
        for (class, more) in [("cat", 0u8), ("dog", 128)] {
            for i in 0..4u8 {
                place.png(&format!("{split}/{class}/{split}{i}.png"), 8, base + more + 5 * i);
            }
        }
    }
    let task = place.open("").unwrap();
    assert_eq!((task.train.len(), task.validation.len(), task.test_len()), (8, 8, Some(8)));
    fs::copy(place.path("train/cat/train0.png"), place.path("test/cat/other.png")).unwrap();
    let faults = place.faults();
    assert!(faults.len() == 1 && faults[0].what.contains("same content"), "{faults:?}");
    fs::remove_file(place.path("test/cat/other.png")).unwrap();
    place.png("test/cat/train0.png", 8, 250);
    place.fails("train0.png", "has the name of");
    place.write("task.toml", "schema = 1\n[split]\nallow_same_names = true");
    assert_eq!(place.open("").unwrap().test_len(), Some(9));
}

#[test]
fn equal_images_are_kept_together_when_splits_are_drawn() {
    let place = Place::new();
    images(&place);
    for i in 0..10 {
        fs::copy(place.path(&format!("cat/cat{i}.png")), place.path(&format!("cat/again{i}.png"))).unwrap();
    }
    for seed in 0..5 {
        place.write("task.toml", format!("schema = 1\n[split]\nseed = {seed}\ntest = 0.4"));
        let task = place.open("").unwrap();
        assert_eq!(task.test_counts().unwrap()[0] % 2, 0);
    }
}

#[test]
fn wav_files_go_through_their_front_end() {
    let place = Place::new();
    for speaker in ["ann", "bob", "cy"] {
        for (digit, pitch) in [(0, 0.3), (1, 0.6)] {
            for i in 0..4 {
                let more = speaker.len() as f32 * 0.01
                    + f32::from(speaker.as_bytes()[0]) * 0.001
                    + i as f32 * 0.0037;
                place.wav(&format!("{digit}_{speaker}_{i}.wav"), 8000, 4000, pitch + more);
            }
        }
    }
    let toml = |split: &str| {
        let text = format!(
            "schema = 1\n[data]\npattern = \"{{label}}_{{speaker}}_{{index}}.wav\"\n[split]\n{split}"
        );
        place.write("task.toml", text);
    };
    toml("group = \"speaker\"\nvalidation = 0.3\ntest = { field = \"speaker\", is = [\"bob\"] }");
    let task = place.open("task.toml").unwrap();
    assert_eq!((task.train.len(), task.validation.len(), task.test_len()), (8, 8, Some(8)));
    assert_eq!(task.input.to_string(), "f32[N, 1, 40, 30]");
    assert!(task.preprocessing.contains("HTK mel") && task.train.decodes());
    toml("test = { field = \"index\", is = [\"0..1\"] }");
    assert_eq!(place.open("").unwrap().test_len(), Some(12));
    toml("test = { field = \"indx\", is = [\"0\"] }");
    let said = place.open("").unwrap_err().to_string();
    assert!(said.contains("chooses no sample") && said.contains("index, label, path, speaker"), "{said}");

    toml("");
    place.wav("0_dan_0.wav", 16_000, 4000, 0.5);
    place.fails("0_dan_0.wav", "16000 samples a second");
    place.write("0_dan_0.wav", "RIFF nothing");
    place.fails("0_dan_0.wav", "cannot be decoded");
    fs::remove_file(place.path("0_dan_0.wav")).unwrap();
    place.wav("zero.wav", 8000, 4000, 0.5);
    place.fails("zero.wav", "does not match the pattern");
}

#[test]
fn archives_of_arrays_bring_their_test_split() {
    let place = Place::new();
    let write = |labels: [u8; 12]| {
        let mut archive = zip::ZipWriter::new(fs::File::create(place.path("d.npz")).unwrap());
        let options =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        let values: Vec<u8> = (0..48).map(|v| v * 5).collect();
        for (name, bytes) in [
            ("x_train", npy("|u1", "(12, 2, 2)", &values)),
            ("y_train", npy("|u1", "(12,)", &labels)),
            ("x_test", npy("|u1", "(2, 2, 2)", &values[1..9])),
            ("y_test", npy("<i8", "(2,)", &[0u64, 1].map(u64::to_le_bytes).concat())),
        ] {
            archive.start_file(format!("{name}.npy"), options).unwrap();
            archive.write_all(&bytes).unwrap();
        }
        archive.finish().unwrap();
    };
    write([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
    let task = place.open("d.npz").unwrap();
    assert_eq!((task.name.as_str(), task.input.to_string().as_str()), ("d", "f32[N, 1, 2, 2]"));
    assert_eq!((task.train.len() + task.validation.len(), task.test_counts()), (12, Some(vec![1, 1])));
    // A label that is no class of what was declared is out of range.
    write([0, 1, 0, 1, 0, 1, 0, 9, 0, 1, 0, 1]);
    place.write("task.toml", "schema = 1\n[data]\npath = \"d.npz\"\nclasses = [\"0\", \"1\"]");
    place.fails("x_train[7]", "label `9`");
}

#[test]
fn npy_and_idx_stay_in_their_files() {
    let place = Place::new();
    let labels: Vec<u8> = (0..20).map(|i| i % 2).collect();
    let floats: Vec<u8> = (0..60).flat_map(|v| (v as f32).to_le_bytes()).collect();
    place.write("npy/x.npy", npy("<f4", "(20, 3)", &floats));
    place.write("npy/y.npy", npy("|u1", "(20,)", &labels));
    let task = place.open("npy").unwrap();
    assert_eq!((task.input.layout, task.input.to_string()), (Layout::Vector, "f32[N, 3]".into()));
    assert!(task.train.decodes());

    let idx = |shape: &[u32], values: &[u8]| {
        let sizes = shape.iter().flat_map(|n| n.to_be_bytes());
        [0, 0, 8, shape.len() as u8]
            .into_iter()
            .chain(sizes)
            .chain(values.iter().copied())
            .collect::<Vec<u8>>()
    };
    let values: Vec<u8> = (0..180).collect();
    place.write("idx/train-images-idx3-ubyte", idx(&[20, 3, 3], &values));
    place.write("idx/train-labels-idx1-ubyte", idx(&[20], &labels));
    assert_eq!(place.open("idx").unwrap().input.to_string(), "f32[N, 1, 3, 3]");
    place.write("idx/train-images-idx3-ubyte", idx(&[20, 3, 3], &values[..170]));
    let said = place.open("idx").unwrap_err().to_string();
    assert!(said.contains("170 bytes of values") && said.contains("train-images"), "{said}");
}

#[test]
fn a_table_is_classes_or_numbers() {
    let place = Place::new();
    let mut text = "a,b,label,price\n".to_owned();
    for i in 0..40 {
        text += &format!("{i},{},{},{}\n", i * i, ["no", "yes"][i % 2], i as f32 / 2.0);
    }
    place.write("t.csv", &text);
    place.write("task.toml", "schema = 1\n[data]\nlabel = \"label\"\ncolumns = [\"a\", \"b\"]");
    assert_eq!(place.open("").unwrap().classes, ["no", "yes"]);
    place.write(
        "task.toml",
        "schema = 1\nkind = \"regression\"\n[data]\nlabel = \"price\"\ncolumns = [\"a\", \"b\"]",
    );
    let task = place.open("").unwrap();
    assert_eq!((task.kind, task.outputs(), task.classes.len()), (Kind::Regression, 1, 0));
    assert!(task.train.targets.iter().all(|t| (0.0..20.0).contains(t)));
    assert_eq!((task.train.len(), task.validation.len(), task.test_len()), (28, 6, Some(6)));
    place.write("t.csv", text.replace("\n7,49,", "\n7,NaN,"));
    place.fails("t.csv line 9", "`b` has NaN");
    place.write("t.csv", text.replace("\n7,49,", "\nx,49,"));
    place.fails("t.csv line 9", "`a` has x");
}

#[test]
fn recordings_are_cut_into_windows() {
    let place = Place::new();
    for (class, slope) in [("up", 1.0), ("down", -1.0)] {
        for i in 0..6 {
            let rows: String = (0..50).map(|t| format!("{},{}\n", f64::from(t) * slope, t * i)).collect();
            place.write(&format!("{class}/{class}{i}.csv"), format!("x,y\n{rows}"));
        }
    }
    let toml = |window| {
        let text = format!("schema = 1\n[data]\nwindow = {window}\nstep = 10\n[split]\ngroup = \"path\"");
        place.write("task.toml", text);
    };
    toml(20);
    let mut task = place.open("").unwrap();
    assert_eq!((task.input.layout, task.input.to_string()), (Layout::Signal, "f32[N, 2, 20]".into()));
    let test = task.take_test().unwrap();
    // Four windows of each file, and a file is in one split.
    assert_eq!([task.train.len() % 4, task.validation.len() % 4, test.len() % 4], [0; 3]);
    assert_eq!(task.train.len() + task.validation.len() + test.len(), 48);
    toml(51);
    let faults = place.faults();
    assert!(faults.len() == 12 && faults[0].what.contains("fewer than the window of 51"), "{faults:?}");
}

#[test]
fn sequences_of_json_are_brought_to_one_length() {
    let place = Place::new();
    for digit in 0..2 {
        let points = |i: usize| -> String {
            let point = |t: usize| format!("{{\"x\": {}, \"y\": {}}}", t * (i + 1), (t + digit) % 3);
            (0..5 + i).map(point).collect::<Vec<_>>().join(",")
        };
        let strokes: Vec<String> = (0..10).map(|i| format!("{{\"points\": [{}]}}", points(i))).collect();
        place.write(&format!("d_{digit}.json"), format!("{{\"strokes\": [{}]}}", strokes.join(",")));
    }
    place.write(
        "task.toml",
        "schema = 1\n[data]\nformat = \"json\"\npattern = \"d_{label}.json\"\nsequences = \"strokes[].points\"\nresample = 8\n\
         [split]\ntest = { field = \"position\", is = [\"8..9\"] }",
    );
    let task = place.open("").unwrap();
    assert_eq!((task.input.to_string().as_str(), task.test_counts()), ("f32[N, 2, 8]", Some(vec![2, 2])));
}

#[test]
fn a_mixed_folder_is_asked_about() {
    let place = Place::new();
    images(&place);
    place.write("notes.csv", "a,b\n1,2\n");
    let said = place.open("").unwrap_err().to_string();
    assert!(said.contains("1 csv, 20 images") && said.contains("data.format"), "{said}");
}

#[test]
fn parquet_is_a_table_like_any_other() {
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
    use parquet::file::writer::SerializedFileWriter;
    let place = Place::new();
    let schema = "message rows { required double a; required binary label (UTF8); }";
    let schema = std::sync::Arc::new(parquet::schema::parser::parse_message_type(schema).unwrap());
    let write = |bad: f64| {
        let file = fs::File::create(place.path("t.parquet")).unwrap();
        let mut writer = SerializedFileWriter::new(file, schema.clone(), std::sync::Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut numbers: Vec<f64> = (0..20).map(f64::from).collect();
        numbers[5] = bad;
        let labels: Vec<ByteArray> = (0..20).map(|i| ["no", "yes"][i % 2].into()).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&numbers, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&labels, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
    };
    write(5.0);
    let task = place.open("t.parquet").unwrap();
    assert_eq!((task.classes.join(" "), task.input.to_string()), ("no yes".into(), "f32[N, 1]".into()));
    write(f64::NAN);
    place.fails("t.parquet row 5", "`a` has NaN");
}

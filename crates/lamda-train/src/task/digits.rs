//! `digits`: 1,797 images of handwritten digits, 8x8 (Alpaydin and Kaynak, UCI, 1998; CC BY 4.0).
//!
//! The split is by rule, so that anyone can make it again: the `i`-th image of each class, in the order of
//! the file, is test where `i % 5 == 4`, validation where `i % 5 == 3`, and training otherwise.

use super::{Kind, Split, Task};
use crate::recipe::{Augmentation, Recipe};
use lamda_ir::{Layout, TensorType};

const DATA: &[u8] = include_bytes!("../../data/digits.bin");
const PIXELS: usize = 64;

const REFERENCE: &str = "\
model digits_reference(x: f32[N, 1, 8, 8]) -> logits {
  stem: conv 32 k=3; bn; relu
  body:
    conv 32 k=3; bn; relu; maxpool 2
    repeat 2 { conv 64 k=3; bn; relu }
  head: gap; linear 10
}
";

pub(super) fn task() -> Task {
    let mut splits: [(Vec<f32>, Vec<u32>); 3] = Default::default();
    let mut seen = [0usize; 10];
    for row in DATA.chunks_exact(PIXELS + 1) {
        let label = row[PIXELS];
        let count = &mut seen[usize::from(label)];
        let split = &mut splits[[0, 0, 0, 1, 2][*count % 5]];
        *count += 1;
        split.0.extend(row[..PIXELS].iter().map(|&p| f32::from(p) / 16.0));
        split.1.push(u32::from(label));
    }
    let [train, validation, test] = splits.map(|(values, labels)| Split::in_memory(values, labels));
    Task {
        name: "digits".to_owned(),
        about: "handwritten digits, 8x8 grey pixels, ten classes".to_owned(),
        preprocessing: "pixels of 0 to 16 divided by 16".to_owned(),
        source: "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository \
                 (1998), https://doi.org/10.24432/C50P49, CC BY 4.0; the 1,797 images that scikit-learn carries".to_owned(),
        input: TensorType::batched(Layout::Map, &[1, 8, 8]),
        classes: (0..10).map(|d| d.to_string()).collect(),
        reference: REFERENCE.to_owned(),
        kind: Kind::Classification,
        remarks: Vec::new(),
        recipe: Recipe { augmentation: Augmentation { shift: 1, scale: 0.1, ..Augmentation::default() }, ..Recipe::classification(40) },
        train,
        validation,
        test: Some(test),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskError;

    #[test]
    fn the_split_is_stratified_and_complete() {
        let mut task = task();
        let test = task.take_test().unwrap();
        assert_eq!((task.train.len(), task.validation.len(), test.len()), (1085, 357, 355));
        assert!(task.take_test().is_none(), "the test split is given once");
        for (split, share) in [(&task.train, 0.6), (&task.validation, 0.2), (&test, 0.2)] {
            for count in split.class_counts(10) {
                assert!((count as f64 / 179.7 - share).abs() < 0.02, "{count}");
            }
            let values = split.read_range(0..split.len()).unwrap();
            assert!(values.iter().all(|v| (0.0..=1.0).contains(v)));
            assert_eq!(split.sample_len(), PIXELS);
        }
    }

    #[test]
    fn an_unknown_task_names_the_nearest() {
        let nearest = |name: &str| match Task::find(name) {
            Err(TaskError::Unknown(unknown)) => unknown.nearest,
            other => panic!("{other:?}"),
        };
        assert_eq!((nearest("digit"), nearest("qqq")), (Some("digits"), None));
    }
}

//! Folders of WAV files: clips of one length, as they are `[1, samples]` or through a front end `[1, rows, frames]`.
//!
//! Integer samples are divided by their type's range, channels averaged. A recording that is longer than the clip is cut
//! about its middle, a shorter one is padded with silence on both sides.

use super::error::{Fault, TaskError};
use super::items::{Items, files};
use super::mel::{Mel, MelOptions};
use super::samples::{Cached, Samples};
use super::spec::{FrontEndKind, Spec};
use crate::recipe::{Augmentation, Fill};
use hound::{SampleFormat, WavReader};
use lamda_ir::Layout;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug)]
struct Clips {
    paths: Vec<PathBuf>,
    samples: usize,
    mel: Option<Mel>,
}

impl Samples for Clips {
    fn read(&self, i: usize, into: &mut [f32]) -> Result<(), Fault> {
        let clip = clip(&decode(&self.paths[i])?, self.samples);
        match &self.mel {
            Some(mel) => mel.apply(&clip, into),
            None => into.copy_from_slice(&clip),
        }
        Ok(())
    }

    fn decodes(&self) -> bool {
        true
    }
}

pub(super) fn read(spec: &Spec, root: &Path, budget: usize) -> Result<Items, TaskError> {
    let unclear = |what: String| TaskError::Unclear { path: root.to_owned(), what };
    let mut faults = Vec::new();
    let files = files(spec, root, &["wav"], true, &mut faults)?;
    let mut headers = Vec::new();
    for file in &files {
        match header(&file.path) {
            Ok(found) => headers.push((file.item.place.clone(), found)),
            Err(fault) => faults.push(fault),
        }
    }
    let mut rates: BTreeMap<u32, usize> = BTreeMap::new();
    headers.iter().for_each(|(_, (rate, _))| *rates.entry(*rate).or_default() += 1);
    let usual = rates.iter().max_by_key(|(_, count)| **count).map(|(rate, _)| *rate);
    let Some(rate) = spec.data.rate.or(usual) else {
        return Err(TaskError::Data { task: super::name_of(spec, root), faults });
    };
    for (place, (found, samples)) in &headers {
        if *found != rate {
            faults.push(Fault::new(
                place.as_str(),
                format!("has {found} samples a second where the task has {rate}"),
                format!("convert it: ffmpeg -i IN -ar {rate} OUT"),
            ));
        } else if *samples == 0 {
            faults.push(Fault::new(place.as_str(), "has no sample", "record it again, or remove it"));
        }
    }
    let mut remarks = Vec::new();
    let samples = match spec.data.seconds {
        Some(seconds) if seconds.is_finite() && seconds > 0.0 => (seconds * f64::from(rate)).round() as usize,
        Some(seconds) => {
            return Err(unclear(format!("data.seconds = {seconds}; a clip has a length above 0")));
        }
        None => {
            let mut lengths: Vec<usize> = headers.iter().map(|(_, (_, samples))| *samples).collect();
            lengths.sort_unstable();
            lengths[(lengths.len() - 1) * 95 / 100]
        }
    };
    let longer = headers.iter().filter(|(_, (_, n))| *n > samples).count();
    if longer > 0 {
        let seconds = samples as f64 / f64::from(rate);
        remarks.push(format!(
            "{longer} recordings are longer than the clip of {seconds:.3} s and are cut about their middle"
        ));
    }
    let mel = front_end(spec, rate, samples).map_err(unclear)?;
    let mut steps = vec![format!(
        "samples from -1 to 1, channels averaged, {samples} about the middle (silence where there are fewer)"
    )];
    let (layout, shape, augmentation) = match &mel {
        Some(mel) => {
            steps.push(mel.describe());
            let (rows, frames) = (mel.rows(), mel.frames(samples));
            let augmentation = Augmentation {
                time_shift: (frames / 10).max(1),
                noise: 0.1,
                mask_time: frames / 8,
                mask_frequency: rows / 8,
                fill: Fill::Edge,
                ..Augmentation::default()
            };
            (Layout::Map, vec![1, rows, frames], augmentation)
        }
        None => {
            let augmentation =
                Augmentation { time_shift: samples / 10, scale: 0.2, noise: 0.02, ..Augmentation::default() };
            (Layout::Signal, vec![1, samples], augmentation)
        }
    };
    let clips = Clips { paths: files.iter().map(|f| f.path.clone()).collect(), samples, mel };
    Ok(Items {
        samples: Arc::new(Cached::new(clips, files.len(), budget)),
        items: files.into_iter().map(|f| f.item).collect(),
        layout,
        shape,
        steps,
        remarks,
        augmentation,
        distinct: true,
        faults,
    })
}

fn front_end(spec: &Spec, rate: u32, samples: usize) -> Result<Option<Mel>, String> {
    let asked = &spec.data.front_end;
    let rate = f64::from(rate);
    let coefficients = match asked.kind {
        FrontEndKind::None => return Ok(None),
        FrontEndKind::LogMel => None,
        FrontEndKind::Mfcc => Some(asked.coefficients),
    };
    let count = |ms: f64| (ms * rate / 1000.0).round();
    let (frame, hop) = (count(asked.frame_ms), count(asked.hop_ms));
    let high_hz = asked.high_hz.unwrap_or(rate / 2.0);
    let whole = frame >= 2.0 && hop >= 1.0 && frame <= samples as f64;
    if !whole {
        return Err(format!(
            "frames of {} ms every {} ms do not fit clips of {samples} samples; change data.front_end or data.seconds",
            asked.frame_ms, asked.hop_ms
        ));
    }
    let band = asked.low_hz >= 0.0 && asked.low_hz < high_hz && high_hz <= rate / 2.0;
    if !band {
        return Err(format!(
            "a band from {} to {high_hz} Hz is not within 0 to {} Hz",
            asked.low_hz,
            rate / 2.0
        ));
    }
    if asked.mels == 0 || coefficients.is_some_and(|n| n == 0 || n > asked.mels) {
        return Err(format!(
            "{} filters with {coefficients:?} coefficients are none; take 1 to mels",
            asked.mels
        ));
    }
    let (frame, hop) = (frame as usize, hop as usize);
    let mel = Mel::new(MelOptions {
        rate,
        frame,
        hop,
        mels: asked.mels,
        low_hz: asked.low_hz,
        high_hz,
        coefficients,
    });
    match mel.empty_filters() {
        0 => Ok(Some(mel)),
        n => Err(format!("{n} of {} filters see no frequency; take fewer mels or longer frames", asked.mels)),
    }
}

/// Samples a second, and samples.
fn header(path: &Path) -> Result<(u32, usize), Fault> {
    let reader = WavReader::open(path).map_err(|e| corrupt(path, &e))?;
    Ok((reader.spec().sample_rate, reader.duration() as usize))
}

fn decode(path: &Path) -> Result<Vec<f32>, Fault> {
    let mut reader = WavReader::open(path).map_err(|e| corrupt(path, &e))?;
    let format = reader.spec();
    let values: Result<Vec<f32>, hound::Error> = match format.sample_format {
        SampleFormat::Float => reader.samples::<f32>().collect(),
        SampleFormat::Int => {
            let range = (1u64 << (format.bits_per_sample - 1)) as f32;
            reader.samples::<i32>().map(|v| v.map(|v| v as f32 / range)).collect()
        }
    };
    let values = values.map_err(|e| corrupt(path, &e))?;
    let channels = usize::from(format.channels).max(1);
    Ok(values.chunks_exact(channels).map(|v| v.iter().sum::<f32>() / channels as f32).collect())
}

fn corrupt(path: &Path, error: &hound::Error) -> Fault {
    Fault::new(
        path.display().to_string(),
        format!("cannot be decoded: {error}"),
        "replace it from its source, or remove it",
    )
}

fn clip(from: &[f32], samples: usize) -> Vec<f32> {
    if from.len() >= samples {
        return from[(from.len() - samples) / 2..][..samples].to_vec();
    }
    let mut clip = vec![0.0; samples];
    clip[(samples - from.len()) / 2..][..from.len()].copy_from_slice(from);
    clip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_about_the_middle() {
        assert_eq!(clip(&[1.0, 2.0, 3.0, 4.0, 5.0], 3), [2.0, 3.0, 4.0]);
        assert_eq!(clip(&[1.0, 2.0], 5), [0.0, 1.0, 2.0, 0.0, 0.0]);
    }
}

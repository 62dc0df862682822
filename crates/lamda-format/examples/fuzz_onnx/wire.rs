//! Changes of protobuf messages that leave them messages: fields are dropped, doubled, moved, taken from another model
//! or changed inside, and the lengths around them follow. What a field means is not known here; a field of bytes that
//! reads as a message is taken for one.

use crate::harness::Rng;
use std::ops::Range;

/// A field: where it stands, and where its content does.
#[derive(Clone)]
struct Field {
    whole: Range<usize>,
    content: Range<usize>,
    kind: u64,
}

/// One change of a message, or of a message in it.
pub(crate) fn change(message: &[u8], donors: &[Vec<u8>], rng: &mut Rng, depth: u32) -> Vec<u8> {
    let Some(fields) = fields(message).filter(|f| !f.is_empty()) else {
        return bytes(message, rng);
    };
    let mut one = rng.pick(&fields).clone();
    // Inner messages are where the nodes are: go into the large ones more often.
    if rng.below(2) == 0 {
        let at = rng.below(message.len());
        one = fields.iter().find(|f| f.whole.contains(&at)).unwrap_or(&one).clone();
    }
    let inner = &message[one.content.clone()];
    if one.kind == 2 && depth < 8 && self::fields(inner).is_some_and(|f| !f.is_empty()) && rng.below(6) > 0 {
        return with(message, &one, change(inner, donors, rng, depth + 1));
    }
    let whole = &message[one.whole.clone()];
    let mut out = message.to_vec();
    match rng.below(6) {
        0 => drop(out.drain(one.whole)),
        1 => drop(out.splice(one.whole.end..one.whole.end, whole.to_vec())),
        2 => {
            let other = rng.pick(&fields).clone();
            out.splice(one.whole.clone(), message[other.whole].to_vec());
        }
        3 => {
            let taken = part(rng.pick::<Vec<u8>>(donors), rng, depth);
            out.splice(one.whole.start..one.whole.start, taken);
        }
        _ if one.kind == 0 => {
            let value = *rng.pick(&[0, 1, 2, 3, 7, 10, 17, 255, 1 << 31, u64::MAX, u64::MAX - 1, 1 << 62]);
            out.splice(one.content, varint(value));
        }
        _ if one.kind == 2 => return with(message, &one, bytes(inner, rng)),
        _ => return with_bytes(message, &one.content, rng),
    }
    out
}

/// A field of another model, from about the same depth.
fn part(message: &[u8], rng: &mut Rng, depth: u32) -> Vec<u8> {
    let Some(fields) = fields(message).filter(|f| !f.is_empty()) else { return message.to_vec() };
    let at = rng.below(message.len());
    let one = fields.iter().find(|f| f.whole.contains(&at)).unwrap_or(&fields[0]);
    match depth {
        0 => message[one.whole.clone()].to_vec(),
        _ => part(&message[one.content.clone()], rng, depth - 1),
    }
}

fn with(message: &[u8], field: &Field, content: Vec<u8>) -> Vec<u8> {
    let mut out = message[..field.whole.start].to_vec();
    let (key, _) = read(message, field.whole.start).unwrap_or((0, 0));
    out.extend(varint(key));
    out.extend(varint(content.len() as u64));
    out.extend(content);
    out.extend(&message[field.whole.end..]);
    out
}

fn with_bytes(message: &[u8], range: &Range<usize>, rng: &mut Rng) -> Vec<u8> {
    let mut out = message.to_vec();
    out.splice(range.clone(), (0..range.len()).map(|_| rng.next() as u8).collect::<Vec<_>>());
    out
}

/// One to four changed, missing or added bytes.
pub(crate) fn bytes(of: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut out = of.to_vec();
    for _ in 0..=rng.below(4) {
        let at = rng.below(out.len());
        match rng.below(5) {
            0 | 1 if !out.is_empty() => out[at] = rng.next() as u8,
            2 if !out.is_empty() => drop(out.remove(at)),
            3 => out.insert(at, rng.next() as u8),
            _ if !out.is_empty() => out[at] ^= 1 << rng.below(8),
            _ => {}
        }
    }
    out
}

fn fields(message: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    let mut at = 0;
    while at < message.len() {
        let (key, start) = read(message, at)?;
        let kind = key & 7;
        let content = match kind {
            0 => start..read(message, start)?.1,
            1 => start..start + 8,
            2 => {
                let (len, start) = read(message, start)?;
                start..start.checked_add(usize::try_from(len).ok()?)?
            }
            5 => start..start + 4,
            _ => return None,
        };
        if key < 8 || content.end > message.len() {
            return None;
        }
        fields.push(Field { whole: at..content.end, content: content.clone(), kind });
        at = content.end;
    }
    Some(fields)
}

fn read(bytes: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some((value, at));
        }
    }
    None
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 127 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

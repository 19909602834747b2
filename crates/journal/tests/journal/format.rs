//! The bytes of format 1, pinned: a journal that this test writes, as text in `golden/`.

use std::fmt::Write;

use expect_test::expect_file;
use journal::MemoryDisk;

use crate::model::{
    Call, Model, descriptor, entry, group, hard_state, open, run_all, state_bytes, without_notes,
};
use consensus::Persist;
use journal::Founding;

/// Every kind of record, two segments, an installed snapshot and one of its own.
fn calls() -> Vec<Call> {
    let (others, own) = (state_bytes(40, 1).slice(..20), state_bytes(43, 1).slice(..20));
    let installed = descriptor(40, 1, &others);
    let install =
        Persist { snapshot: Some(installed.clone()), ..group(hard_state(1, None, 40), vec![]) };
    vec![
        Call::Identity(Founding::Founding),
        Call::Identity(Founding::Founded),
        Call::Save(installed, others),
        Call::Write(vec![install]),
        Call::Write(vec![
            group(hard_state(1, Some(2), 40), vec![entry(41, 1, 0), entry(42, 1, 7)]),
            group(hard_state(1, Some(2), 41), vec![entry(43, 1, 12), entry(44, 1, 40)]),
        ]),
        Call::Write(vec![group(hard_state(2, None, 43), vec![entry(44, 2, 20)])]),
        Call::Save(descriptor(43, 1, &own), own),
        Call::Write(vec![group(hard_state(2, Some(3), 44), vec![entry(45, 2, 5000)])]),
        Call::Write(vec![group(hard_state(3, None, 44), vec![entry(46, 3, 9)])]),
    ]
}

/// Lines of 16 bytes; what repeats the line before is left out.
fn dump(disk: &MemoryDisk) -> String {
    let mut text = String::new();
    for (name, bytes) in disk.contents() {
        writeln!(text, "{name} {}", bytes.len()).expect("a string grows");
        let mut before: &[u8] = &[];
        for (line, chunk) in bytes.chunks(16).enumerate() {
            if chunk != before {
                let hex: Vec<_> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
                writeln!(text, "{:06x} {}", line * 16, hex.join(" ")).expect("a string grows");
            }
            before = chunk;
        }
    }
    text
}

/// The files that a dump describes.
fn undump(text: &str) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let mut file: Option<(String, usize, Vec<u8>)> = None;
    let finish = |file: Option<(String, usize, Vec<u8>)>| {
        if let Some((name, length, mut bytes)) = file {
            repeat(&mut bytes, length);
            disk.put(&name, &bytes);
        }
    };
    for line in text.lines() {
        let words: Vec<_> = line.split(' ').collect();
        if let [name, length] = words[..]
            && name.len() != 6
        {
            finish(file.take());
            file = Some((name.to_owned(), length.parse().expect("a length"), Vec::new()));
            continue;
        }
        if line.starts_with("lock ") {
            continue;
        }
        let (_, _, bytes) = file.as_mut().expect("a file's name comes first");
        let offset = usize::from_str_radix(words[0], 16).expect("an offset");
        repeat(bytes, offset);
        bytes.extend(words[1..].iter().map(|word| u8::from_str_radix(word, 16).expect("hex")));
    }
    finish(file);
    disk
}

/// Repeats the last line up to `length`.
fn repeat(bytes: &mut Vec<u8>, length: usize) {
    while bytes.len() < length {
        bytes.extend_from_within(bytes.len() - 16..);
    }
}

#[test]
fn the_bytes_are_those_of_the_golden_file() {
    let disk = MemoryDisk::new();
    let (journal, _) = open(disk.handle()).expect("empty");
    run_all(&disk, journal, Model::default(), &calls());
    expect_file!["golden/format-1.hex"].assert_eq(&dump(&disk));
}

#[test]
fn the_golden_file_is_read() {
    let disk = undump(include_str!("golden/format-1.hex"));
    let (_, recovered) = open(disk.handle()).expect("format 1 is read for ever");
    let mut model = Model::default();
    for call in calls() {
        model = model.after(&call).pop().expect("one at least");
    }
    assert_eq!(without_notes(recovered), model.expected());
}

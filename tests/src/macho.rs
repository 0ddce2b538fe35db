//! Executables for macOS, made and read without a Mac: the smallest file that a signer takes, and what a signature says of itself.
//!
//! The reader shares nothing with the program that signs.

use sha2::{Digest as _, Sha256};

/// A kind of processor as Mach-O numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor {
    kind: u32,
    subkind: u32,
}

pub const ARM64: Processor = Processor {
    kind: 0x0100_000c,
    subkind: 0,
};

pub const X86_64: Processor = Processor {
    kind: 0x0100_0007,
    subkind: 3,
};

/// Both segments are one page of arm64 long, at the most.
const PAGE: u32 = 0x4000;

/// An executable that does nothing, with room for the load command of a signature.
#[must_use]
pub fn executable(processor: Processor) -> Vec<u8> {
    let text = PAGE - 16;
    let commands = [
        segment("__PAGEZERO", (0, 1 << 32), (0, 0), 0, None),
        segment(
            "__TEXT",
            (1 << 32, PAGE.into()),
            (0, PAGE),
            5,
            Some(("__text", text, 16)),
        ),
        segment(
            "__LINKEDIT",
            ((1 << 32) + u64::from(PAGE), PAGE.into()),
            (PAGE, 16),
            1,
            None,
        ),
        // LC_BUILD_VERSION: macOS 13.0, no tools.
        words(&[0x32, 24, 1, 13 << 16, 13 << 16, 0]),
        // LC_MAIN at the only section.
        words(&[0x8000_0028, 24, text, 0, 0, 0]),
    ];
    let length: usize = commands.iter().map(Vec::len).sum();
    let count = u32::try_from(commands.len()).expect("a few");
    let length = u32::try_from(length).expect("a few bytes");
    let mut file = words(&[
        0xfeed_facf,
        processor.kind,
        processor.subkind,
        2,
        count,
        length,
        0x0020_0085,
        0,
    ]);
    file.extend(commands.concat());
    file.resize(usize::try_from(text).expect("it is small"), 0);
    // Something to be hashed: `ret` for arm64, over and over, on any processor.
    file.extend(words(&[0xd65f_03c0; 4]));
    file.extend([0; 16]);
    file
}

fn segment(
    name: &str,
    (address, size): (u64, u64),
    (offset, length): (u32, u32),
    protection: u32,
    section: Option<(&str, u32, u64)>,
) -> Vec<u8> {
    let sections = u32::from(section.is_some());
    let mut bytes = words(&[0x19, 72 + 80 * sections]);
    bytes.extend(padded(name));
    for number in [address, size, offset.into(), length.into()] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(words(&[protection, protection, sections, 0]));
    if let Some((section, offset, size)) = section {
        bytes.extend(padded(section));
        bytes.extend(padded(name));
        bytes.extend((address + u64::from(offset)).to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes.extend(words(&[offset, 2, 0, 0, 0x8000_0400, 0, 0, 0]));
    }
    bytes
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn padded(name: &str) -> [u8; 16] {
    let mut field = [0; 16];
    field[..name.len()].copy_from_slice(name.as_bytes());
    field
}

/// The executables in a file, one for each kind of processor.
#[must_use]
pub fn slices(file: &[u8]) -> Vec<(Processor, &[u8])> {
    if big(file, 0) != 0xcafe_babe {
        let processor = Processor {
            kind: little(file, 4),
            subkind: little(file, 8),
        };
        return vec![(processor, file)];
    }
    (0..at(big(file, 4)))
        .map(|index| {
            let entry = &file[8 + 20 * index..];
            let (offset, length) = (at(big(entry, 8)), at(big(entry, 12)));
            let processor = Processor {
                kind: big(entry, 0),
                subkind: big(entry, 4),
            };
            (processor, &file[offset..offset + length])
        })
        .collect()
}

/// What an executable's signature says: its code directory.
#[derive(Debug)]
pub struct Signature {
    pub identifier: String,
    /// 2 is ad hoc, 0x20000 is the linker's.
    pub flags: u32,
    /// SHA-256 of Info.plist.
    pub info: [u8; 32],
    /// SHA-256 of `CodeResources`.
    pub resources: [u8; 32],
    /// Whether every page of the code has the hash that is written down.
    pub code_holds: bool,
}

/// Reads it; `None` where there is none.
#[must_use]
pub fn signature(slice: &[u8]) -> Option<Signature> {
    let mut command = 32;
    let blob = loop {
        if command >= 32 + at(little(slice, 20)) {
            return None;
        }
        if little(slice, command) == 0x1d {
            let (offset, length) = (little(slice, command + 8), little(slice, command + 12));
            break &slice[at(offset)..at(offset) + at(length)];
        }
        command += at(little(slice, command + 4));
    };
    assert_eq!(big(blob, 0), 0xfade_0cc0, "it is a super blob");
    let index = (0..at(big(blob, 8)))
        .map(|index| 12 + 8 * index)
        .find(|entry| big(blob, *entry) == 0)?;
    let directory = &blob[at(big(blob, index + 4))..];
    assert_eq!(big(directory, 0), 0xfade_0c02, "it is a code directory");
    assert_eq!(
        (directory[36], directory[37]),
        (32, 2),
        "its hashes are SHA-256"
    );
    let hashes = at(big(directory, 16));
    let hash = |slot: usize| -> [u8; 32] {
        directory[hashes + 32 * slot..][..32]
            .try_into()
            .expect("32 bytes")
    };
    let special = |slot: usize| -> [u8; 32] {
        directory[hashes - 32 * slot..][..32]
            .try_into()
            .expect("32 bytes")
    };
    let identifier = directory[at(big(directory, 20))..]
        .split(|byte| *byte == 0)
        .next()
        .expect("a string");
    let code = &slice[..at(big(directory, 32))];
    let pages: Vec<_> = code.chunks(1 << directory[39]).collect();
    let code_holds = pages.len() == at(big(directory, 28))
        && pages
            .iter()
            .enumerate()
            .all(|(slot, page)| sha256(page) == hash(slot));
    Some(Signature {
        identifier: String::from_utf8_lossy(identifier).into_owned(),
        flags: big(directory, 12),
        info: special(1),
        resources: special(3),
        code_holds,
    })
}

#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn big(bytes: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes(bytes[offset..][..4].try_into().expect("four bytes"))
}

fn little(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..][..4].try_into().expect("four bytes"))
}

fn at(number: u32) -> usize {
    usize::try_from(number).expect("it fits")
}

//! A length is only a claim: one of four gigabytes costs nothing until the bytes come. Measured as the peak of the address space
//! of this process, which counts also what is set aside and never touched. One test, so that it has the process for itself.
#![cfg(target_os = "linux")]

use backupwatch_wire::codec::{self, Limits};
use backupwatch_wire::devicelink::download::DownloadDecoder;
use backupwatch_wire::devicelink::{self, UploadDecoder};
use backupwatch_wire::{afc, lockdown, os_trace, usbmux};

/// Peers that claim something at the same moment.
const PEERS: usize = 256;

/// Least that a decoder would take if it believed a claim; the smallest limit of any of them is 1 MiB.
const ALLOWED_KIB: usize = 64 << 10;

/// What a peer says, and whether the reader of it is kept until all peers have said it.
type Claim = (&'static str, fn() -> Box<dyn std::any::Any>);

const CLAIMS: [Claim; 15] = [
    ("a packet of usbmuxd of 4 GiB", || packet(u32::MAX)),
    ("one as long as they may be", || packet(usbmux_limit())),
    ("a frame of lockdownd of 4 GiB", || frame(u32::MAX)),
    ("one as long as they may be", || frame(1 << 20)),
    ("a message of DeviceLink of 4 GiB", || message(u32::MAX)),
    ("one as long as they may be", || message(16 << 20)),
    ("a path of 4 GiB", || upload(&[0xFF; 4])),
    ("file data of 4 GiB", || {
        upload(b"\0\0\0\x01a\0\0\0\x01b\xFF\xFF\xFF\xFF\x0C-")
    }),
    ("an error message of 4 GiB", || {
        upload(b"\0\0\0\x01a\0\0\0\x01b\xFF\xFF\xFF\xFF\x06-")
    }),
    ("file data for the phone of 4 GiB", || {
        let mut decoder = DownloadDecoder::new();
        let _ = decoder.next(b"\0\0\0\x01a\xFF\xFF\xFF\xFF\x0C");
        Box::new(decoder)
    }),
    ("packets of AFC", || {
        let claim = |whole: u64| {
            let mut decoder = afc::PacketDecoder::default();
            let numbers = [whole, whole, 1, 2];
            let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
            let bytes: Vec<u8> = b"CFA6LPAA".iter().copied().chain(numbers).collect();
            let _ = decoder.next(&bytes);
            decoder
        };
        Box::new([claim(u64::MAX), claim(u32::MAX.into()), claim(4 << 20)])
    }),
    ("an answer of the log service of 4 GiB", || {
        log(1, [0xFF; 4])
    }),
    ("one as long as they may be", || log(1, [0, 0x10, 0, 0])),
    ("a line of the log of 4 GiB", || log(2, [0xFF; 4])),
    ("counts in property lists", || {
        // An array, a dictionary, data and two kinds of text, of 4 G and of 2⁶³ parts.
        let kinds = [0xAF, 0xDF, 0x4F, 0x5F, 0x6F].into_iter();
        let lists = kinds.flat_map(|kind| {
            let four = [&[kind, 0x12][..], &[0xFF; 4]].concat();
            let eight = [&[kind, 0x13, 0x7F][..], &[0xFF; 7]].concat();
            [list(&four), list(&eight)]
        });
        let limits = Limits::of_bytes(16 << 20);
        Box::new(Vec::from_iter(
            lists.map(|list| codec::decode(&list, limits)),
        ))
    }),
];

#[test]
fn a_claimed_length_costs_no_memory() {
    for (what, claim) in CLAIMS {
        let before = peak_kib();
        let peers: Vec<_> = (0..PEERS).map(|_| claim()).collect();
        let grown = peak_kib() - before;
        drop(peers);
        assert!(grown < ALLOWED_KIB, "{what}: {grown} KiB");
    }
}

fn packet(length: u32) -> Box<dyn std::any::Any> {
    let mut decoder = usbmux::Decoder::new();
    let numbers = [length, 1, 8, 1].map(u32::to_le_bytes);
    decoder.push(numbers.as_flattened());
    let _ = decoder.next_packet();
    Box::new(decoder)
}

fn usbmux_limit() -> u32 {
    u32::try_from(usbmux::MAX_PACKET).unwrap_or(u32::MAX)
}

fn frame(length: u32) -> Box<dyn std::any::Any> {
    let mut decoder = lockdown::FrameDecoder::new();
    decoder.push(&length.to_be_bytes());
    let _ = decoder.next_frame();
    Box::new(decoder)
}

fn log(kind: u8, length: [u8; 4]) -> Box<dyn std::any::Any> {
    let mut decoder = os_trace::Decoder::new();
    decoder.push(&[&[kind], length.as_slice()].concat());
    let _ = decoder.next_frame();
    Box::new(decoder)
}

fn message(length: u32) -> Box<dyn std::any::Any> {
    let mut decoder = devicelink::FrameDecoder::default();
    let _ = decoder.next(&length.to_be_bytes());
    Box::new(decoder)
}

fn upload(mut bytes: &[u8]) -> Box<dyn std::any::Any> {
    let mut decoder = UploadDecoder::new();
    while let Ok((taken, Some(_))) = decoder.next(bytes) {
        bytes = bytes.split_at(taken).1;
    }
    Box::new(decoder)
}

/// A binary property list whose one object is this.
fn list(object: &[u8]) -> Vec<u8> {
    let table = 8 + u8::try_from(object.len()).unwrap_or(0);
    let mut list = [b"bplist00", object, &[8]].concat();
    list.extend([0, 0, 0, 0, 0, 0, 1, 1]);
    for number in [1, 0, table] {
        list.extend(u64::from(number).to_be_bytes());
    }
    list
}

#[expect(
    clippy::disallowed_methods,
    reason = "the kernel knows what this process takes; wire itself reads no file"
)]
fn peak_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.unwrap_or_default()
}

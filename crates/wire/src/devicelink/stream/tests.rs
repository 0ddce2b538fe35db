use proptest::prelude::*;

use super::*;
use crate::devicelink::{
    download::{self, DownloadDecoder, DownloadEvent},
    upload::{self, UploadDecoder, UploadEvent},
};

/// An event with its data owned, and neighbouring data joined: how data is cut is not part of the meaning.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Start(Vec<WirePath>),
    Data(Vec<u8>),
    End(StatusCode, String),
    StreamEnd,
}

#[derive(Clone, Debug)]
struct File {
    device: String,
    dest: String,
    frames: Vec<Vec<u8>>,
    code: StatusCode,
    message: String,
}

fn push(seen: &mut Vec<Seen>, event: Seen) {
    match (seen.last_mut(), event) {
        (Some(Seen::Data(all)), Seen::Data(more)) => all.extend(more),
        (_, event) => seen.push(event),
    }
}

fn decode<const N: usize>(chunks: &[&[u8]]) -> Result<(Vec<Seen>, usize), StreamError> {
    let mut decoder = Decoder::<N>::new();
    let mut seen = Vec::new();
    let mut total = 0;
    for chunk in chunks {
        let mut rest = *chunk;
        loop {
            let (taken, event) = decoder.next(rest)?;
            assert!(taken <= rest.len());
            total += taken;
            rest = &rest[taken..];
            let Some(event) = event else {
                assert!(rest.is_empty() || decoder.is_done(), "none means all taken");
                break;
            };
            push(
                &mut seen,
                match event {
                    Event::Start(paths) => Seen::Start(paths.to_vec()),
                    Event::Data(data) => {
                        assert!(!data.is_empty());
                        Seen::Data(data.to_vec())
                    }
                    Event::End { code, message } => Seen::End(code, message),
                    Event::StreamEnd => Seen::StreamEnd,
                },
            );
        }
    }
    Ok((seen, total))
}

fn encode_upload(files: &[File]) -> (Vec<u8>, Vec<Seen>) {
    let (mut bytes, mut seen) = (Vec::new(), Vec::new());
    for file in files {
        upload::put_file_start(&file.device, &file.dest, &mut bytes);
        push(
            &mut seen,
            Seen::Start(vec![file.device.as_str().into(), file.dest.as_str().into()]),
        );
        for frame in &file.frames {
            bytes.extend(data_header(frame.len()));
            bytes.extend(frame);
            if !frame.is_empty() {
                push(&mut seen, Seen::Data(frame.clone()));
            }
        }
        put_file_end(file.code, &file.message, &mut bytes);
        let message = if file.code == StatusCode::Ok {
            String::new()
        } else {
            file.message.clone()
        };
        push(&mut seen, Seen::End(file.code, message));
    }
    bytes.extend(STREAM_END);
    push(&mut seen, Seen::StreamEnd);
    (bytes, seen)
}

fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn codes() -> impl Strategy<Value = StatusCode> {
    prop::sample::select(vec![
        StatusCode::Ok,
        StatusCode::Generic,
        StatusCode::NotFound,
        StatusCode::Io,
        StatusCode::NoSpace,
    ])
}

prop_compose! {
    fn files()(files in prop::collection::vec(
        (".{1,20}", ".{0,20}", prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4), codes(), ".{0,30}"),
        0..5,
    )) -> Vec<File> {
        files
            .into_iter()
            .map(|(device, dest, frames, code, message)| File { device, dest, frames, code, message })
            .collect()
    }
}

proptest! {
    #[test]
    fn any_chunking_of_an_upload_says_the_same(
        files in files(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        after in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let (mut bytes, expected) = encode_upload(&files);
        let length = bytes.len();
        bytes.extend(after);
        let (seen, taken) = decode::<2>(&cut(&bytes, &cuts)).unwrap();
        prop_assert_eq!(seen, expected);
        prop_assert_eq!(taken, length, "what follows the stream is left to the next decoder");
    }

    #[test]
    fn byte_by_byte_is_no_different(files in files()) {
        let (bytes, expected) = encode_upload(&files);
        let chunks: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(decode::<2>(&chunks).unwrap().0, expected);
    }

    #[test]
    fn rubbish_is_an_error_or_a_wait_but_the_same_in_any_chunking(
        bytes in prop::collection::vec(prop_oneof![Just(0u8), 0u8..16, any::<u8>()], 0..200),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        prop_assert_eq!(decode::<1>(&[&bytes]), decode::<1>(&cut(&bytes, &cuts)));
        prop_assert_eq!(decode::<2>(&[&bytes]), decode::<2>(&cut(&bytes, &cuts)));
    }
}

#[test]
fn the_message_after_a_final_code_is_taken_out_of_the_stream() {
    // libimobiledevice#1135: left in, "No s" is read as a path length of 1315905651.
    let text = "No such file or directory";
    let mut bytes = Vec::new();
    upload::put_file_start("/.b/6/a", "U/Snapshot/aa/b", &mut bytes);
    bytes.extend([0, 0, 0, 26, 0x06]);
    bytes.extend(text.as_bytes());
    bytes.extend(STREAM_END);
    let (seen, taken) = decode::<2>(&[&bytes]).unwrap();
    assert_eq!(taken, bytes.len());
    assert_eq!(
        seen[1..],
        [
            Seen::End(StatusCode::NotFound, text.to_owned()),
            Seen::StreamEnd
        ]
    );
}

#[test]
fn a_code_of_success_may_have_a_message_too() {
    let mut bytes = Vec::new();
    upload::put_file_start("d", "h", &mut bytes);
    bytes.extend([0, 0, 0, 3, 0, b'o', b'k']);
    bytes.extend(STREAM_END);
    let (seen, _) = decode::<2>(&[&bytes]).unwrap();
    assert_eq!(
        seen[1..],
        [Seen::End(StatusCode::Ok, "ok".to_owned()), Seen::StreamEnd]
    );
}

#[test]
fn a_frame_of_four_gigabytes_costs_no_memory() {
    let mut decoder = UploadDecoder::new();
    let mut head = Vec::new();
    upload::put_file_start("d", "h", &mut head);
    head.extend([0xFF, 0xFF, 0xFF, 0xFF, DATA]);
    let (taken, event) = decoder.next(&head).unwrap();
    assert!(matches!(event, Some(UploadEvent::FileStart { .. })));
    assert_eq!(decoder.next(&head[taken..]).unwrap(), (5, None));
    let chunk = vec![7u8; 1 << 20];
    let mut left = u64::from(u32::MAX) - 1;
    while left > 0 {
        let (taken, event) = decoder.next(&chunk).unwrap();
        let Some(UploadEvent::Data(data)) = event else {
            panic!("{event:?}");
        };
        assert!(
            std::ptr::eq(data.as_ptr(), chunk.as_ptr()),
            "a slice of the input"
        );
        assert_eq!(data.len(), taken);
        left -= u64::try_from(taken).unwrap();
    }
    let (_, event) = decoder.next(&FILE_OK).unwrap();
    assert!(matches!(
        event,
        Some(UploadEvent::FileEnd {
            code: StatusCode::Ok,
            ..
        })
    ));
}

#[test]
fn a_message_of_four_gigabytes_is_drained_and_its_beginning_kept() {
    let mut decoder = Decoder::<1>::new();
    let mut head = Vec::new();
    download::put_file_start("p", &mut head);
    head.extend([0xFF, 0xFF, 0xFF, 0xFF, 0x0F]);
    let (taken, _) = decoder.next(&head).unwrap();
    decoder.next(&head[taken..]).unwrap();
    let chunk = vec![b'x'; 1 << 20];
    let mut left = u64::from(u32::MAX) - 1;
    loop {
        let (taken, event) = decoder.next(&chunk).unwrap();
        left -= u64::try_from(taken).unwrap();
        assert!(decoder.message.capacity() <= 2 * MAX_MESSAGE_KEPT);
        if let Some(event) = event {
            assert_eq!(left, 0);
            let message = "x".repeat(MAX_MESSAGE_KEPT);
            let code = StatusCode::NoSpace;
            assert_eq!(event, Event::End { code, message });
            break;
        }
    }
    assert!(!decoder.is_done());
}

#[test]
fn a_long_path_is_refused_before_memory_is_taken() {
    let mut decoder = Decoder::<2>::new();
    let len = u32::MAX;
    assert_eq!(
        decoder.next(&len.to_be_bytes()),
        Err(StreamError::PathTooLong { len })
    );
    let longest = u32::try_from(MAX_PATH).unwrap();
    assert_eq!(
        Decoder::<2>::new().next(&longest.to_be_bytes()),
        Ok((4, None))
    );
    assert_eq!(
        Decoder::<2>::new().next(&(longest + 1).to_be_bytes()),
        Err(StreamError::PathTooLong { len: longest + 1 })
    );
}

#[test]
fn a_frame_without_a_code_byte_is_an_error() {
    let mut bytes = Vec::new();
    upload::put_file_start("d", "h", &mut bytes);
    bytes.extend([0, 0, 0, 0]);
    assert_eq!(decode::<2>(&[&bytes]), Err(StreamError::EmptyFrame));
}

#[test]
fn an_empty_destination_is_a_file_to_refuse_and_not_the_end() {
    let mut bytes = Vec::new();
    upload::put_file_start("d", "", &mut bytes);
    bytes.extend(FILE_OK);
    bytes.extend(STREAM_END);
    let (seen, _) = decode::<2>(&[&bytes]).unwrap();
    assert_eq!(seen[0], Seen::Start(vec!["d".into(), "".into()]));
    assert_eq!(WirePath::from("").resolve("U"), Err(PathError::Empty));
}

#[test]
fn a_path_that_is_no_text_can_still_be_named_in_an_error() {
    let path = WirePath(b"U/\xFF".to_vec());
    assert_eq!(path.resolve("U"), Err(PathError::NotUtf8));
    assert_eq!(path.key(), "U/\u{FFFD}");
    assert_eq!(WirePath::from("U/a").resolve("U").unwrap().inside(), "a");
}

#[test]
fn a_file_goes_to_the_device_in_frames_of_32_kib() {
    let content: Vec<u8> = (0..70_000u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut frame = download::data_frame();
    assert_eq!(frame.space().len(), 32 << 10);
    let mut bytes = Vec::new();
    download::put_file_start("U/Manifest.db", &mut bytes);
    for part in content.chunks(download::CHUNK) {
        frame.space()[..part.len()].copy_from_slice(part);
        bytes.extend(frame.seal(part.len()));
    }
    assert_eq!(frame.seal(0), b"", "an empty frame would say nothing");
    bytes.extend(download::FILE_OK);
    download::put_file_start("U/none", &mut bytes);
    download::put_file_end(StatusCode::NotFound, "no such file", &mut bytes);
    bytes.extend(download::STREAM_END);

    assert_eq!(bytes[17..22], [0, 0, 0x80, 1, DATA]);
    let mut decoder = DownloadDecoder::new();
    let (mut rest, mut read, mut ends) = (bytes.as_slice(), Vec::new(), Vec::new());
    while let (taken, Some(event)) = decoder.next(rest).unwrap() {
        rest = &rest[taken..];
        match event {
            DownloadEvent::FileStart { .. } => {}
            DownloadEvent::Data(data) => read.extend_from_slice(data),
            DownloadEvent::FileEnd { code, message } => ends.push((code, message)),
            DownloadEvent::StreamEnd => assert!(decoder.is_done()),
        }
    }
    assert_eq!(read, content);
    assert_eq!(
        ends,
        [
            (StatusCode::Ok, String::new()),
            (StatusCode::NotFound, "no such file".to_owned())
        ]
    );
}

#[test]
fn clipping_never_cuts_a_character() {
    assert_eq!(clip("aé", 2), "a");
    assert_eq!(clip("aé", 3), "aé");
    assert_eq!(clip("", 3), "");
}

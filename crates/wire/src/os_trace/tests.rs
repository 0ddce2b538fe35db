use proptest::prelude::*;

use super::*;

fn record() -> Record {
    Record {
        pid: 123,
        seconds: 1_795_400_689,
        micros: 51_000,
        level: Level::Error,
        process: "/usr/libexec/backupd".to_owned(),
        image: "/System/Library/PrivateFrameworks/MobileBackup.framework/MobileBackup".to_owned(),
        message: "=cloud-backup= Backup failed: MBErrorDomain(303)".to_owned(),
        subsystem: "com.apple.mobilebackup".to_owned(),
        category: "Daemon".to_owned(),
    }
}

/// All frames, and the error if the stream ends in one.
fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<StreamError>) {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn framed(kind: u8, length: [u8; 4], body: &[u8]) -> Vec<u8> {
    [&[kind], length.as_slice(), body].concat()
}

/// The record as libimobiledevice's `ostrace_packet_header_t` lays it out, field by field.
#[test]
fn a_record_as_others_lay_it_out() {
    let texts: [&[u8]; 5] = [b"/bin/a\0", b"/lib/b\0", b"hi\0", b"s.t\0", b"c\0"];
    let header = [
        &[2][..],                // marker
        &8_u32.to_le_bytes(),    // type
        &0x81_u32.to_le_bytes(), // header size
        &77_u32.to_le_bytes(),   // pid
        &77_u64.to_le_bytes(),   // process id
        &[0xAA; 16],             // uuid of the program
        &7_u16.to_le_bytes(),    // its path's length
        &[0; 16],                // two activities
        &1_700_000_000_u64.to_le_bytes(),
        &999_999_u32.to_le_bytes(),
        &[0],
        &[0x11], // level
        &[0xFF; 6],
        &5_u64.to_le_bytes(), // ticks
        &[9; 8],              // thread
        &[0xBB; 16],          // uuid of the library
        &7_u16.to_le_bytes(),
        &3_u32.to_le_bytes(), // message
        &[0xCC; 4],           // offset in the library
        &4_u16.to_le_bytes(),
        &[0; 2],
        &2_u16.to_le_bytes(),
        &[0; 2],
        &[0; 4],
    ]
    .concat();
    assert_eq!(header.len(), 0x81);
    let expected = Record {
        pid: 77,
        seconds: 1_700_000_000,
        micros: 999_999,
        level: Level::Fault,
        process: "/bin/a".to_owned(),
        image: "/lib/b".to_owned(),
        message: "hi".to_owned(),
        subsystem: "s.t".to_owned(),
        category: "c".to_owned(),
    };
    let body = [header.as_slice(), &texts.concat()].concat();
    assert_eq!(Record::decode(&body), Ok(expected.clone()));

    // A later system with more in its header.
    let mut longer = header;
    longer[5] = 0x85;
    let body = [longer.as_slice(), &[1, 2, 3, 4], &texts.concat()].concat();
    assert_eq!(Record::decode(&body), Ok(expected));
}

#[test]
fn requests_come_back_and_are_read_as_others_spell_them() {
    let requests = [
        Request::PidList,
        Request::StartActivity(Activity::of(None)),
        Request::StartActivity(Activity::of(Some(123))),
        Request::Other {
            request: "CreateArchive".to_owned(),
        },
    ];
    for request in requests {
        assert_eq!(Request::from_value(&request.to_value()), Ok(request));
    }
    // libimobiledevice says 0xFFFFFFFF, and leaves out what it leaves to the phone.
    let mut body = Dictionary::new();
    body.insert("Request".to_owned(), "StartActivity".into());
    let everything = Ok(Request::StartActivity(Activity::of(None)));
    assert_eq!(
        Request::from_value(&Value::Dictionary(body.clone())),
        everything
    );
    body.insert("Pid".to_owned(), Value::from(0xFFFF_FFFF_u64));
    assert_eq!(
        Request::from_value(&Value::Dictionary(body.clone())),
        everything
    );
    body.insert("Pid".to_owned(), "backupd".into());
    assert!(Request::from_value(&Value::Dictionary(body)).is_err());
    assert!(Request::from_value(&Value::from(1)).is_err());
}

#[test]
fn answers_come_back() {
    let processes = [(1, "launchd".to_owned()), (123, "backupd".to_owned())];
    let answers = [
        Answer::Started,
        Answer::Processes(processes.into_iter().collect()),
        Answer::Refused {
            status: "RequestFailed".to_owned(),
        },
    ];
    for answer in answers {
        let (frames, error) = read([answer.encode().as_slice()]);
        assert_eq!((frames, error), (vec![Frame::Answer(answer)], None));
    }
}

/// PMD3 reads the answer's first five bytes as the length of a length and a length, so there is only one byte for it.
#[test]
fn the_beginning_is_short_enough_for_every_host() {
    assert_eq!(Answer::Started.encode()[..4], [1, 0, 0, 0]);
}

#[test]
fn what_is_no_process_is_left_out() {
    let name = |name: Value| {
        let about = [("ProcessName".to_owned(), name)];
        Value::Dictionary(about.into_iter().collect())
    };
    let payload = [
        ("7".to_owned(), name("kept".into())),
        ("-7".to_owned(), name("no number".into())),
        ("8".to_owned(), name(Value::from(8))),
        ("9".to_owned(), Value::Boolean(true)),
    ];
    let body = [
        ("Status".to_owned(), Value::from("RequestSuccessful")),
        (
            "Payload".to_owned(),
            Value::Dictionary(payload.into_iter().collect()),
        ),
    ];
    let answer = Answer::from_value(&Value::Dictionary(body.into_iter().collect()));
    let kept = [(7, "kept".to_owned())].into_iter().collect();
    assert_eq!(answer, Ok(Answer::Processes(kept)));
}

#[test]
fn a_line_that_makes_no_sense_is_skipped_and_the_next_one_read() {
    let good = record();
    let spoilt = |at: usize, byte: u8| {
        let mut body = good.encode();
        body[at] = byte;
        body
    };
    let cases = [
        (
            "an unknown level",
            spoilt(68, 0x12),
            RecordError::Level { level: 0x12 },
        ),
        (
            "a cut header",
            good.encode()[..128].to_vec(),
            RecordError::Short { len: 128 },
        ),
        ("nothing", Vec::new(), RecordError::Short { len: 0 }),
        ("a header past the end", spoilt(8, 0xFF), RecordError::Texts),
        (
            "a message past the end",
            spoilt(110, 0xFF),
            RecordError::Texts,
        ),
        (
            "a subsystem past the end",
            spoilt(120, 0xFF),
            RecordError::Texts,
        ),
        (
            "a program without an end",
            vec![b'x'; 129],
            RecordError::Level { level: b'x' },
        ),
    ];
    for (name, body, expected) in cases {
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        let stream = [framed(2, length, &body), encode_record(&good)].concat();
        let (frames, error) = read([stream.as_slice()]);
        let wanted = vec![Frame::Skipped(expected), Frame::Record(good.clone())];
        assert_eq!((frames, error), (wanted, None), "{name}");
    }
}

/// IDEV takes one from each of these lengths, whatever they are.
#[test]
fn an_empty_text_keeps_its_nul_and_an_empty_label_has_none() {
    let empty = Record {
        process: String::new(),
        image: String::new(),
        message: String::new(),
        subsystem: String::new(),
        category: String::new(),
        ..record()
    };
    let body = empty.encode();
    let length = |at: usize| u16::from_le_bytes([body[at], body[at + 1]]);
    assert_eq!([37, 107, 109, 117, 121].map(length), [1, 1, 1, 0, 0]);
    assert_eq!(body.len(), 0x81 + 3);
    assert_eq!(Record::decode(&body), Ok(empty));
}

#[test]
fn every_level_has_its_byte() {
    for byte in 0..=u8::MAX {
        let known = matches!(byte, 0..=3 | 0x10 | 0x11);
        assert_eq!(Level::of_byte(byte).map(Level::byte), known.then_some(byte));
    }
}

#[test]
fn streams_that_are_refused() {
    let no_plist = framed(1, 3_u32.to_be_bytes(), b"abc");
    let no_status = codec::to_xml(&Value::Dictionary(Dictionary::new()));
    let length = u32::try_from(no_status.len()).unwrap().to_be_bytes();
    let cases = [
        ("an archive", framed(3, [0; 4], b""), "Kind"),
        ("rubbish", b"GET / HTTP/1.1".to_vec(), "Kind"),
        ("one byte of rubbish", vec![0], "Kind"),
        ("a huge answer", framed(1, [0xFF; 4], b""), "TooLong"),
        ("a huge record", framed(2, [0xFF; 4], b""), "TooLong"),
        ("an answer that is no plist", no_plist, "Answer"),
        (
            "an answer that says nothing",
            framed(1, length, &no_status),
            "Fields",
        ),
    ];
    for (name, stream, expected) in cases {
        let (frames, error) = read([stream.as_slice(), &encode_record(&record())]);
        assert!(frames.is_empty(), "{name}");
        let error = format!("{:?}", error.unwrap());
        assert!(error.starts_with(expected), "{name}: {error}");
    }
}

#[test]
fn a_claimed_length_allocates_nothing() {
    let mut decoder = Decoder::new();
    let most = u32::try_from(MAX_RECORD).unwrap();
    decoder.push(&framed(2, most.to_le_bytes(), b""));
    assert_eq!(decoder.next_frame(), Ok(None));
    assert!(decoder.0.capacity() < 1024);
    // After an error nothing is kept.
    let mut decoder = Decoder::new();
    decoder.push(b"rubbish");
    assert!(decoder.next_frame().is_err());
    decoder.push(&[0; 4096]);
    assert!(decoder.next_frame().is_err());
    assert_eq!(decoder.0.capacity(), 0);
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let level = prop_oneof![
        Just(Level::Notice),
        Just(Level::Info),
        Just(Level::Debug),
        Just(Level::UserAction),
        Just(Level::Error),
        Just(Level::Fault),
    ];
    let text = "[^\0]{0,30}";
    let numbers = (any::<u32>(), any::<u64>(), any::<u32>(), level);
    let record = (numbers, [text; 5]).prop_map(|((pid, seconds, micros, level), texts)| {
        let [process, image, message, subsystem, category] = texts;
        Record {
            pid,
            seconds,
            micros,
            level,
            process,
            image,
            message,
            subsystem,
            category,
        }
    });
    proptest::collection::vec(record, 0..6)
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_records(records in records(), chunk in 1..64_usize) {
        let mut stream = Answer::Started.encode();
        stream.extend(records.iter().flat_map(encode_record));
        let (frames, error) = read(stream.chunks(chunk));
        let mut expected = vec![Frame::Answer(Answer::Started)];
        expected.extend(records.into_iter().map(Frame::Record));
        prop_assert_eq!((frames, error), (expected, None));
    }

    #[test]
    fn random_bytes_end_well(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 1..3_u8) {
        let _ = read([bytes.as_slice()]);
        let _ = Record::decode(&bytes);
        let length = u32::try_from(bytes.len()).unwrap();
        let length = if kind == 1 { length.to_be_bytes() } else { length.to_le_bytes() };
        let _ = read([framed(kind, length, &bytes).as_slice()]);
    }

    #[test]
    fn a_damaged_record_ends_well(at in 0..300_usize, byte in any::<u8>(), cut in 0..300_usize) {
        let mut body = record().encode();
        if let Some(hit) = body.get_mut(at) {
            *hit = byte;
        }
        body.truncate(cut.max(100));
        let _ = Record::decode(&body);
    }
}

use proptest::prelude::*;

use super::*;

fn line() -> Line {
    Line {
        time: LineTime {
            month: 11,
            day: 3,
            hour: 9,
            minute: 5,
            second: 59,
        },
        host: "Adas-iPhone".to_owned(),
        process: "backupd".to_owned(),
        image: Some("CloudKit".to_owned()),
        pid: 123,
        level: Some(Level::Error),
        message: "=cloud-backup= Backup failed: MBErrorDomain(303)".to_owned(),
    }
}

fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Piece> {
    let mut decoder = Decoder::new();
    let mut pieces = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        while let Some(piece) = decoder.next_piece() {
            pieces.push(piece);
        }
    }
    pieces
}

#[test]
fn a_line_as_it_is_sent() {
    let bytes = b"Nov  3 09:05:59 Adas-iPhone backupd(CloudKit)[123] <Error>: \
        =cloud-backup= Backup failed: MBErrorDomain(303)\n\0";
    assert_eq!(line().encode(), bytes);
    assert_eq!(read([bytes.as_slice()]), [Piece::Line(line())]);
}

#[test]
fn lines_of_others() {
    let read_one = |text: &str| {
        let pieces = read([[text.as_bytes(), b"\n\0"].concat().as_slice()]);
        assert_eq!(pieces.len(), 1, "{text}");
        pieces.into_iter().next()
    };
    let cases = [
        (
            "no library, and a word that nobody knows",
            "Nov  3 09:05:59 Adas-iPhone backupd[123] <Whisper>: one: two",
            Line {
                image: None,
                level: None,
                message: "one: two".to_owned(),
                ..line()
            },
        ),
        (
            "a message of two lines, with brackets",
            "Nov  3 09:05:59 Adas-iPhone backupd[123] <Notice>: [On condition]\n<private>",
            Line {
                image: None,
                level: Some(Level::Notice),
                message: "[On condition]\n<private>".to_owned(),
                ..line()
            },
        ),
        (
            "no message",
            "Nov  3 09:05:59 Adas-iPhone backupd(CloudKit)[123] <Error>:",
            Line {
                message: String::new(),
                ..line()
            },
        ),
    ];
    for (name, text, expected) in cases {
        assert_eq!(read_one(text), Some(Piece::Line(expected)), "{name}");
    }
    let skipped = [
        "this is not a line",
        "Nov 31",
        "Nov 33 09:05:59 Adas-iPhone backupd[123] <Error>: no such day",
        "Nov  3 25:05:59 Adas-iPhone backupd[123] <Error>: no such hour",
        "Mov  3 09:05:59 Adas-iPhone backupd[123] <Error>: no such month",
        "Nov  3 09:05:59 Adas-iPhone backupd[one] <Error>: no such process",
        "Nov  3 09:05:59 Adas-iPhone backupd(CloudKit[123] <Error>: open",
        "Növ  3 09:05:59",
    ];
    for text in skipped {
        assert_eq!(read_one(text), Some(Piece::Skipped), "{text}");
    }
}

#[test]
fn a_line_without_end_is_skipped_and_the_next_one_read() {
    for len in [MAX_LINE + 1, 5 * MAX_LINE] {
        let stream = [vec![b'x'; len], vec![0], line().encode()].concat();
        for chunk in [4096, stream.len()] {
            let pieces = read(stream.chunks(chunk));
            assert_eq!(pieces, [Piece::Skipped, Piece::Line(line())], "{len}");
        }
    }
    // What looks like a line is only the end of one, however the bytes were cut.
    let pieces = read([vec![b'x'; MAX_LINE + 1].as_slice(), &line().encode()]);
    assert_eq!(pieces, [Piece::Skipped]);
    let mut decoder = Decoder::new();
    for _ in 0..100 {
        decoder.push(&[b'x'; 4096]);
        assert_eq!(decoder.next_piece(), None);
        assert!(decoder.buffer.len() <= MAX_LINE);
    }
}

#[test]
fn how_bytes_are_spelt() {
    let cases = [
        ("plain", "<private> 100 %", "<private> 100 %"),
        ("a name", "Zoë’s", r"Zo\M-C\M-+\M-b\M^@\M^Ys"),
        ("a backslash", r"C:\M-f", r"C:\134M-f"),
        ("the odd one", "à", r"\M-C\240"),
        ("two lines", "one\n\ttwo", "one\n\ttwo"),
    ];
    for (name, text, spelt) in cases {
        assert_eq!(vis::encode(text), spelt, "{name}");
        assert_eq!(vis::decode(spelt.as_bytes()), text, "{name}");
    }
    let read_only = [
        ("cut", r"abc\", r"abc\"),
        ("cut", r"abc\M-", r"abc\M-"),
        ("cut", r"abc\24", r"abc\24"),
        ("too much", r"\777", r"\777"),
        ("older backslashes", r"C:\\M-f", r"C:\M-f"),
        (
            "control characters stay spelt",
            r"\033[31m \^[ \M-",
            r"\033[31m \^[ \M-",
        ),
        ("raw ones go", "\x1b[31m\x07", " [31m "),
        ("no text", r"\M-f", "\u{FFFD}"),
        ("unspelt text", "已", "已"),
    ];
    for (name, spelt, text) in read_only {
        assert_eq!(vis::decode(spelt.as_bytes()), text, "{name}");
    }
    assert_eq!(vis::encode("a\0\x1b\x7f"), r"a\^[\^?");
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let time = (1..=12_u8, 1..=31_u8, 0..24_u8, 0..60_u8, 0..60_u8).prop_map(
        |(month, day, hour, minute, second)| LineTime {
            month,
            day,
            hour,
            minute,
            second,
        },
    );
    let level = proptest::option::of(prop_oneof![
        Just(Level::Notice),
        Just(Level::Info),
        Just(Level::Debug),
        Just(Level::Error),
        Just(Level::Fault),
    ]);
    let name = "[A-Za-z.]{1,9}";
    let texts = (name, name, proptest::option::of(name), "(\\PC{0,20}\\pL)?");
    let line = (time, texts, any::<u32>(), level).prop_map(|(time, texts, pid, level)| {
        let (host, process, image, message) = texts;
        Line {
            time,
            host,
            process,
            image,
            pid,
            level,
            message,
        }
    });
    proptest::collection::vec(line, 0..6)
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_lines(lines in lines(), chunk in 1..64_usize) {
        let stream: Vec<u8> = lines.iter().flat_map(Line::encode).collect();
        let expected: Vec<Piece> = lines.into_iter().map(Piece::Line).collect();
        prop_assert_eq!(read(stream.chunks(chunk)), expected);
    }

    #[test]
    fn random_bytes_end_well(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read([bytes.as_slice(), &[0]]);
        let _ = vis::decode(&bytes);
    }

    #[test]
    fn texts_are_spelt_and_read(text in "[\\PC\n\t]{0,40}") {
        prop_assert_eq!(vis::decode(vis::encode(&text).as_bytes()), text);
    }
}

use proptest::prelude::*;

use super::*;

fn packets(chunks: &[&[u8]]) -> Result<Vec<Packet>, PacketError> {
    let mut decoder = PacketDecoder::with_limit(1 << 10);
    let mut all = Vec::new();
    for chunk in chunks {
        let mut rest = *chunk;
        while let (taken, Some(packet)) = decoder.next(rest)? {
            rest = &rest[taken..];
            all.push(packet);
        }
    }
    Ok(all)
}

fn every_request() -> Vec<Request> {
    let path = SYNC_LOCK.to_owned();
    let mut all = vec![
        Request::ReadDirectory {
            path: "/".to_owned(),
        },
        Request::FileInfo { path: path.clone() },
        Request::MakeDirectory { path: path.clone() },
        Request::Remove { path: path.clone() },
        Request::Read {
            handle: 7,
            length: 65_536,
        },
        Request::Write {
            handle: 7,
            data: b"abc".to_vec(),
        },
        Request::Close { handle: u64::MAX },
        Request::Other { operation: 0x0B },
    ];
    for lock in [Lock::Shared, Lock::Exclusive, Lock::Unlock] {
        all.push(Request::Lock { handle: 1, lock });
    }
    for number in 1..=6 {
        let mode = OpenMode::from_number(number).unwrap();
        all.push(Request::Open {
            path: path.clone(),
            mode,
        });
    }
    all
}

#[test]
fn opening_the_sync_lock_byte_by_byte() {
    let request = Request::Open {
        path: "/x".to_owned(),
        mode: OpenMode::ReadWrite,
    };
    let mut expected = b"CFA6LPAA".to_vec();
    for number in [51u64, 51, 3, 0x0D, 2] {
        expected.extend(number.to_le_bytes());
    }
    expected.extend(b"/x\0");
    assert_eq!(request.to_packet(3).encode(), expected);
}

#[test]
fn only_data_lies_beyond_the_second_length() {
    let bytes = Request::Write {
        handle: 1,
        data: b"abc".to_vec(),
    }
    .to_packet(0)
    .encode();
    assert_eq!(bytes[8], 51);
    assert_eq!(bytes[16], 48);
}

#[test]
fn the_numbers_of_flock() {
    assert_eq!(
        [Lock::Shared, Lock::Exclusive, Lock::Unlock].map(Lock::number),
        [5, 6, 12]
    );
    for number in [2, 6] {
        assert_eq!(Lock::from_number(number), Some(Lock::Exclusive));
    }
    for number in [0, 3, 4, 16, u64::MAX] {
        assert_eq!(Lock::from_number(number), None);
    }
}

#[test]
fn requests_round_trip() {
    for request in every_request() {
        let bytes = request.to_packet(9).encode();
        let packet = packets(&[&bytes]).unwrap().pop().unwrap();
        assert_eq!(packet.number, 9);
        assert_eq!(Request::from_packet(&packet), Ok(request));
    }
}

#[test]
fn replies_round_trip() {
    let replies = [
        Reply::Status(Status::Success),
        Reply::Status(Status::WouldBlock),
        Reply::Status(Status::Other(99)),
        Reply::Opened { handle: 5 },
        Reply::Data(Vec::new()),
        Reply::Data(vec![0; 500]),
    ];
    for reply in replies {
        let bytes = reply.to_packet(2).encode();
        let packet = packets(&[&bytes]).unwrap().pop().unwrap();
        assert_eq!(Reply::from_packet(packet), Ok(reply));
    }
    assert_eq!(Status::WouldBlock.number(), 19);
    for number in 0..40 {
        assert_eq!(Status::from_number(number).number(), number);
    }
}

#[test]
fn data_counts_wherever_the_second_length_ends() {
    let reply = |arguments: &[u8], data: &[u8]| {
        let (arguments, data) = (arguments.to_vec(), data.to_vec());
        let (number, operation) = (1, OP_DATA);
        Reply::from_packet(Packet {
            number,
            operation,
            arguments,
            data,
        })
    };
    let all = Ok(Reply::Data(b"abc".to_vec()));
    assert_eq!(reply(b"", b"abc"), all);
    assert_eq!(reply(b"abc", b""), all);
    assert_eq!(reply(b"a", b"bc"), all);
}

#[test]
fn requests_cut_short_are_errors() {
    for request in every_request() {
        let mut packet = request.to_packet(0);
        packet.arguments.clear();
        let read = Request::from_packet(&packet);
        let needs_none = matches!(
            request,
            Request::Other { .. }
                | Request::ReadDirectory { .. }
                | Request::FileInfo { .. }
                | Request::MakeDirectory { .. }
                | Request::Remove { .. }
        );
        assert_eq!(read.is_ok(), needs_none, "{request:?}");
    }
}

#[test]
fn packets_that_are_none() {
    let header = |magic: &[u8; 8], whole: u64, this: u64| {
        [
            magic.as_slice(),
            &whole.to_le_bytes(),
            &this.to_le_bytes(),
            &[0; 16],
        ]
        .concat()
    };
    let good = b"CFA6LPAA";
    let table = [
        (header(b"CFA6LPAB", 40, 40), PacketError::Magic),
        (
            header(good, 40, 39),
            PacketError::Lengths {
                whole: 40,
                this: 39,
            },
        ),
        (
            header(good, 40, 41),
            PacketError::Lengths {
                whole: 40,
                this: 41,
            },
        ),
        (
            header(good, u64::MAX, u64::MAX),
            PacketError::TooLong {
                whole: u64::MAX,
                limit: 1 << 10,
            },
        ),
    ];
    for (bytes, error) in table {
        assert_eq!(packets(&[&bytes]), Err(error));
    }
}

#[test]
fn listings_are_strings_with_a_zero_after_each() {
    let names = [".", "..", "iTunesPrefs"];
    let data = strings_data(&names);
    assert_eq!(data, b".\0..\0iTunesPrefs\0");
    assert_eq!(strings(&data), names);
    assert_eq!(strings(b""), Vec::<String>::new());
    assert_eq!(strings(b"a\0b"), ["a", "b"]);
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_packets(
        seeds in prop::collection::vec((any::<u64>(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..40)), 0..5),
        size in 1usize..50,
    ) {
        let all: Vec<Packet> = seeds
            .into_iter()
            .map(|(number, operation, arguments, data)| Packet { number, operation, arguments, data })
            .collect();
        let bytes: Vec<u8> = all.iter().flat_map(Packet::encode).collect();
        let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
        prop_assert_eq!(&packets(&chunks).unwrap(), &all);
        for packet in all {
            let _ = Request::from_packet(&packet);
            let _ = Reply::from_packet(packet);
        }
    }

    #[test]
    fn rubbish_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100), good in any::<bool>()) {
        let bytes = if good { [b"CFA6LPAA".as_slice(), &bytes].concat() } else { bytes };
        let _ = packets(&[&bytes]);
        let _ = strings(&bytes);
    }
}

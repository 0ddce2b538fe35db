use proptest::prelude::*;

use super::*;

fn decode(chunks: &[&[u8]], limit: usize) -> Result<Vec<Vec<u8>>, FrameError> {
    let mut decoder = FrameDecoder::with_limit(limit);
    let mut bodies = Vec::new();
    for chunk in chunks {
        let mut rest = *chunk;
        while let (taken, Some(body)) = decoder.next(rest)? {
            rest = &rest[taken..];
            bodies.push(body);
        }
    }
    Ok(bodies)
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_bodies(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        size in 1usize..30,
    ) {
        let mut bytes = Vec::new();
        for body in &bodies {
            bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
            bytes.extend(body);
        }
        let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
        prop_assert_eq!(&decode(&chunks, 64).unwrap(), &bodies);
        prop_assert_eq!(&decode(&[&bytes], 64).unwrap(), &bodies);
    }

    #[test]
    fn rubbish_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode(&[&bytes], 1 << 10);
        let _ = decode_body(&bytes);
    }
}

#[test]
fn a_length_costs_nothing_until_the_bytes_come() {
    let mut decoder = FrameDecoder::default();
    let len = u32::try_from(MAX_MESSAGE).unwrap();
    assert_eq!(decoder.next(&len.to_be_bytes()), Ok((4, None)));
    assert!(decoder.body.capacity() <= FIRST_RESERVE);
    assert!(!decoder.is_idle());
}

#[test]
fn lengths_over_the_limit_and_empty_frames_are_errors() {
    let limit = MAX_MESSAGE;
    let len = u32::MAX;
    assert_eq!(
        FrameDecoder::default().next(&len.to_be_bytes()),
        Err(FrameError::TooLong { len, limit })
    );
    assert_eq!(
        FrameDecoder::default().next(&[0; 4]),
        Err(FrameError::Empty)
    );
}

#[test]
fn the_end_of_one_message_is_where_the_next_begins() {
    let value = Value::Array(vec!["DLMessageDeviceReady".into()]);
    let mut bytes = encode(&value);
    let length = bytes.len();
    bytes.extend([0xAB; 3]);
    let mut decoder = FrameDecoder::default();
    let (taken, body) = decoder.next(&bytes).unwrap();
    assert_eq!(taken, length);
    assert_eq!(decode_body(&body.unwrap()).unwrap(), value);
    assert!(decoder.is_idle());
    assert!(bytes[4..].starts_with(b"bplist00"));
}

//! lockdownd's frames, and the messages in them: its own, and those of the small services that frame as it does.

use backupwatch_wire::codec::{self, Limits};
use backupwatch_wire::lockdown::{FrameDecoder, FrameTooLong, MAX_FRAME, Reply, Request};
use backupwatch_wire::{heartbeat, installation_proxy, notification_proxy, springboard};
use plist::Value;

use super::bytes::{Cut, settles_as_xml};

/// Small, so that inputs reach it.
const LIMIT: usize = 4096;

pub fn target(input: &[u8]) {
    let cut = Cut::new(input);
    let (frames, end) = decode([cut.whole()]);
    assert_eq!((&frames, &end), (&decode(cut).0, &decode(cut).1));
    for frame in &frames {
        assert!(frame.len() <= LIMIT);
        request(frame);
        for asked in asked() {
            reply(&asked, frame);
        }
        if let Ok(value) = codec::decode(frame, Limits::of_bytes(MAX_FRAME)) {
            services(&value);
        }
    }
}

fn request(frame: &[u8]) {
    let Ok((request, label)) = Request::decode(frame) else {
        return;
    };
    let write = |request: &Request| request.encode(label.as_deref());
    settles_as_xml(&request, write, |bytes| {
        Request::decode(body(bytes)).map(|(request, _)| request)
    });
}

fn reply(asked: &Request, frame: &[u8]) {
    let Ok(reply) = Reply::decode(asked, frame) else {
        return;
    };
    let write = |reply: &Reply| reply.encode(asked);
    settles_as_xml(&reply, write, |bytes| Reply::decode(asked, body(bytes)));
}

/// One request for each kind of reply.
fn asked() -> [Request; 5] {
    [
        Request::QueryType,
        Request::GetValue {
            domain: None,
            key: None,
        },
        Request::StartSession {
            host_id: String::new(),
            system_buid: None,
        },
        Request::StartService {
            service: String::new(),
            escrow_bag: None,
        },
        Request::Goodbye,
    ]
}

fn services(value: &Value) {
    let xml = |value: Value| codec::to_xml(&value);
    let read = |bytes: &[u8]| codec::decode(bytes, Limits::of_bytes(MAX_FRAME)).expect("ours");
    if let Ok(event) = notification_proxy::Event::from_value(value) {
        let write = |event: &notification_proxy::Event| xml(event.to_value());
        settles_as_xml(&event, write, |bytes| {
            notification_proxy::Event::from_value(&read(bytes))
        });
    }
    if let Ok(reply) = installation_proxy::Reply::from_value(value) {
        let write = |reply: &installation_proxy::Reply| xml(reply.to_value(0));
        settles_as_xml(&reply, write, |bytes| {
            installation_proxy::Reply::from_value(&read(bytes))
        });
    }
    let _ = notification_proxy::Request::from_value(value);
    let _ = installation_proxy::Request::from_value(value);
    let _ = heartbeat::Beat::from_value(value);
    let _ = springboard::icon(value);
}

/// The frames, and what ended them: an error, or the bytes that are left over.
fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Vec<u8>>, Result<Vec<u8>, FrameTooLong>) {
    let mut decoder = FrameDecoder::with_limit(LIMIT);
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    (frames, Ok(decoder.into_rest().to_vec()))
}

/// The body of what we framed ourselves.
fn body(frame: &[u8]) -> &[u8] {
    let (length, body) = frame.split_first_chunk().expect("a length");
    assert_eq!(u32::from_be_bytes(*length) as usize, body.len());
    body
}

//! DeviceLink's message frames, the messages of both ends, and mobilebackup2's dictionaries in them.

use backupwatch_wire::devicelink::{DeviceMessage, FrameDecoder, FrameError, HostMessage, Listing};
use backupwatch_wire::mobilebackup2::{HostRequest, Response};

use super::bytes::{Cut, settles};

pub fn target(input: &[u8]) {
    let cut = Cut::new(input);
    let (bodies, end) = decode([cut.whole()]);
    assert_eq!((&bodies, &end), (&decode(cut).0, &decode(cut).1));
    for body in &bodies {
        if let Ok(message) = DeviceMessage::decode(body) {
            settles(&message, DeviceMessage::encode, |bytes| {
                DeviceMessage::decode(&only(bytes))
            });
            device_said(&message);
        }
        if let Ok(message) = HostMessage::decode(body) {
            settles(&message, HostMessage::encode, |bytes| {
                HostMessage::decode(&only(bytes))
            });
            host_said(&message);
        }
    }
}

fn device_said(message: &DeviceMessage) {
    if let DeviceMessage::ProcessMessage(body) = message
        && let Ok(response) = Response::from_dictionary(body)
    {
        let write = |response: &Response| response.to_message().encode();
        settles(&response, write, |bytes| {
            let DeviceMessage::ProcessMessage(body) = DeviceMessage::decode(&only(bytes)).unwrap()
            else {
                panic!("a response is a message of the service");
            };
            Response::from_dictionary(&body)
        });
        let _ = (
            response.is_passcode_timeout(),
            response.error.map(|error| error.class()),
        );
    }
}

fn host_said(message: &HostMessage) {
    match message {
        HostMessage::ProcessMessage(body) => {
            let shown = HostRequest::from_dictionary(body.clone());
            let _ = format!("{shown:?}");
        }
        HostMessage::Status(status) => {
            let _ = (status.item_errors(), Listing::from_value(&status.value));
        }
        HostMessage::VersionExchange { .. }
        | HostMessage::BadStatus { .. }
        | HostMessage::Disconnect { .. }
        | HostMessage::Unknown { .. } => {}
    }
}

/// The bodies, and what ended them: an error, or whether nothing was cut.
fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Vec<u8>>, Result<bool, FrameError>) {
    let mut decoder = FrameDecoder::default();
    let mut bodies = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            match decoder.next(piece) {
                Ok((taken, body)) => {
                    assert!(taken > 0 && (body.is_some() || taken == piece.len()));
                    bodies.extend(body);
                    piece = &piece[taken..];
                }
                Err(error) => return (bodies, Err(error)),
            }
        }
    }
    (bodies, Ok(decoder.is_idle()))
}

fn only(bytes: &[u8]) -> Vec<u8> {
    let (mut bodies, end) = decode([bytes]);
    assert_eq!((bodies.len(), end), (1, Ok(true)), "one message");
    bodies.remove(0)
}

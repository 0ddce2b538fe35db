//! usbmuxd's packets and the messages in them, of a daemon and of its clients.

use backupwatch_wire::usbmux::{Decoder, FrameError, Packet, Reply, Request};

use super::bytes::{Cut, settles_as_xml};

pub fn target(input: &[u8]) {
    let cut = Cut::new(input);
    let (packets, end) = decode([cut.whole()]);
    assert_eq!((&packets, &end), (&decode(cut).0, &decode(cut).1));
    for packet in &packets {
        assert_eq!(packet, &only(&packet.encode()));
        if let Ok(message) = Request::decode(packet) {
            let write = |(request, client): &(Request, _)| request.encode(client, packet.tag);
            settles_as_xml(&message, write, |bytes| Request::decode(&only(bytes)));
        }
        if let Ok(reply) = Reply::decode(packet) {
            let write = |reply: &Reply| reply.encode(packet.tag);
            settles_as_xml(&reply, write, |bytes| Reply::decode(&only(bytes)));
            let _shown = format!("{reply:?}");
        }
    }
}

/// The packets, and what ended them: an error, or the bytes that are left over.
fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Packet>, Result<Vec<u8>, FrameError>) {
    let mut decoder = Decoder::new();
    let mut packets = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_packet() {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(error) => return (packets, Err(error)),
            }
        }
    }
    (packets, Ok(decoder.into_rest().to_vec()))
}

fn only(bytes: &[u8]) -> Packet {
    let (mut packets, end) = decode([bytes]);
    assert_eq!((packets.len(), end), (1, Ok(Vec::new())), "one packet");
    packets.remove(0)
}

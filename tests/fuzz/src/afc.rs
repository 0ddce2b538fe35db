//! AFC's packets, and the requests and replies in them.

use backupwatch_wire::afc::{Packet, PacketDecoder, PacketError, Reply, Request, strings};

use super::bytes::Cut;

/// Small, so that inputs reach it.
const LIMIT: usize = 4096;

pub fn target(input: &[u8]) {
    let cut = Cut::new(input);
    let (packets, end) = decode([cut.whole()]);
    assert_eq!((&packets, &end), (&decode(cut).0, &decode(cut).1));
    for packet in packets {
        assert_eq!(
            decode([packet.encode().as_slice()]),
            (vec![packet.clone()], Ok(true))
        );
        if let Ok(request) = Request::from_packet(&packet) {
            let again = Request::from_packet(&request.to_packet(packet.number));
            assert_eq!(again.as_ref(), Ok(&request));
        }
        let number = packet.number;
        if let Ok(reply) = Reply::from_packet(packet) {
            assert_eq!(
                Reply::from_packet(reply.to_packet(number)).as_ref(),
                Ok(&reply)
            );
            if let Reply::Data(data) = reply {
                assert!(strings(&data).len() <= data.len());
            }
        }
    }
}

/// The packets, and what ended them: an error, or whether nothing was cut.
fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Packet>, Result<bool, PacketError>) {
    let mut decoder = PacketDecoder::with_limit(LIMIT);
    let mut packets = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            match decoder.next(piece) {
                Ok((taken, packet)) => {
                    assert!(taken > 0 && (packet.is_some() || taken == piece.len()));
                    packets.extend(packet);
                    piece = &piece[taken..];
                }
                Err(error) => return (packets, Err(error)),
            }
        }
    }
    (packets, Ok(decoder.is_idle()))
}

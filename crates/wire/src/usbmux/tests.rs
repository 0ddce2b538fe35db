//! Framing and messages of usbmuxd: the facts of `docs/protocol/usbmuxd.md`, each as a row.

use super::message::{port_from_wire, port_to_wire};
use super::*;

fn client() -> Client {
    Client {
        prog_name: "p".into(),
        version: "v".into(),
        bundle_id: "b".into(),
        lib_version: 3,
    }
}

#[test]
fn lockdowns_port_on_the_wire() {
    assert_eq!(port_to_wire(62078), 32498);
    assert_eq!(port_from_wire(32498), 62078);
}

#[test]
fn a_request_comes_back() {
    let request = Request::Connect {
        device: MuxDeviceId(7),
        port: 62078,
    };
    let mut decoder = Decoder::new();
    decoder.push(&request.encode(&client(), 9));
    let packet = decoder.next_packet().unwrap().unwrap();
    assert_eq!(packet.tag, 9);
    assert_eq!(Request::decode(&packet).unwrap(), (request, client()));
}

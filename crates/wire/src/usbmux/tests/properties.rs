//! Whatever is sent comes back; whatever comes ends well.

use proptest::prelude::*;

use super::*;

fn attachment() -> impl Strategy<Value = Attachment> {
    let usb = (
        any::<Option<u32>>(),
        any::<Option<u32>>(),
        any::<Option<u64>>(),
    )
        .prop_map(|(location_id, product_id, speed)| Link::Usb {
            location_id,
            product_id,
            speed,
        });
    let network = (".{0,20}", any::<Option<u32>>(), any::<Vec<u8>>()).prop_map(
        |(name, interface, address)| {
            let service_name = name.chars().filter(|c| !c.is_control()).collect();
            Link::Network {
                service_name,
                interface,
                address: NetworkAddress(address),
            }
        },
    );
    (
        any::<u32>(),
        "[0-9a-fA-F]{8}-[0-9A-F]{16}|[0-9a-f]{40}",
        prop_oneof![usb, network],
    )
        .prop_map(|(id, udid, link)| Attachment {
            device_id: MuxDeviceId(id),
            udid,
            link,
        })
}

fn client() -> impl Strategy<Value = Client> {
    ("[a-z]{0,9}", "[0-9.]{0,9}", "[a-z.]{0,9}", any::<u32>()).prop_map(
        |(prog_name, version, bundle_id, lib_version)| Client {
            prog_name,
            version,
            bundle_id,
            lib_version,
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let device = any::<u32>().prop_map(MuxDeviceId);
    let udid = "[0-9A-F-]{0,40}";
    prop_oneof![
        Just(Request::ListDevices),
        Just(Request::Listen),
        (device, any::<u16>()).prop_map(|(device, port)| Request::Connect { device, port }),
        Just(Request::ReadBuid),
        udid.prop_map(|udid| Request::ReadPairRecord { udid }),
        (udid, any::<Vec<u8>>(), any::<Option<u32>>()).prop_map(|(udid, record, device)| {
            Request::SavePairRecord {
                udid,
                record: PairRecordData(record),
                device: device.map(MuxDeviceId),
            }
        }),
        udid.prop_map(|udid| Request::DeletePairRecord { udid }),
        Just(Request::ListListeners),
        "x[a-z]{0,9}".prop_map(|message_type| Request::Unknown { message_type }),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let device = any::<u32>().prop_map(MuxDeviceId);
    let listener = (client(), "[0-9]{0,5}", any::<i64>(), any::<bool>()).prop_map(
        |(client, id, connection_type, blacklisted)| Listener {
            client,
            id,
            connection_type,
            blacklisted,
        },
    );
    prop_oneof![
        any::<i64>().prop_map(|number| Reply::Result(ResultCode::from_number(number))),
        (0..9_i64).prop_map(|number| Reply::Result(ResultCode::from_number(number))),
        proptest::collection::vec(attachment(), 0..5).prop_map(|attachments| Reply::Devices {
            attachments,
            unreadable: 0
        }),
        "[0-9A-F-]{0,40}".prop_map(Reply::Buid),
        any::<Vec<u8>>().prop_map(|record| Reply::PairRecord(PairRecordData(record))),
        proptest::collection::vec(listener, 0..5).prop_map(Reply::Listeners),
        attachment().prop_map(|one| Reply::Event(Event::Attached(one))),
        device
            .clone()
            .prop_map(|device| Reply::Event(Event::Detached(device))),
        device.prop_map(|device| Reply::Event(Event::Paired(device))),
        proptest::option::of("x[a-z]{0,9}")
            .prop_map(|message_type| Reply::Unknown { message_type }),
    ]
}

proptest! {
    #[test]
    fn a_request_comes_back(request in request(), client in client(), tag in any::<u32>()) {
        let packet = only_packet(&request.encode(&client, tag));
        prop_assert_eq!(packet.tag, tag);
        prop_assert_eq!(Request::decode(&packet), Ok((request, client)));
    }

    #[test]
    fn a_reply_comes_back(reply in reply(), tag in any::<u32>()) {
        let packet = only_packet(&reply.encode(tag));
        prop_assert_eq!(packet.tag, tag);
        prop_assert_eq!(Reply::decode(&packet), Ok(reply));
    }

    #[test]
    fn any_chunking_gives_the_same_packets(
        bodies in proptest::collection::vec(any::<Vec<u8>>(), 0..6),
        rest in proptest::collection::vec(any::<u8>(), 0..15),
        cuts in proptest::collection::vec(1..40_usize, 1..200),
    ) {
        let sent: Vec<_> = (1..).zip(bodies).map(|(tag, body)| Packet::plist(tag, body)).collect();
        let mut stream = sent.iter().map(Packet::encode).collect::<Vec<_>>().concat();
        stream.extend(&rest);

        let mut decoder = Decoder::new();
        let mut received = Vec::new();
        let mut stream = stream.as_slice();
        for cut in cuts.into_iter().chain([usize::MAX]) {
            let (chunk, later) = stream.split_at(cut.min(stream.len()));
            stream = later;
            decoder.push(chunk);
            while let Some(packet) = decoder.next_packet().unwrap() {
                received.push(packet);
            }
        }
        prop_assert_eq!(received, sent);
        prop_assert_eq!(decoder.into_rest(), rest);
    }

    #[test]
    fn random_streams_end_well(stream in any::<Vec<u8>>(), body in any::<Vec<u8>>()) {
        let mut decoder = Decoder::new();
        decoder.push(&stream);
        while let Ok(Some(packet)) = decoder.next_packet() {
            let _ = Request::decode(&packet);
        }
        let packet = Packet::plist(1, body);
        let _ = (Request::decode(&packet), Reply::decode(&packet));
    }
}

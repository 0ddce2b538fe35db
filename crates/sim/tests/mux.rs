//! usbmuxd against the facts of protocol.md section 3: events, results, pair records, faults, its own death.

#![cfg(test)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test fails alike on every answer but the one"
)]

mod host;

use std::time::Duration;

use backupwatch_sim::persona::{Answers, LinkKind, LinkSpec, Persona};
use backupwatch_sim::usbmuxd::MuxFault;
use backupwatch_sim::{Listen, Sim};
use backupwatch_wire::lockdown::PORT;
use backupwatch_wire::usbmux::{
    Event, Link, MuxDeviceId, PairRecordData, Reply, Request, ResultCode,
};
use host::{Mux, UDID, connect, device, devices, phone, record, sim, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const OTHER: &str = "00008101-000A111122220BAD";

fn on_both() -> Persona {
    let mut persona = phone();
    persona.link = vec![
        LinkSpec::new(LinkKind::Network, true),
        LinkSpec::new(LinkKind::Usb, true),
    ];
    persona
}

async fn event(mux: &mut Mux) -> Event {
    match soon(mux.next()).await {
        Some((Reply::Event(event), 0)) => event,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_listener_hears_what_is_there_and_what_changes() {
    let sim = sim(vec![phone()]);
    let driver = sim.phone(UDID).unwrap();
    let mut mux = Mux::new(&sim);
    assert_eq!(
        mux.ask(&Request::Listen).await,
        Reply::Result(ResultCode::Ok)
    );
    let Event::Attached(first) = event(&mut mux).await else {
        panic!("attached")
    };
    assert_eq!(first.udid, UDID);

    driver.unplug();
    assert_eq!(event(&mut mux).await, Event::Detached(first.device_id));
    driver.plug();
    let Event::Attached(second) = event(&mut mux).await else {
        panic!("attached")
    };
    assert_ne!(
        first.device_id, second.device_id,
        "a replug is another attachment"
    );

    sim.add(Persona::plain(OTHER, "Bo’s iPhone")).unwrap();
    let Event::Attached(other) = event(&mut mux).await else {
        panic!("attached")
    };
    assert_eq!(other.udid, OTHER);

    let record = PairRecordData(record(&sim, UDID).encode());
    let save = Request::SavePairRecord {
        udid: UDID.to_owned(),
        record,
        device: Some(second.device_id),
    };
    assert_eq!(
        Mux::new(&sim).ask(&save).await,
        Reply::Result(ResultCode::Ok)
    );
    assert_eq!(event(&mut mux).await, Event::Paired(second.device_id));

    // Event-only: a command is refused, and the connection ends.
    mux.send(&Request::ListDevices).await;
    let refused = soon(mux.next()).await;
    assert_eq!(refused, Some((Reply::Result(ResultCode::BadCommand), 7)));
    assert_eq!(soon(mux.next()).await, None);
}

#[tokio::test]
async fn a_phone_on_cable_and_wifi_is_listed_twice() {
    let sim = sim(vec![on_both()]);
    let all = devices(&sim).await;
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|one| one.udid == UDID));
    let network = all
        .iter()
        .find(|one| matches!(one.link, Link::Network { .. }))
        .unwrap();
    let Link::Network {
        service_name,
        address,
        ..
    } = &network.link
    else {
        panic!("network")
    };
    assert!(service_name.ends_with("._apple-mobdev2._tcp.local."));
    assert!(address.socket_addr().is_some(), "{address:?}");

    let driver = sim.phone(UDID).unwrap();
    driver.unplug_link(LinkKind::Usb);
    let left = devices(&sim).await;
    assert_eq!(left.len(), 1);
    assert!(matches!(left[0].link, Link::Network { .. }));
}

#[tokio::test]
async fn connect_answers_with_the_results_of_the_table() {
    let sim = sim(vec![phone()]);
    let device = device(&sim, UDID, true).await;
    for (name, device, port, expected) in [
        ("lockdown", device, PORT, Ok(())),
        (
            "a closed port",
            device,
            1234,
            Err(ResultCode::ConnectionRefused),
        ),
        (
            "no such device",
            MuxDeviceId(999),
            PORT,
            Err(ResultCode::BadDevice),
        ),
    ] {
        assert_eq!(
            connect(&sim, device, port).await.map(drop),
            expected,
            "{name}"
        );
    }
    // The port is in network byte order; in the other order it is another port (protocol.md 3.2).
    let mut swapped = connect(&sim, device, PORT).await.unwrap();
    swapped.shutdown().await.unwrap();
}

#[tokio::test]
async fn pair_records_are_kept_with_linux_answers() {
    let sim = sim(vec![phone()]);
    let read = |udid: &str| Request::ReadPairRecord {
        udid: udid.to_owned(),
    };
    let delete = |udid: &str| Request::DeletePairRecord {
        udid: udid.to_owned(),
    };
    let save = |udid: &str, record: &[u8]| Request::SavePairRecord {
        udid: udid.to_owned(),
        record: PairRecordData(record.to_vec()),
        device: None,
    };
    let good = record(&sim, UDID).encode();
    let mut mux = Mux::new(&sim);
    assert!(matches!(mux.ask(&read(UDID)).await, Reply::PairRecord(_)));
    let result = Reply::Result;
    let enoent = ResultCode::from_number(2);
    let einval = ResultCode::from_number(22);
    for (name, request, expected) in [
        ("read of none", read(OTHER), enoent),
        ("delete of none", delete(OTHER), enoent),
        ("save", save(OTHER, &good), ResultCode::Ok),
        ("save of rubbish", save(OTHER, b"rubbish"), einval),
        ("save outside", save("../../etc/passwd", &good), einval),
        ("delete", delete(UDID), ResultCode::Ok),
        ("read of deleted", read(UDID), enoent),
        (
            "unknown",
            Request::Unknown {
                message_type: "Dance".to_owned(),
            },
            ResultCode::BadCommand,
        ),
    ] {
        assert_eq!(mux.ask(&request).await, result(expected), "{name}");
    }
    let Reply::Buid(buid) = mux.ask(&Request::ReadBuid).await else {
        panic!("a BUID")
    };
    assert_eq!(record(&sim, OTHER).system_buid, Some(buid));
}

#[tokio::test]
async fn listeners_are_listed_as_long_as_they_listen() {
    let sim = sim(vec![]);
    let listeners = async || match Mux::new(&sim).ask(&Request::ListListeners).await {
        Reply::Listeners(listeners) => listeners,
        other => panic!("{other:?}"),
    };
    assert!(listeners().await.is_empty());
    let mut mux = Mux::new(&sim);
    mux.ask(&Request::Listen).await;
    let there = listeners().await;
    assert_eq!(there.len(), 1);
    assert_eq!(there[0].client.prog_name, "test");
    drop(mux);
    // The daemon notices the end when it reads.
    soon(async {
        while !listeners().await.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn pulling_the_cable_breaks_the_tunnel() {
    let sim = sim(vec![on_both()]);
    let driver = sim.phone(UDID).unwrap();
    let cable = device(&sim, UDID, true).await;
    let wifi = device(&sim, UDID, false).await;
    let mut by_cable = connect(&sim, cable, PORT).await.unwrap();
    let mut by_wifi = connect(&sim, wifi, PORT).await.unwrap();
    driver.unplug_link(LinkKind::Usb);
    assert_eq!(soon(by_cable.read(&mut [0; 8])).await.unwrap(), 0);
    assert!(connect(&sim, cable, PORT).await.is_err());
    let alive = tokio::time::timeout(Duration::from_millis(50), by_wifi.read(&mut [0; 8])).await;
    assert!(alive.is_err(), "Wi-Fi lives on");
}

#[tokio::test(start_paused = true)]
async fn each_mux_fault_looks_as_it_is_named() {
    for (fault, expected) in [
        (MuxFault::Rubbish, "b\"HTTP/1.1"),
        (MuxFault::Stall, "silence"),
        (MuxFault::Close, "b\"\""),
        (MuxFault::HugeLength, "b\"\\xf0\\xff\\xff\\xff"),
        (MuxFault::ShortLength, "b\"\\x03\\0\\0\\0"),
        (MuxFault::NotAPlist, "this is no property list"),
        (MuxFault::NotADictionary, "<string>hello</string>"),
        (MuxFault::Cut, "DOCTYPE plist"),
        (MuxFault::BinaryVersion, "b\"\\x14\\0\\0\\0\\0\\0\\0\\0"),
    ] {
        let sim = sim(vec![phone()]);
        sim.set_mux_fault(fault);
        let mut mux = Mux::new(&sim);
        mux.send(&Request::ListDevices).await;
        let mut bytes = Vec::new();
        let ended =
            tokio::time::timeout(Duration::from_secs(60), mux.stream.read_to_end(&mut bytes)).await;
        let said = match ended {
            Ok(_) => format!("{:?}", bytes::Bytes::from(bytes)),
            Err(_) => "silence".to_owned(),
        };
        assert!(said.contains(expected), "{fault:?}: {said}");
        sim.set_mux_fault(MuxFault::None);
        assert_eq!(devices(&sim).await.len(), 1, "{fault:?}: mended");
    }
}

#[tokio::test]
async fn the_binary_protocol_is_refused_in_its_own_words() {
    let sim = sim(vec![]);
    let mut stream = sim.connect();
    // A Listen of version 0.
    stream
        .write_all(&[16, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0])
        .await
        .unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    let expected = [20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 6, 0, 0, 0];
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn usbmuxd_dies_and_comes_back_while_the_phones_live_on() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("usbmuxd");
    let sim = Sim::start(vec![phone()], Listen::Unix(path.clone())).unwrap();
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let before = devices(&sim).await;

    sim.mux_down().await;
    assert_eq!(
        soon(stream.read(&mut [0; 8])).await.unwrap(),
        0,
        "open connections break"
    );
    assert!(tokio::net::UnixStream::connect(&path).await.is_err());

    sim.mux_up().unwrap();
    assert!(tokio::net::UnixStream::connect(&path).await.is_ok());
    assert_eq!(devices(&sim).await, before);
    sim.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn many_phones_hang_on_one_mux() {
    let personas = (0..500)
        .map(|number| Persona::plain(&format!("00008101-000A1111{number:08X}"), "one of many"))
        .collect();
    let sim = sim(personas);
    assert_eq!(devices(&sim).await.len(), 500);
}

#[tokio::test]
async fn a_listed_network_device_may_be_dead() {
    for (answers, expected) in [
        (Answers::Refuses, "refused"),
        (Answers::Silent, "silence"),
        (Answers::Yes, "an answer"),
    ] {
        let mut persona = on_both();
        persona.link[0].answers = answers;
        let sim = sim(vec![persona]);
        let wifi = device(&sim, UDID, false).await;
        let said = match connect(&sim, wifi, PORT).await {
            Err(ResultCode::ConnectionRefused) => "refused",
            Err(other) => panic!("{other:?}"),
            Ok(mut stream) => {
                let ask = backupwatch_wire::lockdown::Request::QueryType.encode(None);
                stream.write_all(&ask).await.unwrap();
                let mut some = [0; 8];
                let answer = stream.read(&mut some);
                match tokio::time::timeout(Duration::from_millis(300), answer).await {
                    Ok(_) => "an answer",
                    Err(_) => "silence",
                }
            }
        };
        assert_eq!(said, expected, "{answers:?}");
        assert!(
            connect(&sim, device(&sim, UDID, true).await, PORT)
                .await
                .is_ok(),
            "the cable is good"
        );
    }
}

#[tokio::test]
async fn some_daemons_leave_the_hyphen_out() {
    let mut persona = phone();
    persona.identity.listed_without_hyphen = true;
    let sim = sim(vec![persona]);
    // As it is on the wire: the decoder of `wire` puts the hyphen back.
    let mut mux = Mux::new(&sim);
    mux.send(&Request::ListDevices).await;
    let mut bytes = vec![0; 4096];
    let some = soon(mux.stream.read(&mut bytes)).await.unwrap();
    let text = String::from_utf8_lossy(&bytes[..some]).into_owned();
    assert!(
        text.contains("<string>00008101000A11112222F1E5</string>"),
        "{text}"
    );
    assert_eq!(devices(&sim).await[0].udid, UDID);
}

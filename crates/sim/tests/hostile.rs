//! Any bytes from a host: the simulator neither panics nor stops serving others. Its own tests would lie if a stranger's
//! mistake could take it down.

#![cfg(test)]

mod host;

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backupwatch_sim::SimHandle;
use backupwatch_sim::persona::ServiceSsl;
use backupwatch_wire::afc::{self, OpenMode};
use backupwatch_wire::lockdown::{PORT, Request, encode_frame};
use backupwatch_wire::usbmux;
use backupwatch_wire::{heartbeat, installation_proxy, notification_proxy};
use host::{Lockdown, UDID, connect, device, devices, phone, record, sim};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics of tasks, which nobody else would hear of.
fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            before(info);
        }));
    });
}

/// Where the bytes go.
#[derive(Clone, Copy, Debug)]
enum Door {
    Mux,
    Lockdown,
    Service(&'static str),
}

const DOORS: &[Door] = &[
    Door::Mux,
    Door::Lockdown,
    Door::Service(afc::SERVICE),
    Door::Service(heartbeat::SERVICE),
    Door::Service(installation_proxy::SERVICE),
    Door::Service(notification_proxy::SERVICE),
    Door::Service("com.apple.springboardservices"),
];

async fn open(sim: &SimHandle, door: Door) -> DuplexStream {
    match door {
        Door::Mux => sim.connect(),
        Door::Lockdown => connect(sim, device(sim, UDID, true).await, PORT)
            .await
            .unwrap(),
        Door::Service(name) => {
            let mut lockdown = Lockdown::new(sim, UDID).await;
            let record = record(sim, UDID);
            lockdown.start_session(&record).await.unwrap();
            let (port, _) = lockdown.start_service(name, None).await.unwrap();
            connect(sim, device(sim, UDID, true).await, port)
                .await
                .unwrap()
        }
    }
}

/// Bytes that get past the first look: well-formed outside, anything inside.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let valid = prop_oneof![
        Just(usbmux::Request::Listen.encode(&usbmux::Client::default(), 1)),
        Just(Request::QueryType.encode(None)),
        Just(notification_proxy_post()),
        Just(
            afc::Request::Open {
                path: "/x".to_owned(),
                mode: OpenMode::ReadWrite
            }
            .to_packet(1)
            .encode()
        ),
    ];
    let bent = (valid.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
        |(mut bytes, at, byte)| {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        },
    );
    prop_oneof![
        valid,
        bent,
        vec(any::<u8>(), 0..200),
        vec(any::<u8>(), 0..200).prop_map(|body| encode_frame(&body)),
    ]
}

fn notification_proxy_post() -> Vec<u8> {
    let post = notification_proxy::Request::Post {
        name: "x".to_owned(),
    }
    .to_value();
    encode_frame(&backupwatch_wire::codec::to_binary(&post))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nobody_takes_the_simulator_down(door in prop::sample::select(DOORS), pieces in vec(nearly(), 1..6)) {
        count_panics();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut persona = phone();
            persona.lockdown.session_ssl = false;
            persona.services.ssl = ServiceSsl::Never;
            let sim = sim(vec![persona]);
            let mut stream = open(&sim, door).await;
            for piece in &pieces {
                if stream.write_all(piece).await.is_err() {
                    break;
                }
                let mut some = [0; 4096];
                drop(tokio::time::timeout(Duration::from_millis(20), stream.read(&mut some)).await);
            }
            drop(stream);
            assert_eq!(devices(&sim).await.len(), 1);
        });
        prop_assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    }
}

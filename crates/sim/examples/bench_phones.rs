//! The phones of `cargo xtask bench phones`: any number of them on one Unix socket. They come and go as the lines on standard
//! input say, and end with them.
//!
//! `bench_phones SOCKET PERSONA.toml COUNT`: that many phones of this persona, each with a UDID of its own, none plugged in. Lines:
//! `plug` and `unplug` do it to all, `flap ROUNDS MILLISECONDS` unplugs each tenth phone in turn and plugs it in again, and
//! `date WHICH DAYS` lets the last iCloud backup of each tenth phone from WHICH on be so many days old.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::allow_attributes,
    reason = "a measurement"
)]

use std::io::BufRead as _;
use std::path::Path;
use std::time::Duration;

use backupwatch_sim::persona::{Persona, Stamp};
use backupwatch_sim::phone::PhoneHandle;
use backupwatch_sim::{Listen, Sim};

/// One of so many phones goes and comes in a round of flapping.
const EACH: usize = 10;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, persona, count] = &arguments[..] else {
        panic!("bench_phones SOCKET PERSONA.toml COUNT")
    };
    let like = Persona::load(Path::new(persona)).unwrap();
    let personas = (0..count.parse::<u32>().unwrap()).map(|number| {
        let mut persona = like.clone();
        persona.identity.udid = format!(
            "00008101-{:016X}",
            0x00B0_0000_0000_0000_u64 + u64::from(number)
        );
        persona.identity.name = format!("Phone {number}");
        for link in &mut persona.link {
            link.plugged = false;
        }
        persona
    });
    let sim = Sim::start(personas.collect(), Listen::Unix(socket.into())).unwrap();
    let phones = sim.phones();
    println!("ready");
    // Standard input blocks a thread, and this one has nothing else to do: the phones live on the runtime's others.
    tokio::task::block_in_place(|| {
        for line in std::io::stdin().lock().lines() {
            let line = line.unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["plug"] => phones.iter().for_each(PhoneHandle::plug),
                ["unplug"] => phones.iter().for_each(PhoneHandle::unplug),
                ["flap", rounds, pause] => {
                    flap(&phones, rounds.parse().unwrap(), pause.parse().unwrap())
                }
                ["date", which, days] => {
                    let stamp = Stamp::DaysAgo(days.parse().unwrap());
                    let some = phones.iter().skip(which.parse().unwrap()).step_by(EACH);
                    some.for_each(|phone| phone.set_cloud_stamp(Some(&stamp)));
                }
                _ => panic!("{line} is no command"),
            }
            println!("done");
        }
    });
    sim.stop().await;
}

fn flap(phones: &[PhoneHandle], rounds: usize, pause: u64) {
    for round in 0..rounds {
        let some = || phones.iter().skip(round % EACH).step_by(EACH);
        some().for_each(PhoneHandle::unplug);
        std::thread::sleep(Duration::from_millis(pause));
        some().for_each(PhoneHandle::plug);
    }
}

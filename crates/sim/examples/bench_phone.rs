//! The phone of `cargo xtask bench`: one persona on a Unix socket, which does as the lines on its standard input say and
//! ends with them.
//!
//! `bench_phone SOCKET PERSONA.toml tls|plain DIVISOR`: the services with TLS or without, and only one of DIVISOR files
//! (or of the bytes of a single file). Lines: `mutate PERCENT` changes files and says how many; `finished` says how the
//! last backup ended, or `nothing` when none did since it was last asked.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a measurement"
)]

use std::io::BufRead as _;
use std::path::Path;
use std::sync::Arc;

use backupwatch_sim::persona::{Persona, ServiceSsl};
use backupwatch_sim::{Listen, Sim};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, persona, link, divisor] = &arguments[..] else {
        panic!("bench_phone SOCKET PERSONA.toml tls|plain DIVISOR")
    };
    let mut persona = Persona::load(Path::new(persona)).unwrap();
    persona.services.ssl = match link.as_str() {
        "tls" => ServiceSsl::Always,
        "plain" => ServiceSsl::Never,
        other => panic!("{other} is neither tls nor plain"),
    };
    shrink(&mut persona, divisor.parse().unwrap());

    let sim = Sim::start(vec![persona], Listen::Unix(socket.into())).unwrap();
    let phone = sim.phones().remove(0);
    phone.prepare_manifest().unwrap();
    let catalog = phone.catalog();
    println!(
        "ready {} {} {}",
        phone.udid(),
        catalog.files().count(),
        catalog.bytes()
    );
    // Standard input blocks a thread, and this one has nothing else to do: the phone lives on the runtime's others.
    tokio::task::block_in_place(|| {
        let mut told = None;
        for line in std::io::stdin().lock().lines() {
            let line = line.unwrap();
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("mutate", percent) => {
                    let percent = percent.parse().unwrap();
                    let changed = phone.change_contents(|catalog| catalog.mutate(percent));
                    phone.prepare_manifest().unwrap();
                    println!("mutated {changed}");
                }
                ("finished", _) => match phone.finished_backup() {
                    Some(now) if !told.as_ref().is_some_and(|told| Arc::ptr_eq(told, &now)) => {
                        println!("finished {:?} {}", now.how, now.uploaded);
                        told = Some(now);
                    }
                    Some(_) | None => println!("nothing"),
                },
                (other, _) => panic!("{other} is no command"),
            }
        }
    });
    sim.stop().await;
}

fn shrink(persona: &mut Persona, divisor: u32) {
    for group in &mut persona.contents.groups {
        group.count = (group.count / divisor).max(1);
    }
    for file in &mut persona.contents.files {
        file.size /= u64::from(divisor);
    }
}

//! A manifest that was written before a host asked is the one that the phone would have written then.

#![cfg(test)]

mod backup_host;

use std::sync::Arc;

use backup_host::Host;
use backupwatch_sim::mobilebackup2::How;
use backupwatch_sim::persona::Persona;
use backupwatch_sim::phone::{MuxSide, Phone};

const UDID: &str = "00008101-000A11112222F1E5";

fn phone() -> Arc<Phone> {
    let mut persona = Persona::plain(UDID, "Ada");
    let contents =
        "seed = 9\n[[groups]]\ndomain = \"D\"\ncount = 200\nsize = [0, 2000]\nattributes = 90";
    persona.contents = toml::from_str(contents).unwrap();
    Arc::new(Phone::new(persona, MuxSide::new()))
}

/// A full backup, one after changes, and one after changes that nobody prepared for: the manifests, and how many files came.
async fn life(prepare: bool) -> Vec<(Vec<u8>, How, usize)> {
    let (phone, mut host, mut out) = (phone(), Host::default(), Vec::new());
    for round in 0..3 {
        if round > 0 {
            phone.backup().change(|catalog| catalog.mutate(5.0));
        }
        if prepare && round < 2 {
            phone.backup().prepare().unwrap();
        }
        assert_eq!(host.back_up(&phone).await.code(), 0);
        let manifest = host.files[&format!("{UDID}/Manifest.db")].bytes.clone();
        let finished = phone.backup().finished().unwrap();
        out.push((manifest.unwrap(), finished.how, finished.uploaded));
    }
    out
}

#[tokio::test]
async fn a_prepared_manifest_is_the_one_that_would_have_been_written() {
    let (prepared, usual) = (life(true).await, life(false).await);
    assert_eq!(prepared, usual);
    let counts: Vec<(How, usize)> = usual.iter().map(|(_, how, files)| (*how, *files)).collect();
    assert_eq!(
        counts,
        [
            (How::Full, 200),
            (How::Incremental, 10),
            (How::Incremental, 10)
        ]
    );
}

//! A phone that says the same odd thing a thousand times: the report counts it, and the log of the agent, which is on
//! somebody's disk, does not grow with it.

#![expect(clippy::unwrap_used, reason = "a helper of tests may fail as tests do")]

mod common;

use std::sync::{Arc, Mutex};

use common::{World, failure, persona};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_does_not_grow_with_what_a_phone_repeats() {
    const TIMES: usize = 1500;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    for send in [
        "{ upload = \"../outside\" }",
        "{ unknown = \"DLMessageFormatDisk\" }",
        "{ remove = \"..\" }",
    ] {
        let world = World::new(persona());
        log.0.lock().unwrap().clear();
        world.set_faults(&format!("[[rogue]]\nat = \"uploading\"\nsend = {send}\n").repeat(TIMES));
        let report = world.back_up().await;
        let lines = log
            .0
            .lock()
            .unwrap()
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        assert!(lines < 100, "{send}: {lines} lines");
        assert!(report.refused.len() <= 1000);
        if !send.contains("unknown") {
            failure(&report);
            assert_eq!(report.refused.len(), 1000, "{send}");
            let told = format!("{} more files", TIMES - 1000);
            assert!(
                report
                    .warnings
                    .iter()
                    .any(|warning| warning.contains(&told))
            );
        }
    }
}

//! A person cancels, in each phase of a run: it ends soon, the current backup is as it was, and the next run ends well.

mod common;

use std::time::{Duration, Instant};

use backupwatch_backup::RunOptions;
use backupwatch_core::run::{CancelledBy, Phase, RunEnd, RunFailure};
use common::{TestClock, World, encrypted, first_progress, persona, verified};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_each_phase() {
    for (name, persona) in [("plain", persona()), ("encrypted", encrypted())] {
        let world = World::new(persona);
        world.good_backup().await;
        for phase in [
            Phase::Opening,
            Phase::Preparing,
            Phase::Transferring,
            Phase::Moving,
            Phase::Verifying,
            Phase::Committing,
        ] {
            let what = format!("{name}, {phase:?}");
            world
                .handle()
                .phone()
                .backup()
                .change(|catalog| catalog.mutate(30.0));
            let before = world.current();
            let cancel = CancellationToken::new();
            let (sender, mut progress) = watch::channel(first_progress());
            let clock = TestClock::default();
            let begun = Instant::now();
            let run = backupwatch_backup::run(
                &world.phone,
                &world.store,
                &clock,
                RunOptions::default(),
                sender,
                cancel.clone(),
            );
            let watching = async {
                // Ends as well when the run is over before the phase was seen.
                let _ = progress.wait_for(|at| at.phase == phase).await;
                cancel.cancel();
            };
            // First of all it is seen where the run begins: on a busy computer that may be over when it is polled once.
            let ((), report) = tokio::join!(watching, run);
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
            match report.end {
                RunEnd::Failed(RunFailure::Cancelled {
                    by: CancelledBy::Person,
                }) => assert!(world.current() == before, "{what}"),
                RunEnd::Verified(_) => {
                    assert!(
                        matches!(phase, Phase::Verifying | Phase::Committing),
                        "{what}"
                    );
                }
                RunEnd::Failed(other) => unreachable!("{what}: {other:?}"),
            }
            assert!(!world.handle().phone().sync_locked(), "{what}");
        }
        // Not `good_backup`: a goodbye that crosses a request for files is heard as an odd answer to it.
        verified(&world.back_up().await);
        let verdict = world.handle().verdict(&world.root);
        assert!(verdict.is_whole(), "{name}: {verdict}");
    }
}

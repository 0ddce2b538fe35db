//! What is in a folder of the phone's, listed ahead: a phone asks for all 256 of them, in their order and twice in every backup,
//! and reads each list before it asks for the next.
//!
//! What was listed ahead is good for the very next question and for no other: between the two nothing happened that could have
//! changed the tree. Not here: what the list is told as (`chores`).

use std::sync::Arc;

use backupwatch_core::Udid;
use tokio::task::JoinHandle;

use super::blocking;
use super::chores::{self, Done};
use super::stop::Stop;
use crate::jail::Jail;

/// Entries of a folder beyond which the next one, which has about as many, is not held beside it.
const MANY: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lister {
    ahead: Option<(String, JoinHandle<Done>)>,
}

impl Lister {
    /// What is in a folder now.
    pub(super) async fn list(
        &mut self,
        tree: &Arc<Jail>,
        udid: &Udid,
        path: String,
    ) -> Result<Done, Stop> {
        let next = after(&path);
        let ahead = self.ahead.take().filter(|(listed, _)| *listed == path);
        let listed = match ahead {
            Some((_, work)) => work.await.ok(),
            None => None,
        };
        let done = match listed.filter(|done| done.answer.entries().is_some()) {
            Some(done) => done,
            // What went wrong a moment ago may go well now.
            None => {
                let (tree, udid) = (Arc::clone(tree), udid.clone());
                blocking(move || chores::list(&tree, &udid, &path)).await?
            }
        };
        let few = |entries: usize| (1..=MANY).contains(&entries);
        // The crate's own tests are to know what is read first.
        if !cfg!(test) && done.answer.entries().is_some_and(few) {
            self.ahead = next.map(|next| {
                let (tree, udid, path) = (Arc::clone(tree), udid.clone(), next.clone());
                let work = move || chores::list(&tree, &udid, &path);
                (next, tokio::task::spawn_blocking(work))
            });
        }
        Ok(done)
    }

    /// Something else happened.
    pub(super) fn forget(&mut self) {
        self.ahead = None;
    }
}

/// The folder after one of the 256.
fn after(path: &str) -> Option<String> {
    let (above, name) = path.rsplit_once('/')?;
    let digits = name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if name.len() != 2 || !digits {
        return None;
    }
    let next = u8::from_str_radix(name, 16).ok()?.checked_add(1)?;
    Some(format!("{above}/{next:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_follow_one_another() {
        for (path, next) in [
            ("U/00", Some("U/01")),
            ("U/0f", Some("U/10")),
            ("U/Snapshot/a9", Some("U/Snapshot/aa")),
            ("U/ff", None),
            ("U/0F", None),
            ("U/+1", None),
            ("U/Snapshot", None),
            ("00", None),
        ] {
            assert_eq!(after(path).as_deref(), next, "{path}");
        }
    }
}

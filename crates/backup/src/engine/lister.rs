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
        if done.answer.entries().is_some_and(few) {
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
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn what_was_listed_ahead_is_the_answer_until_something_else_happens() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["00", "01", "02", "03"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
            fs::write(dir.path().join(folder).join("a"), b"x").unwrap();
        }
        let udid = Udid::parse("00008110-000A1B2C3D4E5F60").unwrap();
        let tree = Arc::new(Jail::open(&dir.path().canonicalize().unwrap()).unwrap());
        let mut lister = Lister::default();
        let mut entries = async |folder: &str, happens: bool| {
            if happens {
                lister.forget();
            }
            let path = format!("{}/{folder}", udid.as_str());
            let done = lister.list(&tree, &udid, path).await.unwrap();
            // What comes after was not listed before it is there.
            while lister
                .ahead
                .as_ref()
                .is_some_and(|(_, work)| !work.is_finished())
            {
                tokio::task::yield_now().await;
            }
            done.answer.entries().unwrap()
        };
        assert_eq!(entries("00", false).await, 1);
        fs::write(dir.path().join("01/b"), b"x").unwrap();
        assert_eq!(entries("01", false).await, 1, "listed before");
        fs::write(dir.path().join("02/b"), b"x").unwrap();
        assert_eq!(entries("02", true).await, 2, "something else happened");
        fs::write(dir.path().join("00/b"), b"x").unwrap();
        assert_eq!(entries("00", false).await, 2, "not the one that was listed");
        fs::write(dir.path().join("03/b"), b"x").unwrap();
        assert_eq!(entries("03", false).await, 2, "nor is it kept for later");
    }

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

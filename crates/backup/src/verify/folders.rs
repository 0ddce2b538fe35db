//! The 256 folders of blobs, in their order: while one of them is looked at, the next is listed.
//!
//! Two are in memory at a time. Not here: what is in them (`blobs`).

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use rustix::io::Errno;

use crate::jail::{Entry, Jail};

/// How many there are.
pub(super) const COUNT: u16 = 256;

type Listed = Result<Vec<Entry>, Errno>;

/// See the module.
pub(super) struct Folders<'a> {
    jail: &'a Jail,
    /// With their numbers.
    ahead: Option<Receiver<(u16, Listed)>>,
}

/// Does something with the folders of a tree.
pub(super) fn ahead<T>(jail: &Jail, work: impl FnOnce(Folders<'_>) -> T) -> T {
    thread::scope(|scope| {
        let (sender, listed) = sync_channel(0);
        let list_all = move || {
            for number in 0..COUNT {
                if sender.send((number, list(jail, number))).is_err() {
                    // Nobody wants to know any more.
                    return;
                }
            }
        };
        let lister = thread::Builder::new().name("lister".to_owned());
        let started = lister.spawn_scoped(scope, list_all);
        // Where there is no thread to be had, each is listed when it is asked for.
        let ahead = started.is_ok().then_some(listed);
        let done = work(Folders { jail, ahead });
        // The scope waits for what a thread does, and not until it has put away what it had.
        if let Ok(lister) = started {
            let _ = lister.join();
        }
        done
    })
}

impl Folders<'_> {
    /// What is in a folder. Whoever asks for them in their order waits for none that another one can list meanwhile.
    pub(super) fn list(&mut self, number: u16) -> Listed {
        while let Some((at, listed)) = self.ahead.as_ref().and_then(|ahead| ahead.recv().ok()) {
            if at == number {
                return listed;
            }
        }
        list(self.jail, number)
    }
}

pub(super) fn name(number: u16) -> String {
    format!("{number:02x}")
}

fn list(jail: &Jail, number: u16) -> Listed {
    jail.list_with_parts(&name(number))
}

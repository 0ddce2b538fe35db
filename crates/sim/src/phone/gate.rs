//! Single-stepping: when it is on, the phone waits before each message to the host until a driver lets that one go.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, oneshot};

use super::lock;

#[derive(Debug, Default)]
pub struct Gate {
    stepping: AtomicBool,
    waiting: Mutex<VecDeque<Waiting>>,
    arrived: Notify,
}

#[derive(Debug)]
struct Waiting {
    message: String,
    go: oneshot::Sender<()>,
}

impl Gate {
    /// Called by a service before it sends `message`. Returns at once unless the phone is single-stepped.
    pub async fn pass(&self, message: &str) {
        if !self.stepping.load(Ordering::Acquire) {
            return;
        }
        let (go, gone) = oneshot::channel();
        lock(&self.waiting).push_back(Waiting {
            message: message.to_owned(),
            go,
        });
        self.arrived.notify_one();
        // A dropped sender means that stepping was switched off: go.
        drop(gone.await);
    }

    /// Switches single-stepping on or off. Off lets everything go that waits.
    pub fn stepping(&self, on: bool) {
        self.stepping.store(on, Ordering::Release);
        if !on {
            lock(&self.waiting).clear();
        }
    }

    /// Waits until a message waits at the gate, and leaves it there: what was sent before has been answered.
    pub async fn waits(&self) {
        loop {
            let there = lock(&self.waiting)
                .iter()
                .any(|waiting| !waiting.go.is_closed());
            if there {
                return;
            }
            self.arrived.notified().await;
        }
    }

    /// Lets the next message go, waiting for it if there is none yet, and says which it was.
    pub async fn step(&self) -> String {
        loop {
            let next = lock(&self.waiting).pop_front();
            match next {
                // A service that has died since no longer waits: take the next one.
                Some(Waiting { message, go }) => {
                    if go.send(()).is_ok() {
                        return message;
                    }
                }
                None => self.arrived.notified().await,
            }
        }
    }
}

//! Who is told, as it is configured: those who carry are started, and when the configuration changes, those of whom nothing changed are
//! left alone. What waits for the others goes on where their address is the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use backupwatch_core::Udid;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::check::Check;
use super::courier::{Courier, Network, Queue};
use super::event::Event;
use super::http::Url;
use super::pinger::{Mailbox, Pinger};
use super::settings::Webhook;
use super::{Contact, Hook, Kept, Outside, TIDINGS, Tiding, Whom};
use crate::alias::Aliases;
use crate::clock::Clock;
use crate::config::Config;

/// What was kept for those who are not configured. It is forgotten with the first look that somebody else is told of.
#[derive(Debug, Default)]
pub(super) struct Left {
    messages: BTreeMap<String, Vec<Arc<Event>>>,
    contacts: BTreeMap<String, Contact>,
}

impl Left {
    /// Whose it was.
    pub(super) fn forget(&mut self) -> Vec<String> {
        let Self { messages, contacts } = std::mem::take(self);
        let mut keys: Vec<String> = contacts.into_keys().chain(messages.into_keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

impl Outside {
    /// Starts those who carry, with what was left over.
    pub(crate) fn start<N: Network>(
        config: &Config,
        kept: Kept,
        aliases: &Aliases,
        network: N,
        clock: &Arc<dyn Clock>,
    ) -> (Self, mpsc::Receiver<Tiding>) {
        let (tell, tidings) = mpsc::channel(TIDINGS);
        let mut left = Left {
            messages: BTreeMap::new(),
            contacts: kept.contacts.into_iter().collect(),
        };
        for (hook, event) in kept.messages {
            left.messages.entry(hook).or_default().push(Arc::new(event));
        }
        let now = Instant::now();
        let mut outside = Self {
            hooks: Vec::new(),
            checks: Vec::new(),
            contacts: BTreeMap::new(),
            told: kept.told,
            ended: Vec::new(),
            programs: Vec::new(),
            left,
            interval: config.policies.general.poll.interval,
            begun: now,
            stale: true,
            not_before: now,
            beat: now,
            zone: TimeZone::system(),
            aliases: aliases.clone(),
            clock: Arc::clone(clock),
            tell,
        };
        outside.configure(config, network);
        (outside, tidings)
    }

    /// Goes by this configuration from now on.
    pub(crate) fn configure<N: Network>(&mut self, config: &Config, network: N) {
        let network = Arc::new(network);
        self.left.contacts.append(&mut self.contacts);
        let mut hooks = std::mem::take(&mut self.hooks);
        for webhook in &config.own.webhook {
            let key = self.contact(Whom::Webhook, &webhook.url);
            let hook = match hooks.iter().position(|hook| hook.key == key) {
                Some(at) => hooks.swap_remove(at).configured(webhook, self, &network),
                None => {
                    let queue = Queue::default();
                    for event in self.left.messages.remove(&key).unwrap_or_default() {
                        // As many as were let in.
                        let _none = queue.push(event);
                    }
                    Hook::new(key, webhook, Arc::new(queue), self, &network)
                }
            };
            self.hooks.push(hook);
        }
        for hook in hooks {
            self.left.messages.insert(hook.key, hook.queue.all());
        }
        let mut checks = std::mem::take(&mut self.checks);
        let general = config.own.ping.url.iter().map(|url| (None, url));
        let single = config.pings.iter();
        let single = single.map(|(udid, url)| (Some(udid.clone()), url));
        for (udid, url) in general.chain(single) {
            let key = self.contact(Whom::Watcher, url);
            let is_it = |check: &Check| check.udid == udid && check.key == key;
            let check = match checks.iter().position(is_it) {
                Some(at) => checks.swap_remove(at),
                None => self.check(udid, key, url, &network),
            };
            self.checks.push(check);
        }
        self.interval = config.policies.general.poll.interval;
        self.beat = self.beat.min(Instant::now() + self.every());
        self.stale = true;
    }

    /// How this one was reached up to now.
    fn contact(&mut self, whom: Whom, url: &Url) -> String {
        let key = self.aliases.place(&url.secret());
        let known = self.left.contacts.remove(&key);
        let known = known.unwrap_or_else(|| Contact::new(whom, url.host()));
        self.contacts.entry(key.clone()).or_insert(known);
        key
    }

    fn check<N: Network>(
        &self,
        udid: Option<Udid>,
        key: String,
        url: &Url,
        network: &Arc<N>,
    ) -> Check {
        let mailbox = Arc::new(Mailbox::default());
        let pinger = Pinger {
            key: key.clone(),
            url: url.clone(),
            mailbox: Arc::clone(&mailbox),
            network: Arc::clone(network),
            tell: self.tell.clone(),
        };
        Check {
            key,
            mailbox,
            udid,
            last: None,
            runs: BTreeMap::new(),
            _pinger: AbortOnDropHandle::new(tokio::spawn(pinger.run())),
        }
    }
}

impl Hook {
    fn new<N: Network>(
        key: String,
        webhook: &Webhook,
        queue: Arc<Queue>,
        outside: &Outside,
        network: &Arc<N>,
    ) -> Self {
        let courier = Courier {
            key: key.clone(),
            webhook: webhook.clone(),
            aliases: outside.aliases.clone(),
            queue: Arc::clone(&queue),
            network: Arc::clone(network),
            clock: Arc::clone(&outside.clock),
            tell: outside.tell.clone(),
        };
        Self {
            key,
            webhook: webhook.clone(),
            queue,
            _courier: AbortOnDropHandle::new(tokio::spawn(courier.run())),
        }
    }

    /// The same address; perhaps with other wishes. A message that is under way then may come twice.
    fn configured<N: Network>(
        self,
        webhook: &Webhook,
        outside: &Outside,
        network: &Arc<N>,
    ) -> Self {
        if self.webhook == *webhook {
            return self;
        }
        Self::new(self.key, webhook, self.queue, outside, network)
    }
}

//! The program of the person's after a backup: for each device one at a time, again if a newer backup came meanwhile, and after a
//! restart what was owed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use backupwatch_core::watcher::DeviceView;
use backupwatch_core::{Now, Udid};

use super::{Act, Mind};
use crate::errand::{Errand, Run};
use crate::keeper::Write;

#[derive(Debug, Default)]
pub(super) struct Errands {
    /// Not begun yet: the store has not been seen since the start.
    owed: BTreeSet<Udid>,
    /// Handed out; whether there is a newer backup since.
    running: BTreeMap<Udid, bool>,
    /// What failed, and has not gone well since.
    failed: BTreeMap<Udid, Run>,
}

impl Mind {
    /// What an earlier process has left to be done, and how its last runs ended.
    pub(in crate::agent) fn with_errands(mut self, owed: Vec<Udid>, last: Vec<Run>) -> Self {
        if self.resident && self.config.own.hooks.program().is_some() {
            self.errands.owed.extend(owed);
            // The newest comes first.
            let mut seen = BTreeSet::new();
            let newest = last.into_iter().filter(|run| seen.insert(run.udid.clone()));
            let failed = newest.filter(|run| !run.ok && !run.is_to_be_repeated());
            self.errands.failed = failed.map(|run| (run.udid.clone(), run)).collect();
        }
        self
    }

    /// A backup has ended. A single command leaves the program to the agent.
    pub(super) fn errand_due(
        &mut self,
        udid: Udid,
        verified: bool,
        now: &Now,
        acts: &mut Vec<Act>,
    ) {
        if !verified || self.config.own.hooks.program().is_none() {
            return;
        }
        acts.push(Act::Write(Write::Owe(udid.clone(), now.host)));
        if self.resident {
            self.begin_errand(udid, now, acts);
        }
    }

    /// The store below this root is there.
    pub(super) fn run_owed(&mut self, root: &Path, now: &Now, acts: &mut Vec<Act>) {
        let places = &self.places;
        let here = |udid: &Udid| places.of(udid).root == root;
        let owed: Vec<Udid> = self.errands.owed.extract_if(.., here).collect();
        for udid in owed {
            self.begin_errand(udid, now, acts);
        }
    }

    /// There is no program any more, so nothing of it is wrong.
    pub(super) fn no_program(&mut self) {
        self.errands.failed.clear();
    }

    fn begin_errand(&mut self, udid: Udid, now: &Now, acts: &mut Vec<Act>) {
        if self.config.own.hooks.program().is_none() {
            // Whoever configures one again has it run then, at the next look at the store.
            self.errands.owed.insert(udid);
            return;
        }
        if let Some(again) = self.errands.running.get_mut(&udid) {
            *again = true;
            return;
        }
        self.errands.running.insert(udid.clone(), false);
        let nickname = self.config.nicknames.get(&udid).cloned();
        let name = nickname.or_else(|| self.view(&udid, now).and_then(|view| view.name));
        acts.push(Act::RunProgram(Box::new(Errand {
            udid,
            name,
            hooks: self.config.own.hooks.clone(),
        })));
    }

    pub(super) fn errand_ended(&mut self, run: Run, now: &Now, acts: &mut Vec<Act>) {
        let udid = run.udid.clone();
        let again = self.errands.running.remove(&udid).unwrap_or(false);
        if run.ok {
            self.errands.failed.remove(&udid);
        } else if !run.is_to_be_repeated() {
            self.errands.failed.insert(udid.clone(), run.clone());
        }
        acts.push(Act::Write(Write::Ran(Box::new(run))));
        if again {
            acts.push(Act::Write(Write::Owe(udid.clone(), now.host)));
            self.begin_errand(udid, now, acts);
        }
    }

    pub(super) fn errand_broke(
        &mut self,
        udid: &Udid,
        words: String,
        now: &Now,
        acts: &mut Vec<Act>,
    ) {
        let run = Run::broken(udid.clone(), now.host, &words);
        self.errand_ended(run, now, acts);
    }

    /// What a person should know.
    pub(super) fn errand_remarks(&self, views: &[DeviceView]) -> Vec<String> {
        let name = |udid: &Udid| {
            let nickname = self.config.nicknames.get(udid).cloned();
            let seen = views.iter().find(|view| view.udid == *udid);
            nickname.or_else(|| seen.and_then(|view| view.name.clone()))
        };
        let one = |run: &Run| {
            let name = name(&run.udid).unwrap_or_else(|| "a device".to_owned());
            let words = run.words.trim_end_matches('.');
            format!(
                "{words} ({name}). The backup itself is not touched by that; `backupwatch history` tells when."
            )
        };
        self.errands.failed.values().map(one).collect()
    }
}

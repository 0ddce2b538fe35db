//! One device on its ladder: the signs of each step, the locks, what is never offered, and when it is over.

use super::{Climb, Ladder, Look, Mark, Rung, RungState, Sign};
use crate::diagnosis::{Cause, Confidence, diagnose};
use crate::evidence::Evidence;
use crate::facts::{Battery, Disk, Facts, NoAnswer, Setup};
use crate::fixture::{at, attempt, books, copy, earlier, facts, later};
use crate::judge::{Medium, judge};
use crate::past::Past;
use crate::policy::Policy;
use crate::steps::StepId;
use crate::time::{DeviceTime, HostTime, Now, Period};
use crate::verdict::{Check, Level, LocalCopy};
use crate::words::Scene;

mod offers;
mod signs;
mod wording;

/// Anna's phone on the ladder: what is known of it, and the hand of whoever takes the steps.
pub(super) struct Hand {
    pub(super) ladder: Ladder,
    pub(super) past: Past,
    pub(super) evidence: Evidence,
    pub(super) causes: Vec<Cause>,
    pub(super) medium: Medium,
    pub(super) attached: bool,
    pub(super) now: Now,
    policy: Policy,
    /// The one iCloud backup that there is.
    date: DeviceTime,
}

impl Hand {
    /// It has not backed up for ten days.
    pub(super) fn failing() -> Self {
        let now = at("2026-11-20T10:00:00Z");
        let mut hand = Self {
            ladder: Ladder::default(),
            past: Past::default(),
            evidence: Evidence::default(),
            causes: Vec::new(),
            medium: Medium::There,
            attached: true,
            policy: Policy::default(),
            date: DeviceTime(earlier(&now, Period::days(10)).0),
            now,
        };
        hand.sees(|_| {});
        hand
    }

    pub(super) fn with_copy(mut self, edit: impl FnOnce(&mut LocalCopy)) -> Self {
        let mut made = copy(earlier(&self.now, Period::hours(2)));
        edit(&mut made);
        self.past.copy = Some(made);
        self
    }

    pub(super) fn because(mut self, causes: Vec<Cause>) -> Self {
        self.causes = causes;
        self
    }

    pub(super) fn wait(&mut self, period: Period) -> &mut Self {
        self.now = later(&self.now, period);
        self
    }

    /// A contact, with something else about it.
    pub(super) fn sees(&mut self, edit: impl FnOnce(&mut Facts)) -> &mut Self {
        let mut seen = facts(&self.now, Period::ZERO);
        seen.cloud_last = Ok(self.date);
        edit(&mut seen);
        if let Ok(date) = seen.cloud_last {
            self.date = date;
        }
        self.past.absorb(seen, &self.policy.icloud, &self.now);
        self.watch()
    }

    /// A backup to iCloud ended so long ago.
    pub(super) fn backs_up(&mut self, ago: Period) -> &mut Self {
        let date = DeviceTime(earlier(&self.now, ago).0);
        self.sees(|facts| facts.cloud_last = Ok(date))
    }

    /// An attempt that ended now with this code, as the phone notes it; zero is a success.
    pub(super) fn attempts(&mut self, code: i64) -> &mut Self {
        let attempt = attempt(DeviceTime(self.now.host.0), code);
        let now = &self.now;
        let books = self
            .evidence
            .books
            .get_or_insert_with(|| books(now, Vec::new()));
        books.attempts.push(attempt);
        self.watch()
    }

    pub(super) fn watch(&mut self) -> &mut Self {
        self.look(|ladder, look| ladder.watch(look))
    }

    pub(super) fn mark(&mut self, step: StepId, mark: Mark) -> &mut Self {
        self.look(|ladder, look| ladder.mark(step, mark, look))
    }

    fn look(&mut self, change: impl FnOnce(&mut Ladder, &Look<'_>)) -> &mut Self {
        let verdict = judge(&self.past, &self.policy, self.medium, &self.now);
        let look = Look {
            past: &self.past,
            evidence: &self.evidence,
            causes: &self.causes,
            verdict: &verdict,
            policy: &self.policy,
            attached: self.attached,
            now: &self.now,
        };
        change(&mut self.ladder, &look);
        self
    }

    pub(super) fn climb(&self) -> Climb {
        self.with_scene(|scene| self.ladder.climb(self.causes.clone(), scene))
    }

    pub(super) fn with_scene<T>(&self, say: impl FnOnce(&Scene<'_>) -> T) -> T {
        let verdict = judge(&self.past, &self.policy, self.medium, &self.now);
        say(&Scene {
            past: &self.past,
            policy: &self.policy,
            cloud: &verdict.cloud,
            net: &verdict.net,
            protection: verdict.protection,
            medium: self.medium,
            now: &self.now,
        })
    }

    /// What the phone's own errors come to.
    pub(super) fn diagnosed(mut self) -> Self {
        self.causes = diagnose(&self.past, &self.evidence, &self.policy.icloud, &self.now);
        self
    }

    pub(super) fn next(&self) -> Option<StepId> {
        self.climb().next().map(|rung| rung.step)
    }

    pub(super) fn rung(&self, step: StepId) -> Rung {
        self.climb().rung(step).cloned().unwrap()
    }

    pub(super) fn state(&self, step: StepId) -> RungState {
        self.rung(step).state
    }

    pub(super) fn signs(&self, step: StepId) -> Vec<Sign> {
        let trial = self.ladder.trials.iter().find(|trial| trial.step == step);
        let seen = trial.map_or(&[][..], |trial| &trial.seen);
        seen.iter().map(|seen| seen.sign.clone()).collect()
    }
}

pub(super) fn cause(code: &str, steps: &[StepId], never: &[StepId]) -> Cause {
    Cause {
        code: code.to_owned(),
        title: format!("It is {code}"),
        confidence: Confidence::Certain,
        because: format!("because it is {code}"),
        error: None,
        app: None,
        says: None,
        advice: String::new(),
        hard: false,
        steps: steps.to_vec(),
        never: never.to_vec(),
        wait_until: None,
    }
}

//! Where a device stands on the ladder: every step with its state, at most one of them next.
//!
//! Cause first, else the mildest that was not tried. A step that is forbidden for a cause, or that waits for a local backup, is
//! never next.

use super::sentences;
use super::{Climb, Ladder, Rung, RungState, Trial, lock};
use crate::diagnosis::{Cause, Confidence};
use crate::past::device_now;
use crate::steps::{self, Step, StepId};
use crate::time::{DeviceTime, HostTime, Period};
use crate::verdict::{CloudState, Concern, UnknownWhy};
use crate::words::{self, Scene};
use std::collections::BTreeSet;

/// What may be done on the ladder at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// iCloud Backup works.
    Works,
    /// It is late, or uploading, or new: it has its time.
    Waits,
    /// It fails.
    Fails,
    /// It is switched off.
    Off,
    /// Nothing is known; something else comes first.
    Blind,
}

impl Standing {
    fn of(causes: &[Cause], scene: &Scene<'_>) -> Self {
        // What the phone itself names need not be waited for.
        let named = causes
            .first()
            .is_some_and(|cause| cause.confidence >= Confidence::Likely && !cause.steps.is_empty());
        match &scene.cloud.state {
            CloudState::Fresh => Self::Works,
            CloudState::Late if named => Self::Fails,
            CloudState::Late => Self::Waits,
            CloudState::Off => Self::Off,
            CloudState::Stale
            | CloudState::Alarm
            | CloudState::Critical
            | CloudState::NoneYet
            | CloudState::Unknown(UnknownWhy::NoDate) => {
                if scene.cloud.concern >= Concern::Stale || named {
                    Self::Fails
                } else {
                    Self::Waits
                }
            }
            CloudState::Unknown(
                UnknownWhy::Prohibited | UnknownWhy::NoSwitch | UnknownWhy::Unreadable { .. },
            ) => Self::Fails,
            CloudState::Unknown(
                UnknownWhy::NeverAsked
                | UnknownWhy::NotSeen { .. }
                | UnknownWhy::NotTrusted
                | UnknownWhy::Locked
                | UnknownWhy::NeverUnlocked
                | UnknownWhy::LinkLost
                | UnknownWhy::SettingUp
                | UnknownWhy::ClockWrong,
            ) => Self::Blind,
        }
    }
}

/// Everything that the sentences are made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) ladder: &'a Ladder,
    pub(super) causes: &'a [Cause],
    pub(super) scene: &'a Scene<'a>,
    pub(super) standing: Standing,
}

impl View<'_> {
    /// The likeliest cause.
    pub(super) fn cause(&self) -> Option<&Cause> {
        self.causes.first()
    }

    pub(super) fn trial(&self, step: StepId) -> Option<&Trial> {
        self.ladder.trials.iter().find(|trial| trial.step == step)
    }

    /// The step that has its time.
    pub(super) fn pending(&self) -> Option<&Trial> {
        self.ladder
            .pending()
            .filter(|_| self.ladder.failure.is_some())
    }

    /// Until when only waiting helps, by our clock.
    pub(super) fn waits_until(&self) -> Option<HostTime> {
        let until = self.cause()?.wait_until?;
        let ahead = self
            .scene
            .past
            .facts
            .as_ref()
            .map_or(Period::ZERO, |facts| {
                device_now(facts).since(DeviceTime(facts.seen_at.0))
            });
        let until = HostTime(until.0).plus(Period::seconds(-ahead.as_seconds()));
        Some(until).filter(|until| self.scene.now.host < *until)
    }

    /// The causes that ask for a step.
    fn proposers(&self, step: StepId) -> impl Iterator<Item = &Cause> {
        self.causes
            .iter()
            .filter(move |cause| cause.steps.contains(&step) && !is_general(cause))
    }

    /// The likeliest of them.
    pub(super) fn proposer(&self, step: StepId) -> Option<&Cause> {
        self.proposers(step).next()
    }

    /// The cause that forbids a step, unless a surer one proposes it.
    pub(super) fn forbidder(&self, step: StepId) -> Option<&Cause> {
        let forbids = self
            .causes
            .iter()
            .filter(|cause| cause.never.contains(&step))
            .max_by_key(|cause| cause.confidence)?;
        let proposed = self.proposer(step).map(|cause| cause.confidence);
        (proposed <= Some(forbids.confidence)).then_some(forbids)
    }

    /// Whether a step was taken, or not wanted, and must not be offered again.
    fn is_spent(&self, step: StepId) -> bool {
        let Some(trial) = self.trial(step).filter(|trial| !trial.is_pending()) else {
            return false;
        };
        if !trial.was_taken() {
            return true;
        }
        // Now that the phone itself names a cause that was not known then, it may help after all.
        let is_news = |cause: &Cause| {
            cause.confidence == Confidence::Certain && !trial.causes.contains(&cause.code)
        };
        !self.proposers(step).any(is_news)
    }

    /// Whether anything speaks for a step at all.
    fn is_apt(&self, step: StepId) -> bool {
        if self.proposer(step).is_some() {
            return true;
        }
        // Where only waiting helps, nothing else is proposed.
        let waiting = self.cause().is_some_and(|cause| {
            cause.confidence >= Confidence::Likely
                && (cause.steps.is_empty() || self.waits_until().is_some())
        });
        if waiting {
            return false;
        }
        let facts = self.scene.past.facts.as_ref();
        match step {
            // For those a cause must speak: too little room on the device is one.
            StepId::S3b | StepId::S6b => false,
            StepId::S8 => facts.is_some_and(|facts| facts.managed == Ok(true)),
            StepId::S0
            | StepId::S1
            | StepId::S2
            | StepId::S3
            | StepId::S4
            | StepId::S5a
            | StepId::S5
            | StepId::S6
            | StepId::S7
            | StepId::S9 => true,
        }
    }
}

/// Whether it stands for not knowing: it asks for every step there is.
pub(super) fn is_general(cause: &Cause) -> bool {
    cause.steps.len() >= steps::all().len()
}

impl Ladder {
    /// The ladder as it stands.
    pub fn climb(&self, causes: Vec<Cause>, scene: &Scene<'_>) -> Climb {
        let view = View {
            ladder: self,
            causes: &causes,
            scene,
            standing: Standing::of(&causes, scene),
        };
        let handset = words::handset(scene.past);
        let order = order(&causes);
        let steps: Vec<Step> = order
            .iter()
            .filter_map(|id| steps::find(*id))
            .map(|step| step.told_for(handset))
            .collect();
        let turn = turn(&view, &steps);
        let held = turn.filter(|step| lock::missing(step.guard, scene).is_some());
        let next = match view.pending() {
            Some(pending) if view.forbidder(pending.step).is_none() => Some(pending.step),
            Some(_) | None => turn.filter(|_| held.is_none()).map(|step| step.id),
        };
        let words = sentences::standing(&view, &steps, next, held);
        let (turn, held) = (turn.map(|step| step.id), held.map(|step| step.id));
        let rungs = steps
            .into_iter()
            .map(|step| rung(&view, step, next, turn))
            .collect();
        Climb {
            rungs,
            held,
            recovery: self.recovery.clone(),
            words,
            causes,
        }
    }
}

/// What the causes ask for in their order, then the rest from the mildest to the harshest.
fn order(causes: &[Cause]) -> Vec<StepId> {
    let mut seen = BTreeSet::new();
    let proposed = causes.iter().flat_map(|cause| cause.steps.iter().copied());
    let mut order: Vec<StepId> = proposed
        .chain(steps::all().iter().map(|step| step.id))
        .filter(|step| seen.insert(*step))
        .collect();
    let at = |order: &[StepId], step| order.iter().position(|id| *id == step);
    let network = causes
        .first()
        .is_some_and(|cause| cause.steps.first() == Some(&StepId::S2));
    // Resetting the network costs less than signing out, and where the network is the cause it may be all that is needed.
    for (first, then, holds) in [
        (StepId::S6, StepId::S5, network),
        (StepId::S5a, StepId::S5, true),
    ] {
        if let (true, Some(mild), Some(harsh)) = (holds, at(&order, first), at(&order, then))
            && harsh < mild
        {
            order.remove(mild);
            order.insert(harsh, first);
        }
    }
    order
}

/// The step whose turn it is, locked or not.
fn turn<'a>(view: &View<'_>, steps: &'a [Step]) -> Option<&'a Step> {
    if view.standing != Standing::Fails || view.pending().is_some() {
        return None;
    }
    steps.iter().find(|step| {
        view.forbidder(step.id).is_none()
            && !view.is_spent(step.id)
            && view.is_apt(step.id)
            && !view.trial(step.id).is_some_and(Trial::is_pending)
    })
}

fn rung(view: &View<'_>, step: Step, next: Option<StepId>, turn: Option<StepId>) -> Rung {
    let missing = lock::missing(step.guard, view.scene);
    let trial = view.trial(step.id);
    let state = if trial.is_some_and(Trial::worked) {
        RungState::Done
    } else if view.forbidder(step.id).is_some() {
        RungState::Never
    } else if next == Some(step.id) {
        RungState::Next
    } else if trial.is_some() && turn != Some(step.id) {
        RungState::Tried
    } else if missing.is_some() {
        RungState::Locked
    } else {
        RungState::Ready
    };
    Rung {
        step: step.id,
        state,
        why: sentences::why(view, &step, state, next, missing),
        seen: trial.map_or_else(Vec::new, |trial| sentences::seen(trial, view.scene)),
        marked: trial.map(|trial| trial.at),
        search: sentences::search(&step),
        warnings: sentences::warnings(&step, view.scene),
        text: step,
    }
}

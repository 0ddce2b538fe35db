//! What the state keeps of all this, so that a restart loses nothing and tells nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use backupwatch_core::{Protection, Udid};
use serde::{Deserialize, Serialize};

use super::contact::Contact;
use super::event::Event;
use crate::state::{State, StateError};

/// What was told of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub(super) protection: Protection,
    pub(super) damaged: bool,
}

/// What the state is to keep of all this.
#[derive(Debug, Clone)]
pub enum Record {
    /// A message waits for a hook.
    Waits(String, Arc<Event>),
    /// It does not any more.
    Gone(String, Arc<Event>),
    /// What was told of a device.
    Told(Udid, Told),
    /// How one of them was reached.
    Contact(String, Box<Contact>),
    /// One that is not configured any more.
    Forgotten(String),
}

impl Record {
    /// Into the state.
    pub fn write(&self, state: &State) -> Result<(), StateError> {
        match self {
            Self::Waits(hook, event) => state.keep_message(hook, &event.id, &**event),
            Self::Gone(hook, event) => state.forget_message(hook, &event.id),
            Self::Told(udid, told) => state.tell(udid, told),
            Self::Contact(hook, contact) => state.keep_contact(hook, contact),
            Self::Forgotten(hook) => state.forget_contact(hook),
        }
    }
}

/// What was kept from before this start.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(super) messages: Vec<(String, Event)>,
    pub(super) told: BTreeMap<Udid, Told>,
    pub(super) contacts: Vec<(String, Contact)>,
}

impl Kept {
    /// Reads it.
    pub(crate) fn read(state: &State) -> Result<Self, StateError> {
        Ok(Self {
            messages: state.messages()?,
            told: state.told()?.into_iter().collect(),
            contacts: state.kept_contacts()?,
        })
    }
}

//! How one of those outside was reached, and what a person should know about that.

use backupwatch_core::words::date_and_time;
use backupwatch_core::{HostTime, Period};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::Fate;

/// Nobody is told of an outage that is shorter: laptops are in trains, and servers restart.
const LONG: Period = Period::days(1);
/// How long a message that was lost is told of.
const LOST: Period = Period::days(7);

/// Who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// A service that notices silence.
    Watcher,
    /// A webhook.
    Webhook,
}

/// How one of them was reached last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Who it is.
    pub whom: Whom,
    /// Its host; the rest of its address is a secret.
    pub host: String,
    /// When it last took something.
    pub reached: Option<HostTime>,
    /// Since when it takes nothing, and why, as of the last attempt.
    pub failing: Option<(HostTime, String)>,
    /// When it refused something, and how, unless it has taken something since.
    pub refused: Option<(HostTime, String)>,
    /// How many messages were lost because nobody took them, and when the last one was.
    pub lost: Option<(HostTime, u32)>,
}

impl Contact {
    pub(super) fn new(whom: Whom, host: String) -> Self {
        Self {
            whom,
            host,
            reached: None,
            failing: None,
            refused: None,
            lost: None,
        }
    }

    /// Takes in what became of something that was sent. Whether the state should keep it.
    pub(super) fn learn(&mut self, fate: &Fate, now: HostTime) -> bool {
        let host = &self.host;
        match fate {
            Fate::Taken => {
                if self.failing.is_some() || self.refused.is_some() {
                    tracing::info!(host, "it is reached again");
                }
                self.reached = Some(now);
                self.failing = None;
                self.refused = None;
            }
            Fate::Refused(why) => {
                tracing::error!(
                    host,
                    why,
                    "something was refused outside and is not sent again"
                );
                self.failing = None;
                self.refused = Some((now, why.clone()));
            }
            Fate::Waits(why) => match &mut self.failing {
                Some((_, before)) if before == why => return false,
                Some((_, before)) => before.clone_from(why),
                None => {
                    tracing::warn!(host, why, "it is not reached");
                    self.failing = Some((now, why.clone()));
                }
            },
            Fate::TooOld => self.lose(now),
        }
        true
    }

    pub(super) fn lose(&mut self, now: HostTime) {
        let lost = self.lost.as_ref().map_or(0, |(_, count)| *count);
        let lost = lost.saturating_add(1);
        tracing::error!(
            host = self.host,
            lost,
            "a message is lost, because nobody took it for too long"
        );
        self.lost = Some((now, lost));
    }

    /// What it is called in a sentence.
    pub fn name(&self) -> String {
        match self.whom {
            Whom::Watcher => format!("The outside watcher at {}", self.host),
            Whom::Webhook => format!("The webhook at {}", self.host),
        }
    }

    /// What a person should know.
    pub fn remark(&self, now: HostTime, zone: &TimeZone) -> Option<String> {
        let name = self.name();
        let day = |at: HostTime| date_and_time(at.0, zone);
        if let Some((at, why)) = &self.refused {
            let at = day(*at);
            return Some(format!(
                "{name} refused what it was told on {at}: {why}. Compare its address in the configuration with what the service says."
            ));
        }
        if let Some((since, why)) = &self.failing {
            // One that never took anything is a mistake in the configuration, most likely.
            return match self.reached {
                None => Some(format!(
                    "{name} has never been reached: {why}. Look at its address in the configuration."
                )),
                Some(_) if now.since(*since) >= LONG => {
                    let since = day(*since);
                    let so = match self.whom {
                        Whom::Watcher => "Until then nobody outside learns how the devices are",
                        Whom::Webhook => "Its messages wait here",
                    };
                    Some(format!(
                        "{name} has not been reached since {since}: {why}. {so}."
                    ))
                }
                Some(_) => None,
            };
        }
        let (at, count) = self.lost.as_ref().filter(|(at, _)| now.since(*at) < LOST)?;
        let (at, plural) = (day(*at), if *count == 1 { "" } else { "s" });
        Some(format!(
            "{name} has not got {count} message{plural}, the last on {at}, because it took none for too long."
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_is_told_of_an_outage() {
        let at = |text: &str| HostTime(text.parse().unwrap());
        let zone = TimeZone::UTC;
        let mut contact = Contact::new(Whom::Watcher, "hc.example".to_owned());
        let (monday, tuesday) = (at("2026-11-02T10:00:00Z"), at("2026-11-03T10:00:00Z"));
        assert_eq!(contact.remark(monday, &zone), None);
        contact.learn(&Fate::Waits("failed to find the server".to_owned()), monday);
        insta::assert_snapshot!(contact.remark(monday, &zone).unwrap(), @"The outside watcher at hc.example has never been reached: failed to find the server. Look at its address in the configuration.");
        contact.learn(&Fate::Taken, monday);
        assert_eq!(contact.remark(tuesday, &zone), None);
        contact.learn(&Fate::Waits("failed to find the server".to_owned()), monday);
        assert_eq!(contact.remark(monday, &zone), None, "not at once");
        assert!(!contact.learn(
            &Fate::Waits("failed to find the server".to_owned()),
            tuesday
        ));
        insta::assert_snapshot!(contact.remark(tuesday, &zone).unwrap(), @"The outside watcher at hc.example has not been reached since 2 November 2026, 10:00: failed to find the server. Until then nobody outside learns how the devices are.");
        contact.learn(
            &Fate::Refused("it answered with HTTP status 404".to_owned()),
            tuesday,
        );
        insta::assert_snapshot!(contact.remark(tuesday, &zone).unwrap(), @"The outside watcher at hc.example refused what it was told on 3 November 2026, 10:00: it answered with HTTP status 404. Compare its address in the configuration with what the service says.");
        contact.whom = Whom::Webhook;
        contact.learn(&Fate::Taken, tuesday);
        contact.learn(&Fate::TooOld, tuesday);
        insta::assert_snapshot!(contact.remark(tuesday, &zone).unwrap(), @"The webhook at hc.example has not got 1 message, the last on 3 November 2026, 10:00, because it took none for too long.");
        assert_eq!(contact.remark(at("2026-11-20T10:00:00Z"), &zone), None);
    }
}

//! What travels with a notice, and what a click on it means. The process that gets the click need not be the one that showed the
//! notice, so all that the answer needs is in the notice itself.
//!
//! A link to the page is not: it works once and for two minutes. The agent makes a new one for the answer.

use crate::Answer;
use backupwatch_core::{
    Udid,
    notice::{Action, Notice},
};

/// What desktops call a click on the notice itself (Desktop Notifications Specification, "default").
#[cfg(not(target_os = "macos"))]
pub(crate) const DEFAULT: &str = "default";
/// What macOS calls it (`UNNotificationDefaultActionIdentifier`).
#[cfg(target_os = "macos")]
pub(crate) const DEFAULT: &str = "com.apple.UNNotificationDefaultActionIdentifier";

/// All that an answer needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    notice: String,
    udid: Option<Udid>,
    offered: Vec<Action>,
}

impl Ticket {
    pub(crate) fn of(notice: &Notice) -> Self {
        Self {
            notice: notice.id.clone(),
            udid: notice.udid.clone(),
            offered: notice.actions.clone(),
        }
    }

    /// The answer, by the code that the desktop gives back; none when the notice was put away.
    pub(crate) fn answer(self, code: &str) -> Option<Answer> {
        let action = if code == DEFAULT {
            Some(Action::ShowSteps)
        } else {
            self.offered
                .into_iter()
                .find(|action| action.code() == code)
        };
        action.map(|action| Answer {
            notice: self.notice,
            udid: self.udid,
            action,
        })
    }
}

/// As a notice of macOS carries it, and the buttons there: they hang on categories, which are known before any notice.
#[cfg(any(target_os = "macos", test))]
mod carried {
    use super::Ticket;
    use backupwatch_core::{Udid, notice::Action};

    const NOTICE: &str = "notice";
    const DEVICE: &str = "device";
    const OFFERED: &str = "offered";

    /// No notice of ours has a longer one.
    const ID_MAX: usize = 256;
    const ACTIONS: [Action; 4] = [
        Action::BackUpNow,
        Action::ShowSteps,
        Action::Snooze,
        Action::LocalOnly,
    ];

    impl Ticket {
        pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
            let udid = self.udid.as_ref().map(|udid| (DEVICE, udid.to_string()));
            let rest = [
                (NOTICE, self.notice.clone()),
                (OFFERED, category(&self.offered)),
            ];
            rest.into_iter().chain(udid).collect()
        }

        /// None for what is not ours, or of a release that carried something else.
        pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> Option<Self> {
            let udid = match get(DEVICE) {
                Some(udid) => Some(udid.parse::<Udid>().ok()?),
                None => None,
            };
            Some(Self {
                notice: get(NOTICE).filter(|id| !id.is_empty() && id.len() <= ID_MAX)?,
                udid,
                offered: actions(&get(OFFERED)?)?,
            })
        }
    }

    /// The name of the category with these buttons.
    pub(crate) fn category(buttons: &[Action]) -> String {
        let codes: Vec<&str> = buttons.iter().map(|action| action.code()).collect();
        codes.join("+")
    }

    fn actions(category: &str) -> Option<Vec<Action>> {
        let one = |code| ACTIONS.into_iter().find(|action| action.code() == code);
        match category {
            "" => Some(Vec::new()),
            some => some.split('+').take(ACTIONS.len()).map(one).collect(),
        }
    }

    /// Every row of buttons that a notice can have, each button at most once: 65 of them.
    pub(crate) fn categories() -> Vec<Vec<Action>> {
        let mut rows = vec![Vec::new()];
        let mut next = 0;
        while let Some(row) = rows.get(next).cloned() {
            let longer = ACTIONS.into_iter().filter(|action| !row.contains(action));
            rows.extend(longer.map(|action| [row.as_slice(), &[action]].concat()));
            next += 1;
        }
        rows
    }
}

#[cfg(any(target_os = "macos", test))]
pub(crate) use carried::{categories, category};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::tests::notice;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn an_answer_is_one_of_the_actions_that_were_offered() {
        let cases = [
            ("show_steps", Some(Action::ShowSteps)),
            ("back_up_now", Some(Action::BackUpNow)),
            (DEFAULT, Some(Action::ShowSteps)),
            ("snooze", None),
            ("__closed", None),
            ("com.apple.UNNotificationDismissActionIdentifier", None),
            ("", None),
        ];
        for (code, action) in cases {
            let answer = Ticket::of(&notice("n1", "a")).answer(code);
            assert_eq!(answer.map(|answer| answer.action), action, "{code}");
        }
    }

    fn carried(notice: &Notice) -> BTreeMap<&'static str, String> {
        Ticket::of(notice).pairs().into_iter().collect()
    }

    fn read(carried: &BTreeMap<&'static str, String>) -> Option<Ticket> {
        Ticket::read(|key| carried.get(key).cloned())
    }

    #[test]
    fn what_a_notice_carries_is_all_that_the_answer_needs() {
        let of_a_device = notice("n1", "a");
        let of_ourselves = Notice {
            udid: None,
            actions: Vec::new(),
            ..notice("test-1", "test")
        };
        for notice in [of_a_device, of_ourselves] {
            let carried = carried(&notice);
            assert_eq!(read(&carried), Some(Ticket::of(&notice)), "{carried:?}");
        }
    }

    #[test]
    fn no_link_travels_with_a_notice() {
        let carried = carried(&notice("n1", "a"));
        assert_eq!(
            carried.keys().copied().collect::<Vec<_>>(),
            ["device", "notice", "offered"]
        );
    }

    /// Notices stay in the list of macOS for weeks, over updates, and anybody with this bundle's name may have posted there.
    #[test]
    fn what_is_not_ours_is_no_answer() {
        let whole = carried(&notice("n1", "a"));
        type Break = fn(&mut BTreeMap<&'static str, String>);
        let cases: [(&str, Break); 6] = [
            ("nothing", |all| all.clear()),
            ("no notice", |all| drop(all.remove("notice"))),
            ("an empty notice", |all| {
                all.get_mut("notice").unwrap().clear()
            }),
            ("a long notice", |all| {
                all.insert("notice", "n".repeat(257)).unwrap();
            }),
            ("no device's name", |all| {
                all.insert("device", "../../etc".into()).unwrap();
            }),
            ("an action of tomorrow", |all| {
                all.insert("offered", "back_up_now+erase".into()).unwrap();
            }),
        ];
        for (what, break_it) in cases {
            let mut broken = whole.clone();
            break_it(&mut broken);
            assert_eq!(read(&broken), None, "{what}");
        }
    }

    #[test]
    fn every_row_of_buttons_has_its_category() {
        let rows = categories();
        let names: BTreeSet<String> = rows.iter().map(|row| category(row)).collect();
        assert_eq!((rows.len(), names.len()), (65, 65), "1 + 4 + 12 + 24 + 24");
        assert!(names.contains(&category(&notice("n1", "a").actions)));
        assert!(names.contains(""), "also a notice without any");
    }
}

//! The passcode prompt that every local backup brings up (protocol.md 9.3).

use super::{Phone, PromptState, seconds};
use crate::persona::PromptAnswer;

/// Posted when the prompt comes up.
const PRESENTED: &str = "com.apple.LocalAuthentication.ui.presented";
/// Posted when it goes away, however it ended.
const DISMISSED: &str = "com.apple.LocalAuthentication.ui.dismissed";

/// How the prompt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasscodeOutcome {
    /// No passcode is set: nothing was asked.
    NotAsked,
    Entered,
    Cancelled,
    TimedOut,
}

impl Phone {
    /// Shows the passcode prompt and waits for its end: the persona's answer, a driver's, or the phone's own time-out.
    /// The prompt disappears too when the caller is dropped, as it does when the cable is pulled.
    pub async fn ask_passcode(&self) -> PasscodeOutcome {
        let spec = &self.persona().passcode;
        if !spec.set {
            return PasscodeOutcome::NotAsked;
        }
        self.change(|state| state.prompt = PromptState::Shown);
        self.post(PRESENTED);
        let prompt = OnScreen { phone: self };

        let answered = self.wait_for(|state| state.prompt != PromptState::Shown);
        let owner = async {
            match spec.answer {
                PromptAnswer::Enter => {
                    tokio::time::sleep(seconds(spec.after_s)).await;
                    PasscodeOutcome::Entered
                }
                PromptAnswer::Cancel => {
                    tokio::time::sleep(seconds(spec.after_s)).await;
                    PasscodeOutcome::Cancelled
                }
                PromptAnswer::Wait => std::future::pending().await,
            }
        };
        let outcome = tokio::select! {
            biased;
            () = answered => match self.state().prompt {
                PromptState::Entered => PasscodeOutcome::Entered,
                PromptState::Cancelled | PromptState::Hidden | PromptState::Shown => PasscodeOutcome::Cancelled,
            },
            outcome = owner => outcome,
            () = tokio::time::sleep(seconds(spec.timeout_s)) => PasscodeOutcome::TimedOut,
        };
        if outcome == PasscodeOutcome::Entered {
            self.change(|state| {
                state.locked = false;
                state.unlocked_since_boot = true;
            });
        }
        drop(prompt);
        outcome
    }
}

/// The prompt while it is on the screen.
struct OnScreen<'a> {
    phone: &'a Phone,
}

impl Drop for OnScreen<'_> {
    fn drop(&mut self) {
        self.phone
            .change(|state| state.prompt = PromptState::Hidden);
        self.phone.post(DISMISSED);
    }
}

//! The ladder in words for a terminal.

use crate::{
    cli::Said,
    show,
    terminal::{Terminal, Tone},
};
use backupwatch_agent::{
    ladder::{LadderDocument, StepEntry},
    status::Status,
};
use backupwatch_core::ladder::Mark;
use std::fmt::Write as _;

/// The step that the person is at: the one to take now, or else the one whose turn it is and that is locked.
pub fn current(ladder: &LadderDocument) -> Option<&StepEntry> {
    ladder.steps.iter().find(|step| step.state == "next")
}

fn held(ladder: &LadderDocument) -> Option<&StepEntry> {
    let held = ladder.held.as_ref()?;
    ladder.steps.iter().find(|step| step.id == *held)
}

/// Whether there is something to be done about it.
pub fn has_question(ladder: &LadderDocument) -> bool {
    let goes_wrong = !ladder.causes.is_empty() && ladder.recovery.is_none();
    goes_wrong || current(ladder).is_some() || held(ladder).is_some()
}

/// The device, where it stands, how old that is, and the causes.
pub fn why(terminal: Terminal, ladder: &LadderDocument, status: &Status) -> String {
    let mut out = String::new();
    let name = ladder.name.as_deref().unwrap_or(&ladder.device);
    let _ = writeln!(out, "{}", Tone::Bold.set(name));
    out.push_str(&stand(terminal, ladder));
    if !status.agent.running {
        let _ = writeln!(out, "{}", terminal.wrapped("  ", &show::agent(status), 2));
    }
    out.push_str(&show::causes(terminal, &ladder.causes));
    out
}

/// Where things stand, in a sentence.
pub fn stand(terminal: Terminal, ladder: &LadderDocument) -> String {
    if ladder.words.is_empty() {
        return String::new();
    }
    let words = if ladder.recovery.is_some() {
        Tone::Good.set(&ladder.words)
    } else {
        ladder.words.clone()
    };
    format!("{}\n", terminal.wrapped("  ", &words, 2))
}

/// The step to take now, with everything that one has to know before; of one that was taken, what was seen since.
pub fn now(terminal: Terminal, ladder: &LadderDocument) -> String {
    let (head, step) = match (current(ladder), held(ladder)) {
        (Some(step), _) if step.marked.is_some() => ("Taken", step),
        (Some(step), _) => ("Next", step),
        (None, Some(step)) => ("Next, but not yet", step),
        (None, None) => return String::new(),
    };
    let head = format!("{head}: {}, {}", step.id, uncapital(&step.title));
    let mut out = format!("{}\n", Tone::Bold.set(&head));
    if step.state == "locked" {
        let why = Tone::Warning.set(&step.why);
        let _ = writeln!(out, "{}", terminal.wrapped("  ", &why, 2));
    } else {
        details(terminal, &mut out, step);
    }
    out
}

fn details(terminal: Terminal, out: &mut String, step: &StepEntry) {
    let mut put = |label: &str, text: &str, hang: usize| {
        if !text.is_empty() {
            let label = format!("  {} ", Tone::Dim.set(&format!("{label:<8}")));
            let _ = writeln!(out, "{}", terminal.wrapped(&label, text, 11 + hang));
        }
    };
    let mut line = |label: &str, text: &str| put(label, text, 0);
    line("Why", &step.why);
    for (number, seen) in step.seen.iter().enumerate() {
        line(first(number, "Seen"), seen);
    }
    if step.marked.is_some() {
        return;
    }
    line("Takes", &step.takes);
    line("Loses", &step.loses);
    line("Risk", &step.risk);
    for (number, warning) in step.warnings.iter().enumerate() {
        line(first(number, "Before"), &Tone::Warning.set(warning));
    }
    for (number, action) in step.actions.iter().enumerate() {
        let action = format!("{}. {action}", number + 1);
        put(first(number, "Do"), &action, 3);
    }
    let mut line = |label: &str, text: &str| put(label, text, 0);
    line("Where", &step.path);
    line("", &step.search);
    line("Sign", &step.sign);
    if !step.link.is_empty() {
        line("Apple", &format!("{}: {}", step.link_title, step.link));
    }
}

/// The label of a list stands at its first entry.
fn first(number: usize, label: &'static str) -> &'static str {
    if number == 0 { label } else { "" }
}

/// Every step and how it stands. What was said of an earlier one is not said again.
pub fn all(terminal: Terminal, ladder: &LadderDocument) -> String {
    let mut out = format!("{}\n", Tone::Bold.set("All steps"));
    for (number, step) in ladder.steps.iter().enumerate() {
        let label = format!("  {:<4} {} ", step.id, state(&step.state));
        let _ = writeln!(out, "{}", terminal.wrapped(&label, &step.title, 15));
        // Of the next one it has been said, and a step that may be taken needs no excuse.
        if matches!(step.state.as_str(), "next" | "ready") || step.why.is_empty() {
            continue;
        }
        let mut before = ladder.steps.iter().take(number);
        let why = match before.find(|before| before.state == step.state && before.why == step.why) {
            Some(before) => format!("as {}", before.id),
            None => step.why.clone(),
        };
        let why = terminal.wrapped(&" ".repeat(15), &Tone::Dim.set(&why), 15);
        let _ = writeln!(out, "{why}");
    }
    out
}

fn state(code: &str) -> String {
    let word = format!("{code:<7}");
    match code {
        "done" => Tone::Good.set(&word),
        "next" => Tone::Bold.set(&word),
        "locked" => Tone::Warning.set(&word),
        "never" | "tried" => Tone::Dim.set(&word),
        _ => word,
    }
}

/// That it was heard.
pub fn noted(terminal: Terminal, said: Said) -> String {
    let step = said.step;
    let words = match said.mark {
        Mark::Did => format!("Noted: you did {step}."),
        Mark::DidNotHelp => format!("Noted: {step} did not help."),
        Mark::NotForMe => format!("Noted: {step} is not for you."),
        Mark::Undo => format!("Taken back: what you said of {step}."),
    };
    format!("{}\n", terminal.wrapped("", &Tone::Bold.set(&words), 0))
}

/// How to say what came of the step, where nobody asks.
pub fn how_to_tell(ladder: &LadderDocument) -> String {
    let Some(step) = current(ladder).map(|step| &step.id) else {
        return String::new();
    };
    let words = format!(
        "When you have done it: `backupwatch fix --did {step}`; if it did not help: `--did-not-help {step}`; if it is not for you: `--not-for-me {step}`."
    );
    format!("{words}\n")
}

/// A title within a sentence.
fn uncapital(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use backupwatch_agent::ladder::document;
    use backupwatch_core::{
        HostTime, Udid,
        diagnosis::{Cause, Confidence},
        ladder::{Climb, Rung, RungState},
        steps::{self, StepId},
    };
    use jiff::Timestamp;

    const MARKED: &str = "2026-10-03T19:30:00Z";

    /// A ladder on which S2 has its turn and S4 is locked.
    fn ladder() -> LadderDocument {
        let cause = Cause {
            code: "network".into(),
            title: "the network stops the upload".into(),
            confidence: Confidence::Certain,
            because: "because the phone wrote down on 3 October 2026 that it had no network."
                .into(),
            error: None,
            app: None,
            says: None,
            advice: String::new(),
            hard: false,
            steps: vec![StepId::S2],
            never: Vec::new(),
            wait_until: None,
        };
        let rungs = steps::all().iter().take(6).map(|step| {
            let (state, why) = match step.id.code() {
                "S0" => (RungState::Tried, "You did it on 1 October 2026."),
                "S2" => (RungState::Next, "It is the mildest one against this."),
                "S4" => (RungState::Locked, "Make a verified local backup first."),
                _ => (RungState::Ready, "May be taken."),
            };
            Rung {
                step: step.id,
                state,
                why: why.into(),
                seen: Vec::new(),
                marked: None,
                search: String::new(),
                warnings: step.before.clone(),
                text: step.clone(),
            }
        });
        let climb = Climb {
            causes: vec![cause],
            rungs: rungs.collect(),
            held: None,
            recovery: None,
            words: "Try another network next.".into(),
        };
        let udid: Udid = "00008110-000A1B2C3D4E001E".parse().unwrap();
        document(
            &udid,
            Some("Ada’s iPhone".into()),
            &climb,
            at("2026-10-04T11:41:00Z"),
        )
    }

    fn at(time: &str) -> HostTime {
        HostTime(time.parse().unwrap())
    }

    fn page(ladder: &LadderDocument) -> String {
        let terminal = Terminal::of_width(80);
        let text = [
            now(terminal, ladder),
            all(terminal, ladder),
            how_to_tell(ladder),
        ];
        anstream::adapter::strip_str(&text.join("\n")).to_string()
    }

    #[test]
    fn the_next_step_comes_with_all_that_one_must_know() {
        insta::assert_snapshot!(page(&ladder()));
    }

    #[test]
    fn a_step_that_was_taken_says_what_was_seen_since() {
        let mut ladder = ladder();
        let step = ladder.steps.iter_mut().find(|step| step.id == "S2");
        let step = step.unwrap();
        step.marked = Some(MARKED.parse::<Timestamp>().unwrap());
        step.seen = vec!["The phone was restarted.".into()];
        let text = page(&ladder);
        assert!(text.starts_with("Taken: S2, try another network"), "{text}");
        assert!(text.contains("Seen     The phone was restarted."), "{text}");
        assert!(!text.contains("Join another Wi-Fi"), "it is known: {text}");
    }

    #[test]
    fn a_locked_step_whose_turn_it_is_says_what_is_missing_and_not_how_it_goes() {
        let mut ladder = ladder();
        for step in &mut ladder.steps {
            if step.state == "next" {
                step.state = "tried".into();
            }
        }
        ladder.held = Some("S4".into());
        let text = now(Terminal::of_width(80), &ladder);
        let text = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            text,
            "Next, but not yet: S4, delete the iCloud backup and start a new one\n  Make a verified local backup first.\n"
        );
    }
}

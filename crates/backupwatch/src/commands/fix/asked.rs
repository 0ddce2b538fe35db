//! The conversation: the next step, what the person says of it, and what happens then. A letter and the Return key are enough.

use super::{Case, shown};
use crate::{
    cli::{Backup, Said},
    failure::Failure,
    terminal::Tone,
};
use backupwatch_agent::exit::ExitCode;
use backupwatch_core::{ladder::Mark, steps::StepId};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the person may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Say(Mark),
    All,
    BackUp,
    Quit,
}

/// Goes on until the person has enough, or there is nothing left to ask.
pub async fn ask(case: &mut Case<'_>) -> Result<ExitCode, Failure> {
    // Kept for the whole conversation: ctrl-c while the agent answers counts as well.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let terminal = case.terminal;
    terminal.data(&case.why())?;
    let mut is_told = false;
    loop {
        let now = shown::now(terminal, &case.ladder);
        if !now.is_empty() && !is_told {
            terminal.data(&format!("\n{now}"))?;
        }
        if !shown::has_question(&case.ladder) {
            return Ok(case.exit_code());
        }
        let Some((choice, step)) = chosen(case, &mut interrupt).await? else {
            return Ok(ExitCode::Interrupted);
        };
        is_told = choice == Choice::All;
        match choice {
            Choice::Quit => return Ok(case.exit_code()),
            Choice::All => terminal.data(&format!("\n{}", shown::all(terminal, &case.ladder)))?,
            Choice::BackUp => {
                let before = case.ladder.causes.clone();
                back_up(case).await?;
                // The phone's own notes came with the backup.
                if case.ladder.causes != before {
                    terminal.data(&format!("\n{}", case.why()))?;
                }
            }
            Choice::Say(mark) => {
                let Some(step) = step else { continue };
                let said = Said { step, mark };
                match case.tell(said).await {
                    Ok(()) => terminal.data(&shown::noted(terminal, said))?,
                    Err(failure) => terminal.say(&failure.words()),
                }
                terminal.data(&shown::stand(terminal, &case.ladder))?;
            }
        }
    }
}

/// What the person chose, and for which step; none when they want to leave at once.
async fn chosen(
    case: &Case<'_>,
    interrupt: &mut Signal,
) -> Result<Option<(Choice, Option<StepId>)>, Failure> {
    let offers = offers(case);
    let mut lines = "\n".to_owned();
    for (letter, _, words) in &offers {
        lines.push_str(&format!("  {}  {words}\n", Tone::Bold.set(letter)));
    }
    case.terminal.data(&lines)?;
    loop {
        let answer = tokio::select! {
            answer = case.terminal.ask("Which? ") => answer?,
            _ = interrupt.recv() => {
                case.terminal.data("")?;
                return Ok(None);
            }
        };
        // The end of the input is a way to leave, too.
        let Some(answer) = answer else {
            case.terminal.data("")?;
            return Ok(Some((Choice::Quit, None)));
        };
        let mut words = answer.split_whitespace();
        let (Some(letter), step) = (words.next(), words.next()) else {
            continue;
        };
        let asked_step = match step {
            Some(name) => StepId::parse(name),
            None => shown::current(&case.ladder).and_then(|step| StepId::parse(&step.id)),
        };
        let choice = offers
            .iter()
            .find(|(offered, _, _)| letter.eq_ignore_ascii_case(offered))
            .map(|(_, choice, _)| *choice);
        match (choice, asked_step) {
            (Some(Choice::Say(_)), None) => {
                case.terminal
                    .data("There is no such step. Type a letter and a step, as in: d S2")?;
            }
            (Some(choice), step) => return Ok(Some((choice, step))),
            (None, _) => {
                let letters: Vec<&str> = offers.iter().map(|(letter, _, _)| *letter).collect();
                let line = format!("Type one of: {}", letters.join(", "));
                case.terminal.data(&line)?;
            }
        }
    }
}

/// What makes sense now.
fn offers(case: &Case<'_>) -> Vec<(&'static str, Choice, String)> {
    let mut offers = Vec::new();
    if case.client.is_some()
        && let Some(step) = shown::current(&case.ladder)
    {
        let id = &step.id;
        if step.marked.is_none() {
            offers.push(("d", Choice::Say(Mark::Did), format!("I did {id}")));
        }
        offers.push((
            "h",
            Choice::Say(Mark::DidNotHelp),
            format!("I did {id} and tapped Back Up Now, and it did not help"),
        ));
        if step.marked.is_none() {
            let words = format!("{id} is not for me");
            offers.push(("n", Choice::Say(Mark::NotForMe), words));
        } else {
            let words = format!("I have not done {id} after all");
            offers.push(("u", Choice::Say(Mark::Undo), words));
        }
    }
    let mut more = |letter, choice, words: &str| offers.push((letter, choice, words.to_owned()));
    more("a", Choice::All, "show all steps");
    more(
        "b",
        Choice::BackUp,
        "back up to this computer now; the phone will ask for its passcode",
    );
    more("q", Choice::Quit, "quit");
    offers
}

/// Like `backupwatch backup`; how it ended stands on the terminal, and the steps are looked at again.
async fn back_up(case: &mut Case<'_>) -> Result<(), Failure> {
    let wanted = Backup {
        device: Some(case.udid.to_string()),
        root: None,
        full: false,
        json: false,
    };
    if let Err(failure) = crate::commands::backup::run(case.terminal, case.setup, &wanted).await {
        case.terminal.say(&failure.words());
    }
    case.look_again().await
}

//! `open`: the page of the agent, in the person's browser.

use crate::{browser, choice, failure::Failure, reach, setup::Setup, terminal::Terminal};
use backupwatch_agent::exit::ExitCode;

pub async fn run(
    terminal: Terminal,
    setup: &Setup,
    device: Option<&str>,
    print: bool,
) -> Result<ExitCode, Failure> {
    let Some(client) = reach::agent(setup).await? else {
        return Err(Failure::new(
            ExitCode::AgentDown,
            "agent_down",
            "the agent is not running, and it is the agent that serves the page",
        )
        .next("Start it with `backupwatch install`."));
    };
    let refused = |error| reach::refused_by_agent(&error);
    let udid = match device {
        Some(asked) => {
            let status = client.status().await.map_err(refused)?;
            Some(choice::udid(choice::device(&status.devices, Some(asked))?)?)
        }
        None => None,
    };
    let page = client.page(udid.as_ref(), None).await.map_err(refused)?;
    if !print {
        let link = page.url.clone();
        match tokio::task::spawn_blocking(move || browser::open(&link)).await {
            Ok(Ok(())) => return Ok(ExitCode::Ok),
            Ok(Err(error)) => terminal.say(&format!("No browser could be opened ({error}).")),
            Err(error) => terminal.say(&format!("Opening a browser broke ({error}).")),
        }
    }
    terminal.say("Open this in a browser on this computer. It works once, and within two minutes:");
    terminal.data(&page.url)?;
    Ok(ExitCode::Ok)
}

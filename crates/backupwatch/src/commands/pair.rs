//! `pair`: asks once, in words, and waits for the person at the phone.

use crate::{choice, failure::Failure, reach, setup::Setup, terminal::Terminal};
use backupwatch_agent::{
    api::words::{PairAnswer, SCHEMA},
    exit::ExitCode,
    status::{Status, trust_code},
};
use backupwatch_core::Udid;

pub async fn run(
    terminal: Terminal,
    setup: &Setup,
    device: Option<&str>,
    json: bool,
) -> Result<ExitCode, Failure> {
    let answer = match reach::agent(setup).await? {
        Some(client) => {
            let status = client
                .check()
                .await
                .map_err(|error| reach::refused_by_agent(&error))?;
            let udid = chosen(terminal, &status, device)?;
            client
                .pair(&udid)
                .await
                .map_err(|error| reach::refused_by_agent(&error))?
        }
        None => {
            let process = reach::in_process(setup, None)?;
            let asked = async {
                let status = process
                    .check()
                    .await
                    .map_err(|refusal| reach::refused(&refusal))?;
                let udid = chosen(terminal, &status, device)?;
                let trust = process
                    .desk()
                    .pair(udid.clone())
                    .await
                    .map_err(|refusal| reach::refused(&refusal))?;
                Ok::<_, Failure>(PairAnswer {
                    schema: SCHEMA,
                    udid: udid.to_string(),
                    trust: trust_code(trust).to_owned(),
                })
            }
            .await;
            process
                .finish()
                .await
                .map_err(|error| reach::start(&error))?;
            asked?
        }
    };
    let trusted = answer.trust == "trusted";
    if json {
        super::json(terminal, &answer)?;
    } else {
        terminal.data(words(&answer.trust))?;
    }
    Ok(if trusted {
        ExitCode::Ok
    } else {
        ExitCode::AtRisk
    })
}

fn chosen(terminal: Terminal, status: &Status, device: Option<&str>) -> Result<Udid, Failure> {
    choice::sighted(status)?;
    let attached: Vec<_> = status
        .devices
        .iter()
        .filter(|device| !device.links.is_empty())
        .cloned()
        .collect();
    // Only what is plugged in can be asked; with one phone on the cable there is nothing to choose.
    let device = match (device, attached.as_slice()) {
        (None, [one]) => one,
        (asked, _) => choice::device(&status.devices, asked)?,
    };
    // A phone that trusts this computer shows no question to wait for.
    if device.trust != "trusted" && !device.links.is_empty() {
        terminal.say("Look at the phone: unlock it, tap Trust, and enter its passcode. Waiting…");
    }
    choice::udid(device)
}

fn words(trust: &str) -> &'static str {
    match trust {
        "trusted" => "The phone trusts this computer.",
        "denied" => {
            "Don’t Trust was tapped. Unplug the phone, plug it in again, and try once more."
        }
        "locked" | "locked_for_pairing" => {
            "The phone is locked, so it cannot ask. Unlock it and try again."
        }
        "managed_forbids" => {
            "The organisation that manages this phone does not let it trust this computer. Ask its administrator."
        }
        "cable_needed" => "Trust can only be given over a cable. Connect one and try again.",
        "dialog_pending" => "Nobody answered on the phone. Try again with the phone in your hand.",
        _ => "The phone does not trust this computer yet. Try again with the phone unlocked.",
    }
}

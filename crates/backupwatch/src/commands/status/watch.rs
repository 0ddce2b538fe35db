//! `status --watch --json`: the present state, and then a line for each thing that changes, until nobody reads it any more or it is
//! stopped. Whether an agent watches is one of those things; without one the lines are of what the last one left behind.

use super::known;
use crate::{failure::Failure, setup::Setup, terminal::Terminal};
use backupwatch_agent::{
    exit::ExitCode,
    status::{AgentStatus, DeviceStatus, SCHEMA, Status, StoreStatus},
};
use jiff::Timestamp;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// The same while no agent runs, and there is nothing to be seen but that one starts.
const ALONE: Duration = Duration::from_secs(5);
/// Between two signs of life.
const ALIVE: Duration = Duration::from_secs(30);
/// Looks in a row that may fail: an agent that ends or starts meanwhile is no reason to give up.
const FAILURES: u32 = 3;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Line {
    /// The number of this shape.
    schema: u32,
    /// As of when.
    as_of: Timestamp,
    #[serde(flatten)]
    news: News,
}

/// What a line tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
enum News {
    /// Who watches, and where local backups are: the first line, and whenever something of that is another.
    Agent {
        agent: AgentStatus,
        /// As in `status`.
        store: Option<StoreStatus>,
    },
    /// A device, complete: each once at the beginning, and whenever something of it is another.
    Device { device: Box<DeviceStatus> },
    /// A device that is not known any more.
    Gone {
        /// Which.
        udid: String,
    },
    /// Nothing has to have changed: after the present state, and then every 30 seconds. Without it this command has ended.
    Alive {
        /// Whether an agent watches.
        running: bool,
        /// When it last looked at what is attached.
        last_poll: Option<Timestamp>,
    },
}

pub async fn run(terminal: Terminal, setup: &Setup) -> Result<ExitCode, Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut told = Told::default();
    let mut failures = 0;
    loop {
        let looked = tokio::select! {
            looked = known(setup) => looked,
            _ = interrupt.recv() => return Ok(ExitCode::Interrupted),
            _ = terminate.recv() => return Ok(ExitCode::Interrupted),
            _ = hangup.recv() => return Ok(ExitCode::Interrupted),
        };
        let mut pause = EVERY;
        match looked {
            Ok(status) => {
                failures = 0;
                if !status.agent.running {
                    pause = ALONE;
                }
                for line in told.lines(status, Instant::now()) {
                    let text = serde_json::to_string(&line)
                        .map_err(|error| Failure::from_error(ExitCode::Internal, "json", &error))?;
                    if !terminal.still_read(&text)? {
                        return Ok(ExitCode::Ok);
                    }
                }
            }
            Err(failure) if told.is_empty() || failures == FAILURES => return Err(failure),
            Err(_) => failures += 1,
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = interrupt.recv() => return Ok(ExitCode::Interrupted),
            _ = terminate.recv() => return Ok(ExitCode::Interrupted),
            _ = hangup.recv() => return Ok(ExitCode::Interrupted),
        }
    }
}

/// What the reader knows.
#[derive(Debug, Default)]
struct Told {
    agent: Option<(AgentStatus, Option<StoreStatus>)>,
    devices: BTreeMap<String, DeviceStatus>,
    alive: Option<Instant>,
}

impl Told {
    fn is_empty(&self) -> bool {
        self.agent.is_none()
    }

    /// What is to be told now.
    fn lines(&mut self, status: Status, now: Instant) -> Vec<Line> {
        let mut news = Vec::new();
        let agent = (status.agent.clone(), status.store.clone());
        if self.agent.clone().map(lasting_agent) != Some(lasting_agent(agent.clone())) {
            news.push(News::Agent {
                agent: agent.0.clone(),
                store: agent.1.clone(),
            });
            self.agent = Some(agent);
        }
        let mut before = std::mem::take(&mut self.devices);
        for device in status.devices {
            let known = before.remove(&device.udid);
            if known.map(lasting) != Some(lasting(device.clone())) {
                let device = Box::new(device.clone());
                news.push(News::Device { device });
            }
            self.devices.insert(device.udid.clone(), device);
        }
        news.extend(before.into_keys().map(|udid| News::Gone { udid }));
        let is_due = |last: Instant| now.duration_since(last) >= ALIVE;
        if self.alive.is_none_or(is_due) {
            self.alive = Some(now);
            news.push(News::Alive {
                running: status.agent.running,
                last_poll: status.agent.last_poll,
            });
        }
        let line = |news| Line {
            schema: SCHEMA,
            as_of: status.as_of,
            news,
        };
        news.into_iter().map(line).collect()
    }
}

/// Without what changes by itself.
fn lasting(mut device: DeviceStatus) -> DeviceStatus {
    device.icloud.age_s = None;
    device.local.age_s = None;
    device
}

fn lasting_agent(
    (mut agent, mut store): (AgentStatus, Option<StoreStatus>),
) -> (AgentStatus, Option<StoreStatus>) {
    agent.last_poll = None;
    if let Some(store) = &mut store {
        store.free = None;
    }
    (agent, store)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::stranger;

    fn status(at_s: i64, running: bool, devices: &[(&str, &str)]) -> Status {
        let devices = devices.iter().map(|(udid, protection)| {
            let mut device = stranger(&udid.parse().unwrap());
            device.protection = (*protection).to_owned();
            device.icloud.age_s = Some(at_s);
            device
        });
        let as_of = Timestamp::from_second(at_s).unwrap();
        Status {
            schema: SCHEMA,
            as_of,
            agent: AgentStatus {
                running,
                last_poll: Some(as_of),
                usbmuxd: None,
                remarks: Vec::new(),
                managed: None,
            },
            store: None,
            stores: Vec::new(),
            devices: devices.collect(),
        }
    }

    /// One line tells one thing: the state at first, then what is another, and that it goes on.
    #[test]
    fn what_is_told_of_a_changing_state() {
        let (anna, tom) = ("00008110-000A1B2C3D4E001E", "00008110-000A1B2C3D4E002F");
        let begin = Instant::now();
        let mut told = Told::default();
        let steps = [
            (0, status(0, true, &[(anna, "protected"), (tom, "at_risk")])),
            // Only time has passed.
            (2, status(2, true, &[(anna, "protected"), (tom, "at_risk")])),
            (
                4,
                status(4, true, &[(anna, "unprotected"), (tom, "at_risk")]),
            ),
            (6, status(6, true, &[(anna, "unprotected")])),
            (8, status(8, false, &[(anna, "unprotected")])),
            (31, status(31, false, &[(anna, "unprotected")])),
            (
                33,
                status(33, true, &[(anna, "unprotected"), (tom, "at_risk")]),
            ),
        ];
        let mut said = Vec::new();
        for (at, status) in steps {
            let lines = told.lines(status, begin + Duration::from_secs(at));
            said.push(format!("{at} s"));
            said.extend(lines.iter().map(|line| match &line.news {
                News::Agent { agent, store: _ } => format!("  agent, running {}", agent.running),
                News::Device { device } => format!("  {} {}", device.udid, device.protection),
                News::Gone { udid } => format!("  {udid} is gone"),
                News::Alive { running, last_poll } => {
                    format!("  alive, running {running}, {}", last_poll.unwrap())
                }
            }));
        }
        insta::assert_snapshot!(said.join("\n"));
    }
}

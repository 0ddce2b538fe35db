//! The agent: is it installed, does it run, is it this release, does it look at phones, does what it says arrive?

use crate::{
    service::{self, Loaded, State},
    setup::Setup,
};
use backupwatch_agent::{
    api::words::Version,
    client::{Client, ClientError},
    doctor::{Check, LIMIT, limited_blocking},
    instance::Instance,
    status::AgentStatus,
};
use backupwatch_core::{HostTime, Period, text::plain, words::ended};

const SERVICE: &str = "service";
const AGENT: &str = "agent";
const VERSION: &str = "version";
const POLLING: &str = "polling";
const TEST_NOTICE: &str = "test_notice";

/// A round may be late by that, on a computer that was busy or has just woken.
const LATE: Period = Period::minutes(2);

/// What the agent of this state folder says of itself.
pub struct Agent {
    version: Result<Version, ClientError>,
    status: Option<AgentStatus>,
    client: Client,
}

/// How its service is.
pub type Service = Result<State, Check>;

/// What launchd or systemd knows.
pub async fn service(setup: &Setup) -> Service {
    let setup = setup.clone();
    limited_blocking(
        SERVICE,
        "The program that starts services",
        "Restart the computer.",
        move || service::look(&setup),
    )
    .await
}

impl Agent {
    pub async fn ask(setup: &Setup) -> Self {
        let client = Client::new(&setup.paths.socket);
        let late = |_| ClientError::Late(LIMIT);
        let version = tokio::time::timeout(LIMIT, client.version()).await;
        let version = version.map_err(late).and_then(|version| version);
        let status = if version.is_ok() {
            let status = tokio::time::timeout(LIMIT, client.status()).await;
            status.map_err(late).and_then(|status| status).ok()
        } else {
            None
        };
        Self {
            version,
            status: status.map(|status| status.agent),
            client,
        }
    }

    pub fn answers(&self) -> bool {
        self.version.is_ok()
    }

    pub fn client(&self) -> Option<&Client> {
        self.answers().then_some(&self.client)
    }

    /// Its process, if it answers.
    pub fn pid(&self) -> Option<u32> {
        self.version.as_ref().ok().map(|version| version.pid)
    }

    pub fn checks(&self, setup: &Setup, service: Service, now: HostTime) -> Vec<Check> {
        let is_installed = matches!(&service, Ok(state) if state.loaded == Loaded::Loaded);
        let start = if is_installed {
            "backupwatch restart"
        } else {
            "backupwatch install"
        };
        let mut checks = vec![self.installed(service), self.running(setup, start)];
        checks.extend(self.release());
        checks.extend(self.polling(setup, now));
        checks
    }

    fn installed(&self, service: Service) -> Check {
        let state = match service {
            Ok(state) => state,
            Err(silent) => return silent,
        };
        match state.loaded {
            Loaded::Running { pid } if self.pid().is_some_and(|own| own != pid) => Check::warn(
                SERVICE,
                format!(
                    "The service runs (process {pid}), and another agent serves this state folder."
                ),
                "End the one that was started by hand, and run: backupwatch restart",
            ),
            Loaded::Running { .. } => Check::pass(
                SERVICE,
                "The agent is started at every login, and runs as a service.",
            ),
            Loaded::Loaded if self.answers() => Check::warn(
                SERVICE,
                "The service is installed, but the agent that runs was started by hand.",
                "End that one, and run: backupwatch restart",
            ),
            Loaded::Loaded => Check::fail(
                SERVICE,
                "The service is installed and does not run: it was ended, or cannot start.",
                "backupwatch restart",
            ),
            Loaded::Disabled => Check::fail(
                SERVICE,
                "The service is switched off, so nobody watches after the next login.",
                "backupwatch install",
            ),
            Loaded::NotLoaded => Check::warn(
                SERVICE,
                "No service starts the agent, so nobody watches after the next login.",
                "backupwatch install",
            ),
            Loaded::Unknown(why) => Check::warn(
                SERVICE,
                format!(
                    "Whether a service starts the agent is not known: {}",
                    ended(&why)
                ),
                "Run this in your own login session, not by ssh or sudo.",
            ),
        }
    }

    /// `start` is what starts one where none runs.
    fn running(&self, setup: &Setup, start: &str) -> Check {
        match &self.version {
            Ok(version) => Check::pass(AGENT, format!("The agent runs (process {}).", version.pid)),
            Err(ClientError::NotRunning) if Instance::is_claimed(&setup.paths.lock) => Check::fail(
                AGENT,
                "Another backupwatch process holds the state, and does not answer.",
                "backupwatch restart",
            ),
            Err(ClientError::NotRunning) => {
                Check::fail(AGENT, "No agent runs, so nobody watches.", start)
            }
            Err(ClientError::Connect { path, source }) => Check::fail(
                AGENT,
                format!("The agent at {} cannot be asked: {source}.", path.display()),
                "Run backupwatch as the user whose agent it is, without sudo.",
            ),
            Err(ClientError::Late(after)) => Check::fail(
                AGENT,
                format!("The agent did not answer within {} s.", after.as_secs()),
                "backupwatch restart",
            ),
            Err(
                error @ (ClientError::Broken(_) | ClientError::Refused(_) | ClientError::Answer(_)),
            ) => Check::fail(
                AGENT,
                format!("The agent’s answer cannot be used: failed to {error}."),
                "backupwatch restart",
            ),
        }
    }

    fn release(&self) -> Option<Check> {
        let theirs = &self.version.as_ref().ok()?.version;
        let ours = env!("CARGO_PKG_VERSION");
        Some(if theirs == ours {
            Check::pass(
                VERSION,
                format!("The agent and this command are both backupwatch {ours}."),
            )
        } else {
            let theirs = plain(theirs, 32);
            Check::warn(
                VERSION,
                format!("The agent is backupwatch {theirs}, and this command is {ours}."),
                "backupwatch restart",
            )
        })
    }

    /// Left out where usbmuxd keeps it from looking: that is a check of its own.
    fn polling(&self, setup: &Setup, now: HostTime) -> Option<Check> {
        let status = self.status.as_ref()?;
        if status.usbmuxd == Some(false) {
            return None;
        }
        let interval = setup.config.policies.general.poll.interval;
        let started = self.version.as_ref().ok()?.started;
        // One that has just started begins with the phones that are there, and has a round of time for the rest.
        let since = status.last_poll.map_or(started, |last| last.max(started));
        let allowed = interval.as_seconds().saturating_mul(2) + LATE.as_seconds();
        let is_late = now.since(HostTime(since)).as_seconds() > allowed;
        Some(match (status.last_poll, is_late) {
            (Some(last), false) => {
                let ago = crate::words::ago(last, now.0);
                Check::pass(
                    POLLING,
                    format!("The agent last looked at the phones {ago}."),
                )
            }
            (None, false) => Check::pass(
                POLLING,
                "The agent has just started, and waits for a phone.",
            ),
            (_, true) => {
                let ago = crate::words::ago(since, now.0);
                Check::fail(
                    POLLING,
                    format!("The agent runs, and last looked at the phones {ago}: it is stuck."),
                    "backupwatch restart",
                )
            }
        })
    }

    /// One notice through the agent, as a real one would go.
    pub async fn test_notice(&self, setup: &Setup) -> Check {
        let Some(client) = self.client() else {
            return Check::fail(
                TEST_NOTICE,
                "No test notice could be sent: the agent does not answer.",
                "backupwatch install",
            );
        };
        let cure = if setup.config.own.notify.desktop {
            "Allow notices of backupwatch in the settings of your desktop."
        } else {
            "Set notify.desktop = true in the configuration, and run: backupwatch restart"
        };
        match client.test_notice().await {
            Ok(told) if told.shown => Check::pass(
                TEST_NOTICE,
                "A test notice, “backupwatch is watching”, was handed to the desktop. If you do not see it, look at your desktop’s settings for notices.",
            ),
            Ok(told) => {
                let why = told.why.unwrap_or_else(|| "nobody knows why".to_owned());
                Check::fail(
                    TEST_NOTICE,
                    format!(
                        "The test notice could not be shown: {}",
                        ended(&plain(&why, 300))
                    ),
                    cure,
                )
            }
            Err(error) => Check::fail(
                TEST_NOTICE,
                format!("No test notice could be sent: failed to {error}."),
                "backupwatch restart",
            ),
        }
    }
}

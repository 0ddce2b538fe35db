//! What a process tells its caller when it ends. A contract with scripts: the numbers never change their meaning.

/// The exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// Every known device is protected, or the command did what it was asked.
    Ok,
    /// A fault of this program.
    Internal,
    /// The command line or the configuration is wrong.
    Usage,
    /// A device is at risk.
    AtRisk,
    /// A device is unprotected.
    Unprotected,
    /// The agent is not running, or what it knows is too old to be trusted.
    AgentDown,
    /// No device is known.
    NoDevice,
    /// A backup did not finish.
    BackupFailed,
    /// A backup finished and is not whole.
    VerificationFailed,
    /// Ended by ctrl-c.
    Interrupted,
}

impl ExitCode {
    /// All of them, for the documentation and its tests.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::Internal,
        Self::Usage,
        Self::AtRisk,
        Self::Unprotected,
        Self::AgentDown,
        Self::NoDevice,
        Self::BackupFailed,
        Self::VerificationFailed,
        Self::Interrupted,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::AtRisk => 3,
            Self::Unprotected => 4,
            Self::AgentDown => 5,
            Self::NoDevice => 6,
            Self::BackupFailed => 7,
            Self::VerificationFailed => 8,
            Self::Interrupted => 130,
        }
    }

    /// What the number means, for `--help` and the manual.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "all protected",
            Self::Internal => "internal error",
            Self::Usage => "usage or configuration",
            Self::AtRisk => "a device is at risk",
            Self::Unprotected => "a device is unprotected",
            Self::AgentDown => "the agent is not running or its state is too old",
            Self::NoDevice => "no device known",
            Self::BackupFailed => "a backup did not finish",
            Self::VerificationFailed => "verification failed",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_published_ones() {
        let numbers: Vec<u8> = ExitCode::ALL.iter().map(|code| code.code()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]);
    }
}

//! backupwatch-agent

//! backupwatch-notify

//! backupwatch-wire

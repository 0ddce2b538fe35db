//! backupwatch-device

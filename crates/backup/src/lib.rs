//! backupwatch-backup

//! backupwatch-core

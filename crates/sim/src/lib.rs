//! backupwatch-sim

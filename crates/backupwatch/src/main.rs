//! The backupwatch command.
fn main() {}

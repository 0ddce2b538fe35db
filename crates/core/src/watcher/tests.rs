//! Stories as transcripts, the traps as a table, and properties that no story may break.

mod apart;
mod climbing;
mod disks;
mod properties;
mod stories;
mod story;
mod traps;

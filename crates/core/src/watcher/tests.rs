//! Stories as transcripts, the traps as a table, and properties that no story may break.

mod properties;
mod stories;
mod story;
mod traps;

//! What only macOS has: AppKit and the frameworks around it.

pub(crate) mod menu;

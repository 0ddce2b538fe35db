//! What a hostile phone, file or client can do to us, as functions of bytes: each target feeds its input to one door of the
//! product and panics when something that must always hold does not. libFuzzer calls them with new inputs
//! (`cargo xtask fuzz`), `tests/tests/fuzz_replay.rs` with the committed ones.
//!
//! Not here: how inputs are found, and what a decoder is to make of honest bytes (the crates' own tests).

mod afc;
mod api;
mod books;
mod bytes;
mod config;
mod devicelink;
mod keybag;
mod lockdown;
mod manifest;
mod page;
mod pair_record;
mod peer;
mod phone_log;
mod place;
mod property_list;
mod script;
mod session;
mod store_files;
mod upload;
mod usbmux;

/// A door of the product.
pub type Target = fn(&[u8]);

/// Every target by its name, which is that of its binary and of its corpus.
pub const TARGETS: [(&str, Target); 16] = [
    ("afc", afc::target),
    ("api", api::target),
    ("books", books::target),
    ("config", config::target),
    ("devicelink", devicelink::target),
    ("keybag", keybag::target),
    ("lockdown", lockdown::target),
    ("manifest", manifest::target),
    ("page", page::target),
    ("pair_record", pair_record::target),
    ("phone_log", phone_log::target),
    ("property_list", property_list::target),
    ("session", session::target),
    ("store_files", store_files::target),
    ("upload", upload::target),
    ("usbmux", usbmux::target),
];

/// Runs one target on one input.
///
/// # Panics
/// When there is no such target, and when the input breaks what must hold.
pub fn run(name: &str, input: &[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = found.expect("a target of that name");
    target(input);
}

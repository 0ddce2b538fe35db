//! The way to our page, as a person takes it, and where pictures of it are laid down.

use super::page::{LOOKS, Page};
use crate::{
    browser::axe::Axe,
    peers,
    table::{PATIENCE, Said, Table},
};
use std::path::PathBuf;

/// A fresh link to the page, as `backupwatch open --print` gives it.
#[must_use]
pub fn link(table: &Table, device: Option<&str>) -> String {
    let mut command = table.ours(&["open", "--print"]);
    let said: Said = peers::run(command.args(device), PATIENCE).into();
    assert_eq!(said.code, Some(0), "{said:?}");
    said.out.trim().to_owned()
}

/// Comes in by this link, and waits until the page behind it is there.
#[track_caller]
pub fn enter(page: &Page<'_>, link: &str) {
    assert_eq!(page.goto(link), 200, "{}", page.words());
    // The door leads on by itself.
    page.wait_until("location.pathname !== '/enter' && document.readyState === 'complete'");
}

/// Where the page is, without a path: `http://127.0.0.1:4877`.
#[must_use]
pub fn origin(address: &str) -> String {
    let end = address.match_indices('/').nth(2);
    end.map_or(address, |(at, _)| &address[..at]).to_owned()
}

/// Looks at the page like a phone and like a desktop, by day and by night: lays pictures of it down as `target/screenshots/<name>-*.png`,
/// and asks whether something keeps somebody from using it.
#[track_caller]
pub fn look_around(page: &Page<'_>, axe: &Axe, name: &str) {
    for look in LOOKS {
        page.look(look);
        page.screenshot(&screenshots().join(format!("{name}-{}.png", look.name)));
        // Each width and each brightness is asked about once.
        if ["360-light", "1440-dark"].contains(&look.name) {
            let barriers = axe.barriers(page);
            assert!(barriers.is_empty(), "{name}, {}: {barriers:#?}", look.name);
        }
        let wide = page.value("document.documentElement.scrollWidth - innerWidth");
        assert!(
            wide.as_i64().is_some_and(|wide| wide <= 0),
            "{name}, {}: it is {wide} px wider than the window",
            look.name
        );
    }
}

/// Below the folder into which this test was built.
fn screenshots() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let target = test.ancestors().nth(3).expect("target/<profile>/deps/test");
    target.join("screenshots")
}

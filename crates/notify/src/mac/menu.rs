//! The item in the menu bar of macOS, by tray-icon. AppKit's: everything but [`Bar`] is called on the main thread, and appears
//! only while its run loop runs, which it does in the app and not in the bare program.

use crate::FromDesktop;
use crate::menu::{Choice, Line, Menu, MenuBar, choose, coverage, lines, shown, summary};
use backupwatch_core::Protection;
use dispatch2::DispatchQueue;
use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tray_icon::menu::{
    self as native, IsMenuItem, MenuEvent, MenuItem, PredefinedMenuItem, Submenu,
};
use tray_icon::{Icon, TrayIcon, TrayIconBuilder};

/// The glyph's pixels along one side: 22 points, which is as high as the menu bar takes, on a screen with two pixels a point.
const SIDE: u16 = 44;

thread_local! {
    /// On the main thread, once something was shown.
    static ITEM: RefCell<Option<Item>> = const { RefCell::new(None) };
}

/// The item, for the agent, which is on any thread but the main one.
#[derive(Debug)]
pub(crate) struct Bar(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    choices: mpsc::Sender<FromDesktop>,
    /// What the main thread has not drawn yet. It is told once of each; a later menu takes the place of one that waits.
    waiting: Mutex<Option<Menu>>,
    trouble: Mutex<Option<String>>,
}

impl Bar {
    pub(crate) fn new(choices: mpsc::Sender<FromDesktop>) -> Self {
        Self(Arc::new(Shared {
            choices,
            waiting: Mutex::default(),
            // Until it has been drawn once. In the bare program nobody ever does.
            trouble: Mutex::new(Some(
                "macOS shows it only of the app, not of the bare program".to_owned(),
            )),
        }))
    }
}

impl MenuBar for Bar {
    fn show(&self, menu: &Menu) {
        if lock(&self.0.waiting).replace(menu.clone()).is_none() {
            let shared = Arc::clone(&self.0);
            DispatchQueue::main().exec_async(move || draw(&shared));
        }
    }

    fn trouble(&self) -> Option<String> {
        lock(&self.0.trouble).clone()
    }
}

/// On the main thread.
fn draw(shared: &Shared) {
    let Some(menu) = lock(&shared.waiting).take() else {
        return;
    };
    let drawn = ITEM.with_borrow_mut(|item| {
        if item.is_none() {
            *item = Some(begin(shared.choices.clone())?);
        }
        item.as_mut().map_or(Ok(()), |item| item.show(&menu))
    });
    if let Err(why) = &drawn {
        tracing::warn!("failed to draw the item in the menu bar: {why}");
    }
    *lock(&shared.trouble) = drawn.err();
}

/// The item on the main thread.
pub(crate) struct Item {
    icon: TrayIcon,
    glyph: Option<Protection>,
    lines: Vec<Line>,
    rows: Vec<Row>,
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("glyph", &self.glyph)
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

/// A line as AppKit has it.
enum Row {
    Item(MenuItem),
    Device(Submenu, Vec<Row>),
    Separator(PredefinedMenuItem),
}

/// Makes the item, with nothing in it yet. Called once, on the main thread, when the application has been launched.
pub(crate) fn begin(choices: mpsc::Sender<FromDesktop>) -> Result<Item, String> {
    MenuEvent::set_event_handler(Some(move |event: MenuEvent| {
        if let Some(choice) = Choice::of_code(&event.id.0) {
            choose(&choices, choice);
        }
    }));
    let icon = TrayIconBuilder::new()
        .with_id("backupwatch")
        .with_autosave_name("backupwatch")
        .with_icon_templated(glyph(Protection::Unknown)?)
        .build()
        .map_err(|error| error.to_string())?;
    Ok(Item {
        icon,
        glyph: Some(Protection::Unknown),
        lines: Vec::new(),
        rows: Vec::new(),
    })
}

impl Item {
    /// Shows this in place of what was there.
    pub(crate) fn show(&mut self, menu: &Menu) -> Result<(), String> {
        let protection = shown(menu).unwrap_or(Protection::Unknown);
        if self.glyph != Some(protection) {
            let glyph = glyph(protection)?;
            let set = self.icon.set_icon_templated(Some(glyph));
            set.map_err(|error| error.to_string())?;
            self.glyph = Some(protection);
        }
        let about = format!("Backupwatch: {}", summary(menu));
        let set = self.icon.set_tooltip(Some(about));
        set.map_err(|error| error.to_string())?;

        let new = lines(menu);
        // A menu that is replaced closes under the person's hand. While only words change, as in a backup, it stays.
        if bare(&new) == bare(&self.lines) {
            rename(&self.rows, &new);
        } else {
            let menu = native::Menu::new();
            self.rows = rows(&new, |item| menu.append(item))?;
            self.icon.set_menu(Some(Box::new(menu)));
        }
        self.lines = new;
        Ok(())
    }
}

fn rows(
    lines: &[Line],
    append: impl Fn(&dyn IsMenuItem) -> native::Result<()>,
) -> Result<Vec<Row>, String> {
    let row = |line: &Line| {
        let row = match line {
            Line::Words(words) => Row::Item(MenuItem::new(escaped(words), false, None)),
            Line::Choice(label, choice) => {
                Row::Item(MenuItem::with_id(choice.code(), escaped(label), true, None))
            }
            Line::Device(label, own) => {
                let submenu = Submenu::new(escaped(label), true);
                let own = rows(own, |item| submenu.append(item))?;
                Row::Device(submenu, own)
            }
            Line::Separator => Row::Separator(PredefinedMenuItem::separator()),
        };
        let appended = match &row {
            Row::Item(item) => append(item),
            Row::Device(submenu, _) => append(submenu),
            Row::Separator(separator) => append(separator),
        };
        appended.map(|()| row).map_err(|error| error.to_string())
    };
    lines.iter().map(row).collect()
}

fn rename(rows: &[Row], lines: &[Line]) {
    for (row, line) in rows.iter().zip(lines) {
        match (row, line) {
            (Row::Item(item), Line::Words(words) | Line::Choice(words, _)) => {
                item.set_text(escaped(words));
            }
            (Row::Device(submenu, rows), Line::Device(label, own)) => {
                submenu.set_text(escaped(label));
                rename(rows, own);
            }
            (Row::Item(_) | Row::Device(..) | Row::Separator(_), _) => {}
        }
    }
}

/// The lines without their words: what a menu must have in common with another to be changed into it.
fn bare(lines: &[Line]) -> Vec<Line> {
    let without = |line: &Line| match line {
        Line::Words(_) => Line::Words(String::new()),
        Line::Choice(_, choice) => Line::Choice(String::new(), choice.clone()),
        Line::Device(_, own) => Line::Device(String::new(), bare(own)),
        Line::Separator => Line::Separator,
    };
    lines.iter().map(without).collect()
}

/// muda takes one ampersand for the mark of a key.
fn escaped(label: &str) -> String {
    label.replace('&', "&&")
}

/// A template: macOS gives it the colour that the menu bar has just now.
fn glyph(protection: Protection) -> Result<Icon, String> {
    let pixels = coverage(protection, SIDE).into_iter();
    let pixels = pixels.flat_map(|ink| [0, 0, 0, ink]).collect();
    Icon::from_rgba(pixels, SIDE.into(), SIDE.into()).map_err(|error| error.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every value behind these locks is replaced whole, so it is sound whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

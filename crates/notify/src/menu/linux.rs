//! The item as a StatusNotifierItem with a DBusMenu, by ksni. KDE, Xfce, LXQt, MATE and others show it; GNOME does with its
//! AppIndicator extension.
//!
//! One task owns it. The panel may come later than the agent, and may go and come back: ksni registers again by itself.

use super::{
    Menu, MenuBar, choose,
    glyph::coverage,
    lines::{Line, lines, shown, summary},
};
use crate::FromDesktop;
use backupwatch_core::Protection;
use ksni::{
    Category, Icon, MenuItem, OfflineReason, ToolTip, Tray, TrayMethods as _,
    menu::{StandardItem, SubMenu},
};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};

/// The usual size in a panel, and twice that for screens with many dots.
const SIDES: [u16; 2] = [24, 48];

/// The item of this desktop session.
#[derive(Debug)]
pub(super) struct Bar {
    menu: watch::Sender<Option<Menu>>,
    trouble: Trouble,
}

impl Bar {
    pub(super) fn new(runtime: &Handle, choices: mpsc::Sender<FromDesktop>) -> Self {
        let (menu, menus) = watch::channel(None);
        let trouble = Trouble::default();
        // It ends when this is dropped.
        runtime.spawn(keep(menus, choices, trouble.clone()));
        Self { menu, trouble }
    }
}

impl MenuBar for Bar {
    fn show(&self, menu: &Menu) {
        self.menu.send_replace(Some(menu.clone()));
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.get()
    }
}

async fn keep(
    mut menus: watch::Receiver<Option<Menu>>,
    choices: mpsc::Sender<FromDesktop>,
    trouble: Trouble,
) {
    let Ok(first) = menus
        .wait_for(Option::is_some)
        .await
        .map(|menu| menu.clone())
    else {
        return;
    };
    let Some(menu) = first else { return };
    let item = Item::new(menu, choices, trouble.clone());
    let handle = match item.assume_sni_available(true).spawn().await {
        Ok(handle) => handle,
        Err(error) => {
            tracing::debug!(%error, "no item in the menu bar");
            return trouble.set(if let ksni::Error::Watcher(why) = error {
                format!("the panel does not take it ({why})")
            } else {
                "no desktop session can be reached".to_owned()
            });
        }
    };
    while menus.changed().await.is_ok() {
        let Some(menu) = menus.borrow_and_update().clone() else {
            continue;
        };
        handle.update(|item| item.menu(menu)).await;
    }
    handle.shutdown().await;
}

/// Why there is no item; logged when it begins.
#[derive(Debug, Clone, Default)]
struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    fn get(&self) -> Option<String> {
        self.lock().clone()
    }

    fn set(&self, why: String) {
        let mut trouble = self.lock();
        if trouble.is_none() {
            tracing::info!("there is no item in the menu bar: {why}");
        }
        *trouble = Some(why);
    }

    fn clear(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        // The value is replaced whole, so it is sound whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Item {
    menu: Menu,
    glyph: Vec<Icon>,
    choices: mpsc::Sender<FromDesktop>,
    trouble: Trouble,
}

impl Item {
    fn new(menu: Menu, choices: mpsc::Sender<FromDesktop>, trouble: Trouble) -> Self {
        let glyph = glyph(shown(&menu));
        Self {
            menu,
            glyph,
            choices,
            trouble,
        }
    }

    fn menu(&mut self, menu: Menu) {
        if shown(&menu) != shown(&self.menu) {
            self.glyph = glyph(shown(&menu));
        }
        self.menu = menu;
    }
}

impl Tray for Item {
    // The page is one line of the menu; a click that opens a browser would startle.
    const MENU_ON_ACTIVATE: bool = true;

    fn id(&self) -> String {
        "backupwatch".to_owned()
    }

    fn category(&self) -> Category {
        Category::SystemServices
    }

    fn title(&self) -> String {
        format!("Backupwatch: {}", summary(&self.menu))
    }

    fn icon_pixmap(&self) -> Vec<Icon> {
        self.glyph.clone()
    }

    fn tool_tip(&self) -> ToolTip {
        ToolTip {
            title: "Backupwatch".to_owned(),
            description: summary(&self.menu),
            ..ToolTip::default()
        }
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        lines(&self.menu).into_iter().map(item).collect()
    }

    fn watcher_online(&self) {
        self.trouble.clear();
    }

    fn watcher_offline(&self, _reason: OfflineReason) -> bool {
        self.trouble.set(
            "no panel of this desktop has a place for it (GNOME needs its AppIndicator extension)"
                .to_owned(),
        );
        // It may come back.
        true
    }
}

fn item(line: Line) -> MenuItem<Item> {
    match line {
        Line::Words(words) => StandardItem {
            label: escaped(&words),
            enabled: false,
            ..StandardItem::default()
        }
        .into(),
        Line::Choice(label, choice) => StandardItem {
            label: escaped(&label),
            activate: Box::new(move |item: &mut Item| choose(&item.choices, choice.clone())),
            ..StandardItem::default()
        }
        .into(),
        Line::Device(label, own) => SubMenu {
            label: escaped(&label),
            submenu: own.into_iter().map(item).collect(),
            ..SubMenu::default()
        }
        .into(),
        Line::Separator => MenuItem::Separator,
    }
}

/// In a DBusMenu one underscore makes the next letter a key.
fn escaped(label: &str) -> String {
    label.replace('_', "__")
}

/// The glyph in a colour that stands out from light panels and dark ones alike (4.5 to 1 against white and black).
fn glyph(protection: Option<Protection>) -> Vec<Icon> {
    let protection = protection.unwrap_or(Protection::Unknown);
    let [red, green, blue] = match protection {
        Protection::Protected => [0x1c, 0x86, 0x49],
        Protection::AtRisk => [0xae, 0x64, 0x00],
        Protection::Unprotected => [0xdb, 0x34, 0x34],
        Protection::Unknown => [0x76, 0x76, 0x76],
    };
    let icon = |side: u16| Icon {
        width: side.into(),
        height: side.into(),
        data: coverage(protection, side)
            .into_iter()
            .flat_map(|ink| [ink, red, green, blue])
            .collect(),
    };
    SIDES.map(icon).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_underscore_in_a_name_is_no_key() {
        assert_eq!(escaped("_Ada_s __iPhone"), "__Ada__s ____iPhone");
    }

    /// Relative luminance and contrast by WCAG 2.
    #[test]
    fn every_colour_stands_out_on_light_and_on_dark() {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        };
        for protection in [
            Protection::Protected,
            Protection::AtRisk,
            Protection::Unprotected,
            Protection::Unknown,
        ] {
            let icon = glyph(Some(protection)).remove(0);
            let pixel = icon.data.chunks(4).find(|pixel| pixel[0] == 255).unwrap();
            let light =
                0.2126 * linear(pixel[1]) + 0.7152 * linear(pixel[2]) + 0.0722 * linear(pixel[3]);
            let (on_white, on_black) = (1.05 / (light + 0.05), (light + 0.05) / 0.05);
            assert!(
                on_white >= 4.5 && on_black >= 4.5,
                "{protection:?}: {on_white:.2}, {on_black:.2}"
            );
        }
    }
}

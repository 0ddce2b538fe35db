//! A phone on a table: one persona on one socket, with a folder for its backups and a home for the strangers.

#![allow(dead_code, reason = "each test file uses the part that it needs")]

use std::path::{Path, PathBuf};

use backupwatch_sim::persona::Persona;
use backupwatch_sim::phone::PhoneHandle;
use backupwatch_sim::{Listen, Sim, SimHandle};

use crate::peers::{self, PATIENCE, Said};

/// Of `backup-encrypted.toml`.
pub const PASSWORD: &str = "correct horse 🐴 battery";

pub struct Table {
    sim: SimHandle,
    address: String,
    home: tempfile::TempDir,
}

impl Table {
    pub fn unix(persona: Persona) -> Self {
        let home = tempfile::tempdir().unwrap();
        let listen = Listen::Unix(home.path().join("usbmuxd"));
        Self::with(persona, listen, home)
    }

    pub fn tcp(persona: Persona) -> Self {
        let listen = Listen::Tcp("127.0.0.1:0".parse().unwrap());
        Self::with(persona, listen, tempfile::tempdir().unwrap())
    }

    fn with(persona: Persona, listen: Listen, home: tempfile::TempDir) -> Self {
        let sim = Sim::start(vec![persona], listen).unwrap();
        let address = sim.listen().environment().unwrap();
        std::fs::create_dir(home.path().join("backups")).unwrap();
        Self { sim, address, home }
    }

    pub fn sim(&self) -> &SimHandle {
        &self.sim
    }

    pub fn phone(&self) -> PhoneHandle {
        self.sim.phones().remove(0)
    }

    pub fn udid(&self) -> String {
        self.phone().udid().to_owned()
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn root(&self) -> PathBuf {
        self.home.path().join("backups")
    }

    pub fn root_text(&self) -> String {
        self.root().to_str().unwrap().to_owned()
    }

    pub async fn run(&self, program: &Path, arguments: &[&str]) -> Said {
        let mut command = peers::command(program, &self.address, self.home.path());
        command.args(arguments);
        peers::run(command, PATIENCE).await
    }
}

fn persona(name: &str) -> Persona {
    let path = format!(
        "{}/../../fixtures/phones/{name}.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    Persona::load(Path::new(&path)).unwrap()
}

/// The phone of `backup-mixed.toml`.
pub fn plain() -> Persona {
    persona("backup-mixed")
}

/// The phone of `backup-encrypted.toml`.
pub fn encrypted() -> Persona {
    persona("backup-encrypted")
}

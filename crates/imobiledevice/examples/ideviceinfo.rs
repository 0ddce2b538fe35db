//! What lockdownd tells of a device, as libimobiledevice's own `ideviceinfo` prints it:
//! `ideviceinfo [-u UDID] [-n] [-q DOMAIN]`.
//!
//! Unlike that one it never asks the device for trust: where this computer has no pair record, it asks without a session.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use backupwatch_imobiledevice::{
    Device, IdeviceError, Library, Lockdown, Lookup, devices, pair_record,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use plist::Value;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ideviceinfo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (mut udid, mut domain, mut lookup) = (None, None, Lookup::Usb);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-u" => udid = Some(arguments.next().ok_or("-u needs a UDID")?),
            "-q" => domain = Some(arguments.next().ok_or("-q needs a domain")?),
            "-n" => lookup = Lookup::Network,
            other => return Err(format!("what is {other}?").into()),
        }
    }
    let library = Library::load()?;
    let udid = match udid {
        Some(udid) => udid,
        None => {
            let first = devices(library)?
                .into_iter()
                .find(|listed| Lookup::from(listed.via) == lookup);
            first.ok_or(IdeviceError::NoDevice)?.udid
        }
    };
    let device = Device::open(library, &udid, lookup)?;
    let mut lockdown = Lockdown::connect(&device, "ideviceinfo")?;
    if let Some(record) = pair_record(library, &udid)? {
        let record: Value = plist::from_bytes(&record)?;
        let host_id = record
            .as_dictionary()
            .and_then(|record| record.get("HostID")?.as_string());
        lockdown.start_session(host_id.ok_or("the pair record has no HostID")?)?;
    }
    match lockdown.value(domain.as_deref(), None)? {
        Some(Value::Dictionary(values)) => print_dictionary(&values, 0),
        Some(other) => print_value(&other, 0),
        None => {}
    }
    Ok(())
}

fn print_dictionary(values: &plist::Dictionary, indent: usize) {
    for (key, value) in values {
        match value.as_array() {
            Some(array) => print!("{:indent$}{key}[{}]: ", "", array.len()),
            None => print!("{:indent$}{key}: ", ""),
        }
        print_value(value, indent);
    }
}

fn print_value(value: &Value, indent: usize) {
    match value {
        Value::Boolean(truth) => println!("{truth}"),
        // Numbers below zero are printed as C has them.
        Value::Integer(number) => match (number.as_unsigned(), number.as_signed()) {
            (Some(number), _) => println!("{number}"),
            (None, number) => println!("{}", number.unwrap_or_default().cast_unsigned()),
        },
        Value::Real(number) => println!("{number:.6}"),
        Value::String(text) => println!("{text}"),
        Value::Data(bytes) => println!("{}", BASE64_STANDARD.encode(bytes)),
        Value::Date(date) => {
            let since = std::time::SystemTime::from(*date).duration_since(UNIX_EPOCH);
            println!(
                "{} seconds after 1970",
                since.unwrap_or(Duration::ZERO).as_secs()
            );
        }
        Value::Array(array) => {
            println!();
            let indent = indent + 1;
            for (index, value) in array.iter().enumerate() {
                print!("{:indent$}{index}: ", "");
                print_value(value, indent);
            }
        }
        Value::Dictionary(values) => {
            println!();
            print_dictionary(values, indent + 1);
        }
        Value::Uid(_) | _ => println!(),
    }
}

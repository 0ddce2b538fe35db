#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| backupwatch_fuzz::run("phone_log", input));

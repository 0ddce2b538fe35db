use super::*;

#[test]
fn numbers_and_names_of_codes() {
    let table = [
        (0, StatusCode::Ok),
        (-1, StatusCode::Generic),
        (-2, StatusCode::Unimplemented),
        (-3, StatusCode::BadParameter),
        (-4, StatusCode::WrongSide),
        (-6, StatusCode::NotFound),
        (-7, StatusCode::Exists),
        (-8, StatusCode::NotADirectory),
        (-9, StatusCode::IsADirectory),
        (-10, StatusCode::SymlinkLoop),
        (-11, StatusCode::Io),
        (-13, StatusCode::Multi),
        (-14, StatusCode::Disconnected),
        (-15, StatusCode::NoSpace),
    ];
    for (number, code) in table {
        assert_eq!(code.number(), number);
        assert_eq!(StatusCode::from_number(number), code);
    }
    assert_eq!(table.map(|(_, code)| code), StatusCode::NAMED);
}

#[test]
fn final_bytes() {
    let table = [
        (0x00, StatusCode::Ok),
        (0x01, StatusCode::Generic),
        (0x06, StatusCode::NotFound),
        (0x0B, StatusCode::Io),
        (0x0F, StatusCode::NoSpace),
        (0xFF, StatusCode::Other(-255)),
    ];
    for (byte, code) in table {
        assert_eq!(StatusCode::from_final_byte(byte), code);
        assert_eq!(code.to_final_byte(), byte);
    }
    for unfit in [-12, -256, 1, 6, i32::MIN, i32::MAX] {
        assert_eq!(StatusCode::Other(unfit).to_final_byte(), 1, "{unfit}");
    }
}

#[test]
fn codes_of_host_errors() {
    let table = [
        (io::ErrorKind::NotFound, -6),
        (io::ErrorKind::AlreadyExists, -7),
        (io::ErrorKind::NotADirectory, -8),
        (io::ErrorKind::IsADirectory, -9),
        (io::ErrorKind::StorageFull, -15),
        (io::ErrorKind::QuotaExceeded, -15),
        (io::ErrorKind::UnexpectedEof, -11),
        (io::ErrorKind::PermissionDenied, -1),
    ];
    for (kind, number) in table {
        let code = StatusCode::from_io(&kind.into());
        assert_eq!(code.number(), number, "{kind:?}");
    }
    let there_and_back = [
        StatusCode::NotFound,
        StatusCode::Exists,
        StatusCode::NotADirectory,
        StatusCode::IsADirectory,
        StatusCode::NoSpace,
    ];
    for code in there_and_back {
        assert_eq!(StatusCode::from_kind(code.to_kind()), code);
    }
}

/// The numbers are not asked of a header file, so they are compared with what the standard library makes of them.
#[test]
fn errnos_are_those_of_this_system() {
    for code in StatusCode::NAMED {
        let Some(errno) = code.to_errno() else {
            continue;
        };
        assert_eq!(StatusCode::from_errno(errno), Some(code));
        let error = io::Error::from_raw_os_error(errno);
        assert_eq!(StatusCode::from_io(&error), code);
        let kind = StatusCode::from_kind(error.kind());
        let nameless = matches!(code, StatusCode::SymlinkLoop | StatusCode::Io);
        assert!(nameless || kind == code, "{errno} is {error}");
    }
    let loops = io::Error::from_raw_os_error(errno::ELOOP).to_string();
    assert!(loops.contains("symbolic links"), "{loops}");
    let quota = io::Error::from_raw_os_error(errno::EDQUOT);
    assert_eq!(quota.kind(), io::ErrorKind::QuotaExceeded);
    assert_eq!(StatusCode::from_io(&quota), StatusCode::NoSpace);
    let full = Some(StatusCode::NoSpace);
    assert_eq!(StatusCode::from_errno(errno::EDQUOT), full);
}

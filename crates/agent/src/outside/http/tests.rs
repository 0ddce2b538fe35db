//! What is an address, and what may be shown of it. The conversations with real servers are in `tests/tests/outside.rs`.

use super::*;

#[test]
fn addresses() {
    use Plain::{Anywhere, Loopback};
    for (text, plain, told) in [
        (
            "https://hc.example/uuid",
            Loopback,
            Ok("https://hc.example/uuid"),
        ),
        ("https://HC.example", Loopback, Ok("https://hc.example/")),
        (
            "https://hc.example:8443/a?b=c",
            Loopback,
            Ok("https://hc.example:8443/a?b=c"),
        ),
        (
            "https://hc.example:443/a",
            Loopback,
            Ok("https://hc.example/a"),
        ),
        (
            "http://127.0.0.1:8000/x",
            Loopback,
            Ok("http://127.0.0.1:8000/x"),
        ),
        ("http://127.9.9.9/x", Loopback, Ok("http://127.9.9.9/x")),
        ("http://localhost/x", Loopback, Ok("http://localhost/x")),
        ("http://[::1]:80/x", Loopback, Ok("http://[::1]/x")),
        ("http://192.168.1.2/x", Loopback, Err(UrlError::Plain)),
        ("http://localhost.example/x", Loopback, Err(UrlError::Plain)),
        ("http://127.0.0.1.example/x", Loopback, Err(UrlError::Plain)),
        ("http://192.168.1.2/x", Anywhere, Ok("http://192.168.1.2/x")),
        ("ftp://hc.example/x", Anywhere, Err(UrlError::Scheme)),
        ("file:///etc/passwd", Anywhere, Err(UrlError::Malformed)),
        ("hc.example/x", Anywhere, Err(UrlError::Malformed)),
        ("https://", Anywhere, Err(UrlError::Malformed)),
        ("https://a b/", Anywhere, Err(UrlError::Malformed)),
        ("https://host:99999/", Anywhere, Err(UrlError::Malformed)),
        (
            "https://me:secret@hc.example/",
            Loopback,
            Err(UrlError::User),
        ),
        ("", Anywhere, Err(UrlError::Malformed)),
    ] {
        let parsed = Url::parse(text, plain).map(|url| url.secret());
        assert_eq!(parsed, told.map(str::to_owned), "{text}");
    }
    let long = format!("https://hc.example/{}", "x".repeat(URL_MAX));
    assert_eq!(Url::parse(&long, Anywhere), Err(UrlError::Malformed));
}

#[test]
fn of_an_address_only_the_host_is_shown() {
    let url = Url::parse("https://hc.example:8443/secret?key=secret", Plain::Loopback).unwrap();
    assert_eq!(url.to_string(), "https://hc.example:8443/...");
    assert!(!format!("{url:?}").contains("secret"));
    assert_eq!(url.host(), "hc.example:8443");
    assert!(Url::parse(&url.to_string(), Plain::Loopback).is_ok());
}

#[test]
fn a_path_and_a_query_go_on_where_the_address_ends() {
    for (text, path, pair, told) in [
        (
            "https://h/u",
            "/fail",
            Some("rid=1"),
            "https://h/u/fail?rid=1",
        ),
        (
            "https://h/u/",
            "/fail",
            Some("rid=1"),
            "https://h/u/fail?rid=1",
        ),
        ("https://h/u/", "", Some("rid=1"), "https://h/u/?rid=1"),
        ("https://h/u", "", None, "https://h/u"),
        (
            "https://h/key/slug?create=1",
            "/start",
            Some("rid=1"),
            "https://h/key/slug/start?create=1&rid=1",
        ),
        ("https://h/u?", "/log", None, "https://h/u/log"),
    ] {
        let url = Url::parse(text, Plain::Loopback).unwrap();
        assert_eq!(url.with(path, pair).secret(), told);
    }
}

#[test]
fn how_long_a_server_wants_to_be_left_alone() {
    for (value, told) in [
        ("7", Some(7)),
        (" 7 ", Some(7)),
        ("99999999", Some(24 * 60 * 60)),
        ("-1", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ("", None),
    ] {
        let headers =
            HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(value))]);
        assert_eq!(
            retry_after(&headers),
            told.map(Duration::from_secs),
            "{value:?}"
        );
    }
}

#[test]
fn what_may_be_tried_again() {
    let answer = |status| Answer {
        status,
        retry_after: None,
        body: Vec::new(),
    };
    for status in [100, 301, 302, 307, 408, 425, 429, 500, 502, 503, 599] {
        let answer = answer(status);
        assert!(!answer.is_refusal() && !answer.is_success(), "{status}");
    }
    for status in [400, 401, 403, 404, 410, 422] {
        let answer = answer(status);
        assert!(answer.is_refusal() && !answer.is_success(), "{status}");
    }
    for status in [200, 201, 202, 204] {
        let answer = answer(status);
        assert!(answer.is_success() && !answer.is_refusal(), "{status}");
    }
}

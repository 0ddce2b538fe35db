//! Framing and messages of lockdownd: the facts of `docs/protocol/lockdown.md`, each as a row.

use super::*;

#[test]
fn a_request_comes_back() {
    let request = Request::GetValue {
        domain: Some("com.apple.mobile.backup".into()),
        key: None,
    };
    let mut decoder = FrameDecoder::new();
    decoder.push(&request.encode(Some("label")));
    let body = decoder.next_frame().unwrap().unwrap();
    assert_eq!(
        Request::decode(&body).unwrap(),
        (request, Some("label".into()))
    );
}

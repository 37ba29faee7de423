//! A message for hosts that take only ASCII: RFC 6152 §3. What is decoded again is what it was.

#![allow(clippy::unwrap_used)]

use buzon::mail::{Coding, Decoded, Planner, Shape, ToSeven, Tree};
use proptest::prelude::*;

fn seven(message: &[u8], seven: bool, size: usize) -> Option<Vec<u8>> {
    let mut planner = Planner::new(seven);
    message.chunks(size).for_each(|piece| planner.feed(piece));
    let plan = planner.end();
    if plan.is_impossible() {
        return None;
    }
    let (mut to, mut output) = (ToSeven::new(&plan), Vec::new());
    message.chunks(size).for_each(|piece| to.feed(piece, &mut output));
    to.end(&mut output);
    Some(output)
}

#[test]
fn messages() {
    let signed = "Content-Type: multipart/signed; boundary=s\n\n--s\n\n\u{e9}\n--s--\n";
    let long = "x".repeat(1200);
    let base64 = format!("Content-Transfer-Encoding: base64\n\n{}\n", "QUJD".repeat(300));
    let lines = format!(
        "Content-Transfer-Encoding: base64\n\n{}{}\n",
        format!("{}\n", "QUJD".repeat(19)).repeat(15),
        "QUJD".repeat(15)
    );
    for (message, expected) in [
        ("A: b\n\nc\n", Some("A: b\n\nc\n")),
        ("A: \u{e9}\n\nc\n", Some("A: \u{e9}\n\nc\n")),
        (
            "A: b\n\ncaf\u{e9} = a \n",
            Some(
                "A: b\nContent-Transfer-Encoding: quoted-printable\n\
                 Content-Type: text/plain; charset=utf-8\nMIME-Version: 1.0\n\n\
                 caf=C3=A9 =3D a=20\n",
            ),
        ),
        (
            "MIME-Version: 1.0\nContent-Type: image/x\nContent-Transfer-Encoding: 8bit\n\n\
             \u{e9}\u{e9}\n",
            Some(
                "MIME-Version: 1.0\nContent-Type: image/x\nContent-Transfer-Encoding: base64\n\n\
                 w6nDqQ0K\n",
            ),
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\nMIME-Version: 1.0\n\
             Content-Transfer-Encoding: 8bit\n\npre\u{e9}\n--b\n\nascii\n--b\n\
             Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n\
             MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n\
             a long enough text with \u{e9}\n--b--\n",
            Some(
                "Content-Type: multipart/mixed; boundary=b\nMIME-Version: 1.0\n\
                 Content-Transfer-Encoding: 7bit\n\npre??\n--b\n\nascii\n--b\n\
                 Content-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\n\n\
                 MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
                 Content-Transfer-Encoding: quoted-printable\n\n\
                 a long enough text with =C3=A9\n--b--\n",
            ),
        ),
        (signed, None),
        (&signed.replace('\u{e9}', &long), Some(&signed.replace('\u{e9}', &long))),
        ("Content-Transfer-Encoding: x-uuencode\n\n\u{e9}\n", None),
        ("Content-Type: multipart/mixed\n\n\u{e9}\n", None),
        (
            "Content-Transfer-Encoding: quoted-printable\n\n=C3=A9\u{e9} =\nb\n",
            Some("Content-Transfer-Encoding: quoted-printable\n\n=C3=A9=C3=A9 =\nb\n"),
        ),
        (&base64, Some(&lines)),
    ] {
        for size in [message.len(), 1, 7] {
            let found = seven(message.as_bytes(), true, size);
            let found = found.map(|octets| String::from_utf8_lossy(&octets).into_owned());
            assert_eq!(found.as_deref(), expected, "{message:?} by {size}");
        }
    }
    let message = format!("A: b\n\ncaf\u{e9}\n{long}\n");
    assert_eq!(seven(b"A: b\n\ncaf\xe9\n", false, 5).unwrap(), b"A: b\n\ncaf\xe9\n");
    let folded = seven(message.as_bytes(), false, 5).unwrap();
    assert!(folded.is_ascii() && folded.split(|o| *o == b'\n').all(|line| line.len() <= 76));
}

/// What each part without parts says, decoded.
fn leaves(message: &[u8]) -> Vec<Vec<u8>> {
    let tree = Tree::new(message);
    let leaf = |at: &usize| tree.parts()[*at].shape == Shape::Leaf;
    let leaves = (0..tree.parts().len()).filter(leaf).map(|at| {
        let part = &tree.parts()[at];
        let coding = Coding::named(&tree.entity(message, at).encoding).unwrap();
        let decoded = Decoded::new(&message[part.body.clone()], coding).all();
        canonical(&decoded)
    });
    leaves.collect()
}

/// With CRLF as the only line end.
fn canonical(octets: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for (at, octet) in octets.iter().enumerate() {
        if *octet == b'\n' && (at == 0 || octets[at - 1] != b'\r') {
            lines.push(b'\r');
        }
        lines.push(*octet);
    }
    lines
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b" \n".to_vec()),
        Just(b".\n".to_vec()),
        Just(b"=\n".to_vec()),
        Just(b"--\n--x\n".to_vec()),
        Just("caf\u{e9} ".into()),
        Just(b"\xff\0\x80".to_vec()),
        Just(b"a\rb".to_vec()),
        "[ -~\t]{0,120}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..60),
        (0usize..3000).prop_map(|count| vec![b'x'; count]),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decoding_gives_the_same(bodies in proptest::collection::vec(body(), 1..4), size in 1usize..900) {
        let mut message = b"A: b\nMIME-Version: 1.0\n".to_vec();
        if let [one] = &bodies[..] {
            message.extend_from_slice(b"Content-Type: text/plain\n\n");
            message.extend_from_slice(one);
        } else {
            message.extend_from_slice(b"Content-Type: multipart/mixed; boundary=\"=_b?\"\n\n");
            for (at, body) in bodies.iter().enumerate() {
                message.extend_from_slice(b"--=_b?\nContent-Transfer-Encoding: 8bit\n");
                if at % 2 == 1 {
                    message.extend_from_slice(b"Content-Type: message/rfc822\n\nX: y\n");
                }
                message.push(b'\n');
                message.extend_from_slice(body);
                message.push(b'\n');
            }
            message.extend_from_slice(b"--=_b?--\n");
        }
        let converted = seven(&message, true, size).unwrap();
        prop_assert!(converted.is_ascii());
        prop_assert!(converted.split(|octet| *octet == b'\n').all(|line| line.len() <= 998));
        prop_assert!(!converted.contains(&b'\r') && !converted.contains(&0));
        let (before, after) = (leaves(&message), leaves(&converted));
        prop_assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(&after) {
            prop_assert_eq!(String::from_utf8_lossy(before), String::from_utf8_lossy(after));
            prop_assert!(before == after);
        }
    }

    #[test]
    fn any_octets_are_a_message(message in proptest::collection::vec(any::<u8>(), 0..500), size in 1usize..50) {
        seven(&message, true, size);
    }
}

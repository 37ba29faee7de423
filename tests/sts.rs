//! MTA-STS, RFC 8461: policies read, got from a web server, kept and ended.

#![allow(clippy::unwrap_used)]

mod remote;

use buzon::net::Trust;
use buzon::net::sts::{Mode, Policies, Policy, fetch, record_id};
use remote::{Certificate, Remote};
use std::cell::Cell;

const POLICY: &str = "version: STSv1\r\nmode: enforce\r\nmx: Mail.example.com\r\n\
                      mx: *.example.net\r\nmax_age: 604800\r\n";

#[test]
fn records() {
    for (records, expected) in [
        (&["v=STSv1; id=20160831085700Z;"][..], Some("20160831085700Z")),
        (&["v=STSv1;x=y ; id=a"], Some("a")),
        (&["other", "v=STSv1; id=a;"], Some("a")),
        (&["v=STSv1; id=a;", "v=STSv1; id=b;"], None),
        (&["v=STSv1; id=a b;"], None),
        (&["v=STSv1; id=;"], None),
        (&["v=STSv1;"], None),
        (&["v=STSv12; id=a;"], None),
        (&["id=a; v=STSv1;"], None),
        (&[], None),
    ] {
        let records: Vec<String> = records.iter().map(|record| (*record).to_owned()).collect();
        assert_eq!(record_id(&records).as_deref(), expected, "{records:?}");
    }
}

#[test]
fn policies() {
    let policy = Policy::parse(POLICY).unwrap();
    assert_eq!((policy.mode, policy.max_age), (Mode::Enforce, 604_800));
    for (host, expected) in [
        ("mail.EXAMPLE.com", true),
        ("mail.example.com.", true),
        ("x.mail.example.com", false),
        ("example.com", false),
        ("mx.example.net", true),
        ("example.net", false),
        ("a.b.example.net", false),
        (".example.net", false),
    ] {
        assert_eq!(policy.allows(host), expected, "{host}");
    }
    let none =
        Policy::parse("version: STSv1\nmode: none\nmax_age: 9999999999\nx: y\nmode: enforce\n");
    assert_eq!(none.map(|none| (none.mode, none.max_age)), Ok((Mode::None, 31_557_600)));
    for (text, fault) in [
        ("", "version"),
        ("version: STSv2\nmode: none\nmax_age: 1\n", "version"),
        ("version: STSv1\nmax_age: 1\n", "mode"),
        ("version: STSv1\nmode: enforce\nmx: a.test\n", "max_age"),
        ("version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1\n", "max_age"),
        ("version: STSv1\nmode: enforce\nmax_age: 1\n", "mx"),
        ("version: STSv1\nmode: enforce\nmax_age: 1\nmx: *.*.test\n", "host"),
        ("<html>", "key"),
    ] {
        let found = Policy::parse(text).unwrap_err();
        assert!(found.contains(fault), "{text:?}: {found}");
    }
}

#[test]
fn answers_of_a_web_server() {
    let certificate = Certificate::new(&["mta-sts.example.test"]);
    let trust = Trust::new(&[certificate.pem()]).unwrap();
    let asked = "tls\n< GET /.well-known/mta-sts.txt HTTP/1.1\n< Host: mta-sts.example.test\n\
                 < User-Agent\n< Accept\n< Connection: close\n<\n";
    let ok = "> HTTP/1.1 200 OK\n> Content-Type: Text/plain; charset=utf-8\n";
    let get = |script: String| {
        let remote = Remote::with(script, Some(&certificate));
        let got = fetch("example.test", &[remote.address], &trust);
        remote.heard();
        got
    };
    for (answer, expected) in [
        (format!("{ok}> Content-Length: 7\n>\n> hello\n> more\n"), Ok("hello\r\n")),
        (
            format!("{ok}> Transfer-Encoding: chunked\n>\n> 3\n> hel\n> 4;x=y\n> lo\n> \n> 0\n>\n"),
            Ok("hello\r\n"),
        ),
        (format!("{ok}>\n> hello\n"), Err("is not told")),
        (format!("{ok}> Content-Length: 70\n>\n> hello\n"), Err("was cut")),
        (format!("{ok}> Content-Length: 65537\n>\n> hello\n"), Err("too large")),
        (format!("{ok}> Transfer-Encoding: chunked\n>\n> 10001\n"), Err("too large")),
        (format!("{ok}> Transfer-Encoding: chunked\n>\n> ffffffffffffffff\n"), Err("too large")),
        ("> HTTP/1.1 301 Moved\n> Location: /x\n>\n".into(), Err("301")),
        ("> HTTP/1.1 404 No\n>\n".into(), Err("404")),
        (
            "> HTTP/1.1 200 OK\n> Content-Type: text/html\n> Content-Length: 2\n>\n>\n".into(),
            Err("text/plain"),
        ),
        ("> 220 mx.example.test\n".into(), Err("the answer is")),
        (String::new(), Err("was cut")),
    ] {
        let got = get(format!("{asked}{answer}"));
        match expected {
            Ok(text) => assert_eq!(got.as_deref(), Ok(text), "{answer}"),
            Err(why) => assert!(got.as_ref().is_err_and(|e| e.contains(why)), "{answer}: {got:?}"),
        }
    }
    // A certificate of another name, and one that nobody knows.
    let remote = Remote::with("tls", Some(&certificate));
    assert!(fetch("example.org", &[remote.address], &trust).unwrap_err().contains("handshake"));
    remote.heard();
    let nobody = Trust::new(&[]).unwrap();
    let remote = Remote::with("tls", Some(&certificate));
    assert!(fetch("example.test", &[remote.address], &nobody).unwrap_err().contains("handshake"));
    remote.heard();
}

#[test]
fn policies_are_kept_while_they_are_good() {
    let directory = tempfile::tempdir().unwrap();
    let policies = Policies::new(directory.path().join("queue/mta-sts"));
    let asked = Cell::new(0);
    let ask = |id: Option<&str>, now: u64, answer: Result<&str, &str>| {
        let get = || {
            asked.set(asked.get() + 1);
            answer.map(str::to_owned).map_err(str::to_owned)
        };
        let policy = policies.policy("Example.test", id, now, get);
        (policy.map(|policy| policy.mx.len()), asked.replace(0))
    };
    let (week, day, start) = (604_800, 86_400, 1_700_000_000);
    assert_eq!(ask(None, start, Ok(POLICY)), (None, 0));
    // What cannot be got is not asked for again at once, unless the record changes.
    assert_eq!(ask(Some("a"), start, Err("no route")), (None, 1));
    assert_eq!(ask(Some("a"), start + 299, Ok(POLICY)), (None, 0));
    assert_eq!(ask(Some("b"), start + 299, Ok("<html>")), (None, 1));
    assert_eq!(ask(Some("b"), start + 600, Ok(POLICY)), (Some(2), 1));
    let start = start + 600;
    assert_eq!(ask(Some("b"), start + 1, Ok(POLICY)), (Some(2), 0));
    // Whoever hides the record or the web server hides no policy, until it ends.
    assert_eq!(ask(None, start + week - 1, Ok(POLICY)), (Some(2), 0));
    assert_eq!(ask(None, start + week, Ok(POLICY)), (None, 0));
    assert_eq!(ask(Some("c"), start + 2, Err("no route")), (Some(2), 1));
    assert_eq!(ask(Some("c"), start + 3, Err("no route")), (Some(2), 0));
    // It is got again after a day, and when the record changes.
    assert_eq!(ask(Some("b"), start + day, Ok(POLICY)), (Some(2), 1));
    let less = POLICY.replace("mx: *.example.net\r\n", "");
    assert_eq!(ask(Some("d"), start + day + 1, Ok(&less)), (Some(1), 1));
    let none = "version: STSv1\nmode: none\nmax_age: 86400\n";
    assert_eq!(ask(Some("e"), start + day + 2, Ok(none)), (None, 1));
    assert_eq!(ask(Some("e"), start + day + 3, Ok(none)), (None, 0));
    let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(names.len(), 1);
    for domain in ["../x", ".x", "a/b", "", "a..b"] {
        assert_eq!(policies.policy(domain, Some("a"), start, || Ok(POLICY.into())), None);
    }
}

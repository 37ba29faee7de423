//! Tables of questions to a zone file.

use super::*;

const ZONE: &str = r#"
; the example of a class
aula.test.        MX    20 backup.aula.test.
aula.test.        3600 IN MX 10 mx.aula.test.   # the better one
mx.aula.test.     A     127.0.1.2:2525
mx.aula.test.     AAAA  [::1]:2525
backup.aula.test  A     127.0.1.3
aula.test.        TXT   "v=spf1 " "-all"
_mta-sts.aula.test. TXT "v=STSv1; id=1;" ; "no more"
www.aula.test.    CNAME alone.test.
alone.test.       A     127.0.1.4
alone.test.       AAAA  2001:db8::1
null.test.        MX    0 .
slow.test.        TIMEOUT
broken.test.      SERVFAIL
ring.test.        CNAME gnir.test.
gnir.test.        CNAME ring.test.
2.1.0.127.in-addr.arpa. PTR mx.aula.test.
equal.test. MX 5 a.test.
equal.test. MX 5 b.test.
equal.test. MX 5 c.test.
equal.test. MX 7 d.test.
éña.test.   A 127.0.1.5
"#;

fn dns() -> (tempfile::TempDir, Dns) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("zone");
    std::fs::write(&path, ZONE).unwrap();
    let dns = Dns { zone_file: Some(path), zone: Cached::default(), network: OnceLock::new() };
    (place, dns)
}

fn names(hosts: Result<Vec<Host>, NoHosts>) -> String {
    match hosts {
        Ok(hosts) => hosts.into_iter().map(|host| host.name).collect::<Vec<_>>().join(" "),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn hosts_of_domains() {
    let (_place, dns) = dns();
    for (domain, us, expected) in [
        ("aula.test", "", "mx.aula.test backup.aula.test"),
        ("AULA.test.", "", "mx.aula.test backup.aula.test"),
        ("aula.test", "backup.aula.test", "mx.aula.test"),
        ("aula.test", "mx.aula.test", "Us"),
        ("alone.test", "", "alone.test"),
        ("alone.test", "alone.test", "Us"),
        ("www.aula.test", "", "www.aula.test"),
        ("null.test", "", "NullMx"),
        ("nowhere.test", "", "NoSuchDomain"),
        ("a..b", "", "NoSuchDomain"),
        ("test", "", "test"),
        ("slow.test", "", "Temporary(\"no answer in time\")"),
        ("broken.test", "", "Temporary(\"SERVFAIL\")"),
        ("ring.test", "", "Temporary(\"CNAMEs without end\")"),
    ] {
        assert_eq!(names(dns.hosts(domain, |name| name == us)), expected, "{domain} {us}");
    }
}

#[test]
fn equals_are_shuffled_and_only_they() {
    let (_place, dns) = dns();
    let mut firsts = std::collections::HashSet::new();
    for _ in 0..200 {
        let found = names(dns.hosts("equal.test", |_| false));
        assert!(found.ends_with(" d.test"), "{found}");
        firsts.insert(found[..1].to_owned());
    }
    assert_eq!(firsts.len(), 3);
}

#[test]
fn addresses_of_hosts() {
    let (_place, dns) = dns();
    for (host, expected) in [
        ("mx.aula.test", "[::1]:2525 127.0.1.2:2525"),
        ("backup.aula.test", "127.0.1.3:25"),
        ("www.aula.test", "[2001:db8::1]:25 127.0.1.4:25"),
        ("éña.test", "127.0.1.5:25"),
        ("aula.test", ""),
    ] {
        let found = dns.addresses(host, 25).unwrap();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.join(" "), expected, "{host}");
    }
    assert_eq!(dns.addresses("nowhere.test", 25), Err(Failure::NoSuchDomain));
    assert!(matches!(dns.addresses("slow.test", 25), Err(Failure::Temporary(_))));
}

#[test]
fn names_and_texts() {
    let (_place, dns) = dns();
    assert_eq!(dns.names("127.0.1.2".parse().unwrap()).unwrap(), ["mx.aula.test"]);
    assert_eq!(dns.names("127.0.1.9".parse().unwrap()), Err(Failure::NoSuchDomain));
    assert_eq!(dns.texts("aula.test").unwrap(), [b"v=spf1 -all"]);
    assert_eq!(dns.texts("_mta-sts.aula.test").unwrap(), [b"v=STSv1; id=1;"]);
    let alias = dns.ask("www.aula.test", Type::Cname).unwrap();
    assert_eq!(alias, [Data::Name("alone.test".into())]);
}

#[test]
fn faults_are_told_with_their_lines() {
    for (text, told) in [
        ("aula.test.", "1: the type is missing"),
        ("\naula.test. MX mx", "2: MX takes a preference"),
        ("a.test. A 300.1.1.1", "1: '300.1.1.1' is not an IPv4 address"),
        ("a.test. AAAA 127.0.0.1", "1: '127.0.0.1' is not an IPv6 address"),
        ("a.test. HINFO x", "1: 'HINFO' is none of"),
        ("a..test. A 127.0.0.1", "1: 'a..test.' is no name"),
    ] {
        let zone = zone::parse(text);
        assert!(zone.faults.len() == 1 && zone.faults[0].starts_with(told), "{:?}", zone.faults);
    }
}

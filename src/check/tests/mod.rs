//! Each line, forced to each of its results by the facts that lead there.

mod bucket;
mod expiry;
mod findings;

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::identity::{Powers, Probe, Tried, powers};
use super::local::{Place, SourceFacts};
use super::road::{Connected, Tls};
use super::{Line, Outcome, certificate, identity, local, road};
use crate::bucket::{BucketError, CredentialsInUse, Destination, ErrorKind, Versioning};
use crate::model::Engine;
use crate::network::Networks;

fn error(kind: ErrorKind) -> BucketError {
    BucketError { verb: "ask", object: "it".to_owned(), kind, detail: "the server's words".to_owned() }
}

#[track_caller]
fn is(line: &Line, word: &str) {
    assert_eq!(line.outcome.word(), word, "{line:?}");
    // Whatever is not as it should be says what to do.
    assert_eq!(line.advice.is_empty(), word == "ok", "{line:?}");
}

fn to(host: &str) -> Destination {
    Destination { tls: true, host: host.to_owned(), port: 443 }
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn now() -> DateTime<Utc> {
    "2025-08-18T06:00:00Z".parse().unwrap()
}

#[test]
fn configuration_that_others_may_write_fails() {
    let path = Path::new("/etc/dbbackup/config.toml");
    is(&local::config_file(path, 0o100_640, 0, 0), "ok");
    is(&local::config_file(path, 0o100_640, 500, 500), "ok");
    is(&local::config_file(path, 0o100_644, 0, 0), "FAIL");
    is(&local::config_file(path, 0o100_660, 0, 0), "FAIL");
    is(&local::config_file(path, 0o100_640, 501, 0), "warn");
    is(&local::credentials_file(path, 0o100_600), "ok");
    is(&local::credentials_file(path, 0o100_640), "FAIL");
}

#[test]
fn source_is_ok_only_where_every_file_can_be_read() {
    let dir = Path::new("/srv/mysql");
    let facts = SourceFacts { readable: 3, ..SourceFacts::default() };
    is(&local::source("mysql", dir, &facts), "ok");
    is(&local::source("mysql", dir, &SourceFacts::default()), "warn");
    let many = local::source("mysql", dir, &SourceFacts { partial: true, ..facts.clone() });
    is(&many, "ok");
    assert!(many.seen.contains("the rest not looked at"), "{many:?}");
    let missing = SourceFacts { error: Some("No such file".to_owned()), ..SourceFacts::default() };
    is(&local::source("mysql", dir, &missing), "FAIL");
    let barred = SourceFacts { unreadable: vec!["/srv/mysql/a.sql".into()], unreadable_count: 1, ..facts };
    is(&local::source("mysql", dir, &barred), "FAIL");
}

#[test]
fn place_is_judged_by_rights_then_space() {
    const GIB: u64 = 1 << 30;
    let good = Place {
        what: "restore directory",
        dir: "/srv/restore".into(),
        writable: Ok(()),
        exists: true,
        free: 9 * GIB,
        wanted: 5 * GIB,
        open_to: None,
    };
    is(&local::place(&good), "ok");
    is(&local::place(&Place { wanted: 10 * GIB, ..good.clone() }), "warn");
    is(&local::place(&Place { free: GIB / 2, wanted: 0, ..good.clone() }), "warn");
    is(&local::place(&Place { free: 1 << 20, ..good.clone() }), "FAIL");
    is(&local::place(&Place { open_to: Some("everybody".to_owned()), ..good.clone() }), "FAIL");
    is(&local::place(&Place { writable: Err("read-only".to_owned()), ..good }), "FAIL");
}

#[test]
fn directory_is_open_to_whom_its_bits_let_in_beyond_root_and_the_user() {
    let open = |mode, owner, group| local::open_to(mode, (owner, group), 500);
    assert_eq!(open(0o040_750, 500, 500), None);
    assert_eq!(open(0o040_755, 0, 0), None);
    assert_eq!(open(0o040_775, 500, 0), None);
    assert_eq!(open(0o040_770, 500, 501).as_deref(), Some("group 501"));
    assert_eq!(open(0o041_777, 0, 0).as_deref(), Some("everybody"));
    assert_eq!(open(0o040_750, 501, 501).as_deref(), Some("user 501, who owns it"));
}

#[test]
fn what_nothing_is_expected_of_is_told() {
    is(&local::expected(1, &[]), "ok");
    let none = local::expected(2, &[Engine::Oracle, Engine::Mysql]);
    is(&none, "warn");
    assert!(none.seen.starts_with("nothing is expected ([[expect]])"), "{none:?}");
    let one = local::expected(2, &[Engine::Oracle]);
    is(&one, "warn");
    assert!(one.seen.starts_with("nothing is expected of oracle"), "{one:?}");
}

#[test]
fn clock_twenty_minutes_off_fails_either_way() {
    let at = |seconds: i64| {
        let server = (now() + TimeDelta::seconds(seconds)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        local::clock(now(), Some(&server))
    };
    is(&at(0), "ok");
    is(&at(45), "ok");
    is(&at(300), "warn");
    for seconds in [1200, -1200] {
        let line = at(seconds);
        is(&line, "FAIL");
        assert!(line.seen.contains("20 min") && line.advice.contains("15 min"), "{line:?}");
    }
    is(&local::clock(now(), None), "unknown");
    is(&local::clock(now(), Some("noon")), "unknown");
}

#[test]
fn lock_user_and_environment() {
    is(&local::lock(&local::LockState::Free), "ok");
    is(&local::lock(&local::LockState::Held(None)), "warn");
    is(&local::lock(&local::LockState::Unseen("no /proc".to_owned())), "unknown");
    is(&local::user(Some("backup"), 500, 500), "ok");
    is(&local::user(Some("root"), 0, 500), "warn");
    is(&local::environment(&[]), "ok");
    is(&local::environment(&["AWS_PROFILE".to_owned()]), "warn");
}

#[test]
fn one_public_address_beside_a_private_one_is_not_private() {
    let networks = Networks::default();
    let look =
        |texts: &[&str], required| road::name(&to("s3.example.com"), &Ok(ips(texts)), &networks, required);
    is(&look(&["10.0.0.4", "fd00::4"], true), "ok");
    is(&look(&["10.0.0.4", "52.218.0.1"], true), "FAIL");
    let line = look(&["10.0.0.4", "52.218.0.1"], false);
    is(&line, "warn");
    assert!(line.seen.contains("of these, 52.218.0.1 is not private"), "{line:?}");
    is(&road::name(&to("s3.example.com"), &Err("no such name".to_owned()), &networks, false), "FAIL");
}

#[test]
fn connection_is_judged_by_where_it_ended() {
    let networks = Networks::default();
    let ended = |peer: &str| Connected {
        peer: peer.parse().unwrap(),
        local: "10.1.0.2:50000".parse().unwrap(),
        took: Duration::from_millis(12),
        refused: Vec::new(),
        mtu: Some(1436),
        interface: Some("ipsec0".to_owned()),
    };
    let good = ended("10.0.0.4:443");
    is(&road::peer(&Ok(good.clone()), &networks, true), "ok");
    is(&road::peer(&Ok(ended("52.218.0.1:443")), &networks, true), "FAIL");
    is(&road::peer(&Ok(ended("52.218.0.1:443")), &networks, false), "warn");
    is(&road::peer(&Err("refused".to_owned()), &networks, false), "FAIL");
    let half = vec![("10.0.1.4:443".parse().unwrap(), "timed out".to_owned())];
    is(&road::peer(&Ok(Connected { refused: half, ..good.clone() }), &networks, true), "warn");
    is(&road::route(&good), "ok");
    is(&road::route(&Connected { mtu: Some(900), ..good.clone() }), "warn");
    is(&road::route(&Connected { mtu: None, ..good }), "unknown");
    is(&road::proxy(&[]), "ok");
    is(&road::proxy(&["HTTPS_PROXY".to_owned()]), "warn");
}

#[test]
fn tls_is_judged_by_its_end() {
    let look = |tls: &Tls| road::tls(&to("s3.example.com"), tls, false);
    let agreed = |days_left| Tls::Agreed { version: "TLS 1.3".to_owned(), certificates: 2, days_left };
    is(&look(&agreed(Some(90))), "ok");
    is(&look(&agreed(Some(5))), "warn");
    is(&look(&agreed(None)), "unknown");
    is(&look(&Tls::None), "warn");
    is(&road::tls(&to("127.0.0.1"), &Tls::None, true), "ok");
    for failed in [Tls::Expired, Tls::OtherName, Tls::UnknownAuthority, Tls::Failed] {
        is(&look(&failed("the library's words".to_owned())), "FAIL");
    }
}

#[test]
fn time_and_rate() {
    let answer =
        |took, kind: Option<ErrorKind>| road::answer(took, kind.map(error).as_ref(), "example-backup", &[]);
    let quick = Some(Duration::from_millis(30));
    is(&answer(quick, None), "ok");
    // A refusal is an answer.
    is(&answer(quick, Some(ErrorKind::Denied)), "ok");
    is(&answer(Some(Duration::from_secs(2)), None), "warn");
    for kind in [ErrorKind::NotFound, ErrorKind::NoSuchBucket] {
        let line = answer(quick, Some(kind));
        is(&line, "FAIL");
        assert!(line.seen.contains("no bucket example-backup"), "{line:?}");
    }
    is(&answer(None, Some(ErrorKind::Unreachable)), "FAIL");
    is(&answer(None, Some(ErrorKind::Credentials)), "unknown");
    is(&answer(None, None), "FAIL");
    let rate = road::Rate { bytes: 1_000_000, took: Duration::from_millis(500) };
    assert_eq!(rate.per_second(), 2_000_000);
    is(&road::speed("upload", &Ok(rate), "s3:PutObject"), "ok");
    is(&road::speed("download", &Err(error(ErrorKind::NotFound)), "s3:GetObject"), "unknown");
    let denied = road::speed("download", &Err(error(ErrorKind::Denied)), "s3:GetObject");
    is(&denied, "unknown");
    assert_eq!(denied.outcome, Outcome::Unknown { missing_permission: Some("s3:GetObject".to_owned()) });
}

#[test]
fn caller_and_credentials() {
    let caller = |asked: Option<Result<String, BucketError>>| identity::caller(asked.as_ref(), "the store");
    is(&caller(Some(Ok("arn:aws:sts::111122223333:assumed-role/uploader/db1".to_owned()))), "ok");
    is(&caller(Some(Ok("arn:aws:iam::111122223333:root".to_owned()))), "FAIL");
    is(&caller(Some(Err(error(ErrorKind::Unreachable)))), "unknown");
    is(&caller(None), "unknown");
    let credentials = |minutes: Option<u64>| {
        let expires =
            minutes.map(|minutes| std::time::SystemTime::from(now()) + Duration::from_mins(minutes));
        let found = CredentialsInUse { source: "credential_process", access_key: "AKID".to_owned(), expires };
        identity::credentials(&Ok(found), now())
    };
    is(&credentials(None), "ok");
    is(&credentials(Some(50)), "ok");
    is(&credentials(Some(3)), "warn");
    is(&identity::credentials(&Err("no providers".to_owned()), now()), "FAIL");
}

fn uploader() -> Powers {
    let denied = || Tried::Denied;
    Powers {
        upload: Ok(()),
        read: denied(),
        list: denied(),
        overwrite: denied(),
        delete: denied(),
        delete_version: denied(),
    }
}

#[test]
fn an_uploader_that_can_add_and_nothing_else_is_ok() {
    for line in powers(&uploader(), Some(Versioning::Enabled)) {
        is(&line, "ok");
    }
    is(&identity::upload(&Ok(())), "ok");
    is(&identity::upload(&Err(error(ErrorKind::Denied))), "FAIL");
}

#[test]
fn a_role_that_can_delete_fails_where_nothing_keeps_the_object() {
    let can = Powers { delete: Tried::Allowed, overwrite: Tried::Allowed, ..uploader() };
    let words = |versioning| -> Vec<&'static str> {
        powers(&can, versioning).iter().map(|line| line.outcome.word()).collect()
    };
    assert_eq!(words(Some(Versioning::Enabled)), ["ok", "ok", "warn", "warn", "ok"]);
    assert_eq!(words(Some(Versioning::Never)), ["ok", "ok", "FAIL", "FAIL", "ok"]);
    // What is not known counts as the worse.
    assert_eq!(words(None), ["ok", "ok", "FAIL", "FAIL", "ok"]);
    let for_good = Powers { delete_version: Tried::Allowed, ..uploader() };
    assert!(powers(&for_good, Some(Versioning::Enabled)).iter().any(Line::is_failure));
}

#[test]
fn a_refusal_for_another_reason_is_no_proof_that_something_is_forbidden() {
    let failed = Powers { read: Tried::Failed(error(ErrorKind::Server)), ..uploader() };
    is(&powers(&failed, None)[0], "unknown");
    let untried = Powers { read: Tried::NotTried("nothing to read"), ..uploader() };
    is(&powers(&untried, None)[0], "unknown");
    let none = Powers { delete_version: Tried::NotTried(Tried::NO_VERSIONS), ..uploader() };
    assert_eq!(powers(&none, Some(Versioning::Never)).len(), 4);
}

#[test]
fn what_stays_of_the_probe_is_told_and_how_it_goes() {
    let probe =
        |state, days| identity::probe(state, "s3://example-backup/b/_check/db1", 64, "b/_check/", days);
    is(&probe(Probe::None, None), "ok");
    is(&probe(Probe::Removed, None), "ok");
    let stays = probe(Probe::Stays { growth: 0 }, None);
    is(&stays, "ok");
    assert!(stays.seen.contains("the next check uses the same"), "{stays:?}");
    let grows = probe(Probe::Stays { growth: 3 }, None);
    is(&grows, "warn");
    assert!(
        grows.seen.contains("leaves 3 more versions (64 bytes at most)")
            && grows.advice.contains("`b/_check/`"),
        "{grows:?}"
    );
    let swept = probe(Probe::Stays { growth: 3 }, Some(1));
    is(&swept, "ok");
    assert!(swept.seen.ends_with("after 1 days"), "{swept:?}");
}

#[test]
fn certificate_tells_its_end() {
    for (year, expected) in [(2031, "2031-05-06T00:00:00Z"), (2051, "2051-05-06T00:00:00Z")] {
        let mut params = rcgen::CertificateParams::new(vec!["s3.example.com".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 5, 6);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        assert_eq!(certificate::not_after(made.der()), Some(expected.parse().unwrap()));
        let short = made.der().get(..40).unwrap();
        assert_eq!(certificate::not_after(short), None);
    }
    assert_eq!(certificate::not_after(b"no certificate"), None);
}

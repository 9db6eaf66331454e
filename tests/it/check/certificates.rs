//! Certificates on the way to a real server: each fault is told by its name, and no byte goes past it.

use super::{advice, closed_to_others, good, is, lines, seen, with};
use crate::support::tls::{Certificate, GOOD, Tls};
use crate::support::world::World;

/// The world behind that certificate. Its authority is trusted by `ca_bundle`, or not.
fn behind(certificate: Certificate, is_trusted: bool) -> (World, Tls) {
    let world = good();
    world.faults().write_only();
    let authority = world.path("authority.pem");
    let tls = Tls::to(world.server.addr(), certificate, &authority);
    let (plain, secret) = (world.server.endpoint_url(), format!("https://localhost:{}", tls.port));
    let bundle =
        if is_trusted { format!("\nca_bundle = \"{}\"\n", authority.display()) } else { String::new() };
    world.configure(|text| text.replace(&format!("\"{plain}\"\n"), &format!("\"{secret}\"\n{bundle}")));
    closed_to_others(&world);
    (world, tls)
}

#[test]
fn a_good_certificate_is_ok_with_its_days() {
    let (world, _tls) = behind(GOOD, true);
    let lines = lines(&world, 0);
    is(&lines, "TLS", "ok");
    assert_eq!(seen(&lines, "TLS"), "TLS 1.3, 1 certificate, which ends in 90 days");
    world.backup().exits(0);
}

#[test]
fn a_certificate_that_ends_soon_is_told_before_it_does() {
    let (world, _tls) = behind(Certificate { ends: 10, ..GOOD }, true);
    let lines = lines(&world, 0);
    is(&lines, "TLS", "warn");
    assert!(seen(&lines, "TLS").ends_with("ends in 10 days"), "{lines:#?}");
    assert!(advice(&lines, "TLS").contains("renew"), "{lines:#?}");
    world.backup().exits(0);
}

#[test]
fn a_chain_that_cannot_be_read_is_not_called_good() {
    let (world, _tls) = behind(Certificate { is_followed_by_junk: true, ..GOOD }, true);
    is(&lines(&world, 0), "TLS", "unknown");
}

/// The check names what is wrong and what to do, and nothing of a backup is sent.
#[track_caller]
fn stops_here(certificate: Certificate, is_trusted: bool, what: &str, to_do: &str) {
    let (world, _tls) = behind(certificate, is_trusted);
    let lines = lines(&world, 1);
    assert_eq!(with(&lines, "fail"), ["TLS", "answer"], "{lines:#?}");
    assert!(seen(&lines, "TLS").contains(what), "{lines:#?}");
    assert!(advice(&lines, "TLS").contains(to_do), "{lines:#?}");
    assert!(advice(&lines, "answer").contains("`TLS`"), "{lines:#?}");
    assert_eq!(with(&lines, "unknown"), ["the rest", "the rest"]);
    world.backup().exits(5).says("certificate");
    assert!(world.server.requests().is_empty());
}

#[test]
fn an_expired_certificate_fails_and_asks_for_a_new_one() {
    let expired = Certificate { ends: -3, ..GOOD };
    stops_here(expired, true, "the certificate ended on 20", "renew the endpoint's certificate");
}

#[test]
fn a_certificate_that_has_not_begun_points_at_the_clock() {
    let early = Certificate { begins: 3, ..GOOD };
    stops_here(early, true, "the certificate is good from 20", "this machine's clock is wrong");
}

#[test]
fn a_certificate_for_another_name_fails_and_says_both_names() {
    let other = Certificate { name: "db.example.com", ..GOOD };
    stops_here(
        other,
        true,
        "the certificate is for db.example.com, not for localhost",
        "set endpoint_url to a name in the certificate",
    );
}

#[test]
fn a_certificate_of_an_unknown_authority_fails_and_names_ca_bundle() {
    stops_here(GOOD, false, "signed by nobody whom this machine trusts", "[s3] ca_bundle");
}

#[test]
fn an_endpoint_that_speaks_no_tls_fails() {
    let (world, tls) = behind(GOOD, true);
    let (secret, plain) = (format!(":{}", tls.port), format!(":{}", world.server.addr().port()));
    let text = std::fs::read_to_string(world.path("config.toml")).unwrap();
    std::fs::write(world.path("config.toml"), text.replace(&secret, &plain)).unwrap();
    let lines = lines(&world, 1);
    assert_eq!(with(&lines, "fail"), ["TLS", "answer"], "{lines:#?}");
    assert!(advice(&lines, "TLS").contains("http://"), "{lines:#?}");
}

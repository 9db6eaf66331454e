//! S3's rules for the names in `[s3]`. Pure; each function says what is wrong.

use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::secrets::short;
use super::values;

/// Storage classes that `PutObject` takes (S3 API reference, `x-amz-storage-class`).
pub(super) const STORAGE_CLASSES: [&str; 11] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
    "OUTPOSTS",
    "SNOW",
    "EXPRESS_ONEZONE",
];

/// What [`bucket`] allows.
pub(super) const BUCKET_ALLOWED: &str = "the bucket's name or access point alias: 3 to 63 small letters, digits, \
    dots and hyphens, first and last a letter or digit";

/// Rules of general purpose buckets (S3 user guide, "Bucket naming rules"). Endings reserved for
/// aliases are let through: an access point's alias stands in place of a bucket's name.
pub(super) fn bucket(text: &str) -> Result<String, String> {
    if let Some(rest) = text.strip_prefix("s3://") {
        let name = rest.split('/').next().unwrap_or_default();
        return Err(format!(
            "write the name alone, `{}`, without `s3://` (the rest is `prefix`)",
            short(name)
        ));
    }
    let bad = |why: &str| Err(format!("`{}` {why}", short(text)));
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !(3..=63).contains(&text.len()) {
        return bad("is not 3 to 63 characters long");
    }
    if !text.bytes().all(|byte| plain(byte) || byte == b'-' || byte == b'.') {
        return bad("holds a character that no bucket's name may have");
    }
    let ends = [text.bytes().next(), text.bytes().last()];
    if !ends.into_iter().flatten().all(plain) {
        return bad("begins or ends with a dot or hyphen");
    }
    if text.contains("..") {
        return bad("holds two dots in a row");
    }
    if text.parse::<std::net::Ipv4Addr>().is_ok() {
        return bad("has the form of an IP address");
    }
    if ["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|reserved| text.starts_with(reserved)) {
        return bad("begins with a word that S3 reserves");
    }
    Ok(text.to_owned())
}

/// What [`prefix`] allows.
pub(super) const PREFIX_ALLOWED: &str = "folders such as \"backup\" or \"backup/{hostname}\", without a slash at \
    either end, `//`, `.` or `..`; at most 512 bytes";

/// Keys may have 1,024 bytes; half is left for the set's own path.
const PREFIX_MAX: usize = 512;

/// Checks the prefix and fills in `{hostname}`.
pub(super) fn prefix(text: &str, hostname: &str) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        let (before, placeholder) = rest.split_at(open);
        let name = placeholder.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let Some((name, after)) = name else {
            return Err(format!("`{}` holds a brace without its partner", short(text)));
        };
        if name != "hostname" {
            return Err(format!("`{{{}}}` is no placeholder; the only one is `{{hostname}}`", short(name)));
        }
        if hostname.is_empty()
            || !hostname.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        {
            return Err(format!(
                "`{{hostname}}` cannot be filled in: this host's name is `{}`; give the host a name or write one here",
                short(hostname)
            ));
        }
        filled.push_str(before);
        filled.push_str(hostname);
        rest = after;
    }
    filled.push_str(rest);
    if filled.len() > PREFIX_MAX {
        return Err(format!("it is {} bytes long", filled.len()));
    }
    let bad = |why: &str| Err(format!("`{}` {why}", short(&filled)));
    if filled.starts_with('/') || filled.ends_with('/') {
        return bad("begins or ends with a slash");
    }
    if filled.starts_with("s3:") {
        return bad("is a URI; write the folders alone");
    }
    for part in filled.split('/').filter(|_| !filled.is_empty()) {
        match part {
            "" => return bad("holds two slashes in a row"),
            "." | ".." => return bad("holds a dot name"),
            _ if part.chars().any(char::is_control) => return bad("holds a control character"),
            _ => {}
        }
    }
    Ok(filled)
}

pub(super) fn region(text: &str) -> Result<String, String> {
    let good = (2..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if good { Ok(text.to_owned()) } else { Err(format!("`{}` is no region", short(text))) }
}

/// An endpoint as the SDK takes it, without a slash at its end.
pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let bad = |why: &str| Err(format!("`{}` {why}", short(text)));
    let Ok(url) = url::Url::parse(text) else {
        return bad("is no URL");
    };
    if !["http", "https"].contains(&url.scheme()) {
        return bad("is no http or https URL");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return bad("names no host");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return bad("has a `?` or `#` part");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Whether what is sent to the endpoint can be read on the way: plain http to another machine.
pub(super) fn is_plain_http(endpoint: &str) -> bool {
    let Ok(url) = url::Url::parse(endpoint) else { return false };
    url.scheme() == "http"
        && match url.host() {
            Some(url::Host::Domain(name)) => name != "localhost" && !name.ends_with(".localhost"),
            Some(url::Host::Ipv4(address)) => !address.is_loopback(),
            Some(url::Host::Ipv6(address)) => !address.is_loopback(),
            None => false,
        }
}

pub(super) fn storage_class(text: &str) -> Result<String, String> {
    let choices = STORAGE_CLASSES.map(|class| (class, class));
    values::choice(text, &choices).map(str::to_owned)
}

pub(super) fn account(text: &str) -> Result<String, String> {
    let good = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if good { Ok(text.to_owned()) } else { Err(format!("`{}` is no account number", short(text))) }
}

/// A word of the AWS configuration: not empty, no control characters.
pub(super) fn word(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control);
    if good { Ok(text.to_owned()) } else { Err(format!("`{}` cannot be one", short(text))) }
}

/// The bundle has to be there: a run at night is no time to learn that it is not.
pub(super) fn ca_bundle(text: &str) -> Result<PathBuf, String> {
    let path = values::absolute_path(text)?;
    let pem = std::fs::read(&path).map_err(|error| format!("cannot read `{}`: {error}", short(text)))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let added = match certificate {
            Ok(certificate) => roots.add(certificate).map_err(|error| error.to_string()),
            Err(_) => Err("it is damaged or cut short".to_owned()),
        };
        added.map_err(|error| {
            format!("certificate {} in `{}` cannot be used: {error}", roots.len() + 1, short(text))
        })?;
    }
    if roots.is_empty() {
        Err(format!("`{}` holds no certificate in PEM form", short(text)))
    } else {
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules_of_s3() {
        for good in ["ict-backup", "abc", "a.b-c.1", "my-ap-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"] {
            assert!(bucket(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "ab",
            &long,
            "Ict",
            "ict_backup",
            "-abc",
            "abc-",
            ".abc",
            "a..b",
            "10.0.0.1",
            "xn--abc",
            "a/b",
            "é-é-é",
            "s3://ict-backup/backup",
            "",
        ] {
            assert!(bucket(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefix_gets_the_host_and_keeps_its_form() {
        assert_eq!(prefix("backup/{hostname}", "db1").unwrap(), "backup/db1");
        assert_eq!(prefix("{hostname}-{hostname}", "db1").unwrap(), "db1-db1");
        assert_eq!(prefix("", "db1").unwrap(), "");
        for bad in [
            "/a",
            "a/",
            "a//b",
            "/",
            "a/./b",
            "..",
            "a\tb",
            "{host}",
            "{hostname",
            "hostname}",
            "{}",
            "s3://b/a",
        ] {
            assert!(prefix(bad, "db1").is_err(), "{bad:?}");
        }
        assert!(prefix("{hostname}", "").is_err());
        assert!(prefix("{hostname}", "..").is_err());
        assert!(prefix("plain", "").is_ok());
        assert!(prefix(&"a".repeat(513), "db1").is_err());
    }

    #[test]
    fn endpoint_is_an_http_url() {
        for good in [
            "https://bucket.vpce-0a1b.s3.eu-west-1.vpce.amazonaws.com",
            "http://127.0.0.1:4566",
            "http://[::1]:9/",
        ] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in [
            "s3.example.com",
            "ftp://s3.example.com",
            "https://",
            "https://a/?x=1",
            "https://a/#x",
            "localhost:4566",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn plain_http_is_fine_on_this_machine_only() {
        for (url, plain) in [
            ("http://127.0.0.1:4566", false),
            ("http://[::1]:4566", false),
            ("http://localhost:4566", false),
            ("https://s3.example.com", false),
            ("http://s3.example.com", true),
            ("http://10.0.0.5", true),
            ("http://localhost.example.com", true),
        ] {
            assert_eq!(is_plain_http(url), plain, "{url}");
        }
    }
}

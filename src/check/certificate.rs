//! The one thing that is read from a certificate here: when it ends. Everything else about it is the
//! TLS library's to judge.

use chrono::{DateTime, NaiveDate, Utc};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `notAfter` of a certificate in DER (RFC 5280, section 4.1): in the body, after version, serial number,
/// signature and issuer, comes validity.
#[must_use]
pub fn not_after(der: &[u8]) -> Option<DateTime<Utc>> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut body, _) = element(certificate, SEQUENCE)?;
    if body.first() == Some(&VERSION) {
        body = skip(body)?;
    }
    for _ in 0..3 {
        body = skip(body)?;
    }
    let (validity, _) = element(body, SEQUENCE)?;
    let end = skip(validity)?;
    let (tag, text, _) = split(end)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// The content of the first element, which must have this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = split(der)?;
    (found == tag).then_some((content, rest))
}

fn skip(der: &[u8]) -> Option<&[u8]> {
    split(der).map(|(_, _, rest)| rest)
}

/// Tag, content and rest (X.690, sections 8.1.2 and 8.1.3; lengths above 4 bytes do not occur).
fn split(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, first, rest @ ..] = der else { return None };
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            let (bytes, rest) = (rest.get(..count)?, rest.get(count..)?);
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    Some((*tag, rest.get(..length)?, rest.get(length..)?))
}

/// `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` from then on (RFC 5280, section 4.1.2.5).
fn time(tag: u8, text: &str) -> Option<DateTime<Utc>> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let (year, rest) = match tag {
        UTC_TIME if digits.len() == 12 => {
            let year: i32 = digits.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, digits.get(2..)?)
        }
        GENERALIZED_TIME if digits.len() == 14 => (digits.get(..4)?.parse().ok()?, digits.get(4..)?),
        _ => return None,
    };
    let pair = |at: usize| rest.get(at..at + 2)?.parse::<u32>().ok();
    let date = NaiveDate::from_ymd_opt(year, pair(0)?, pair(2)?)?;
    Some(date.and_hms_opt(pair(4)?, pair(6)?, pair(8)?)?.and_utc())
}

//! Between s3s's messages and the store's words.

use s3s::dto::{ETag, StorageClass, Timestamp};
use s3s::{S3Request, S3Result};

use crate::embedded::faults::{Fault, Hits};
use crate::embedded::store::{Headers, Stamp};
use crate::embedded::sums::{Kind, Sums, invalid};

/// Collects the five `checksum_*` fields of a message.
macro_rules! sums_in {
    ($message:expr) => {
        $crate::embedded::api::convert::collect([
            $message.checksum_crc32.as_ref(),
            $message.checksum_crc32c.as_ref(),
            $message.checksum_crc64nvme.as_ref(),
            $message.checksum_sha1.as_ref(),
            $message.checksum_sha256.as_ref(),
        ])
    };
}

/// Fills the five `checksum_*` fields of a message.
macro_rules! sums_out {
    ($message:expr, $sums:expr) => {{
        let sums: &$crate::embedded::sums::Sums = $sums;
        let told = |kind| sums.get(&kind).cloned();
        $message.checksum_crc32 = told($crate::embedded::sums::Kind::Crc32);
        $message.checksum_crc32c = told($crate::embedded::sums::Kind::Crc32c);
        $message.checksum_crc64nvme = told($crate::embedded::sums::Kind::Crc64Nvme);
        $message.checksum_sha1 = told($crate::embedded::sums::Kind::Sha1);
        $message.checksum_sha256 = told($crate::embedded::sums::Kind::Sha256);
    }};
}

/// Gathers what the client said of an object beside its bytes.
macro_rules! headers_in {
    ($input:expr) => {
        $crate::embedded::store::Headers {
            content_type: $input.content_type.clone(),
            content_encoding: $input.content_encoding.clone(),
            content_disposition: $input.content_disposition.clone(),
            content_language: $input.content_language.clone(),
            cache_control: $input.cache_control.clone(),
            metadata: $input.metadata.clone().unwrap_or_default().into_iter().collect(),
            storage_class: $input.storage_class.as_ref().map(|class| class.as_str().to_owned()),
            // As S3 does since 2023: everything is encrypted, by its own keys unless told otherwise.
            sse: Some(
                $input.server_side_encryption.as_ref().map_or("AES256", |kind| kind.as_str()).to_owned(),
            ),
            kms_key: $input.ssekms_key_id.clone(),
        }
    };
}

pub(super) use {headers_in, sums_in, sums_out};

/// In the order of [`Kind::ALL`].
pub(super) fn collect(values: [Option<&String>; 5]) -> Sums {
    Kind::ALL.into_iter().zip(values).filter_map(|(kind, value)| Some((kind, value?.clone()))).collect()
}

/// What a body is declared to hash to, before and after it.
pub(super) struct Declared {
    pub(super) sums: Sums,
    pub(super) md5: Option<String>,
    /// Algorithms whose value follows the body.
    pub(super) trailing: Vec<Kind>,
}

impl Declared {
    /// # Errors
    /// What S3 refuses before it reads the body.
    pub(super) fn of<T>(
        request: &S3Request<T>,
        sums: Sums,
        md5: Option<String>,
        hits: &Hits,
    ) -> S3Result<Self> {
        let trailing: Vec<Kind> = request
            .headers
            .get_all("x-amz-trailer")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| Kind::ALL.into_iter().find(|kind| kind.header() == name.trim()))
            .collect();
        if sums.len() + trailing.len() > 1 {
            return Err(invalid(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
        let announced = request.headers.get("x-amz-sdk-checksum-algorithm");
        if announced.is_some() && sums.is_empty() && trailing.is_empty() {
            return Err(invalid(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or \
                 x-amz-trailer headers were found.",
            ));
        }
        let mut declared = Self { sums, md5, trailing };
        if hits.has(&Fault::IgnoreCrc64) {
            declared.sums.remove(&Kind::Crc64Nvme);
            declared.trailing.retain(|kind| *kind != Kind::Crc64Nvme);
        }
        Ok(declared)
    }

    pub(super) fn kinds(&self) -> Vec<Kind> {
        self.sums.keys().chain(&self.trailing).copied().collect()
    }

    /// Takes the values that came after the body.
    ///
    /// # Errors
    /// Where one was promised and did not come.
    pub(super) fn take_trailers<T>(&mut self, request: &S3Request<T>) -> S3Result<()> {
        for kind in &self.trailing {
            let value = request
                .trailing_headers
                .as_ref()
                .and_then(|trailers| trailers.read(|headers| headers.get(kind.header()).cloned()).flatten())
                .and_then(|value| value.to_str().ok().map(str::to_owned))
                .ok_or_else(|| invalid(format!("the trailer {} did not come", kind.header())))?;
            self.sums.insert(*kind, value);
        }
        Ok(())
    }
}

/// The faults that this request meets.
pub(super) fn hits<T>(request: &S3Request<T>) -> Hits {
    request.extensions.get::<Hits>().cloned().unwrap_or_default()
}

/// The entity tag as told, under the faults that change it.
pub(super) fn etag(value: &str, hits: &Hits) -> ETag {
    let told = if hits.has(&Fault::EmptyEtag) {
        ""
    } else if hits.has(&Fault::WrongEtag) {
        "00000000000000000000000000000000"
    } else {
        value
    };
    ETag::Strong(told.to_owned())
}

pub(super) fn flip(hits: &Hits) -> Option<u64> {
    hits.find(|fault| match fault {
        Fault::FlipStoredBit { at } => Some(*at),
        _ => None,
    })
}

/// The page size asked for, within S3's 1,000 and under the faults that cut pages short.
pub(super) fn page_size(asked: Option<i32>, hits: &Hits) -> S3Result<usize> {
    let asked = usize::try_from(asked.unwrap_or(1000))
        .map_err(|_| s3s::s3_error!(InvalidArgument, "a page size must not be negative"))?;
    let short = hits.find(|fault| match fault {
        Fault::ShortPages(size) => Some(*size),
        _ => None,
    });
    Ok(asked.min(1000).min(short.unwrap_or(usize::MAX)))
}

pub(super) fn timestamp(stamp: Stamp) -> Timestamp {
    Timestamp::from(stamp.time())
}

/// As S3 tells it: nothing for the standard class.
pub(super) fn storage_class(headers: &Headers) -> Option<StorageClass> {
    headers.storage_class.clone().filter(|class| class != "STANDARD").map(StorageClass::from)
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// For `encoding-type=url`.
pub(super) fn url_encoded(text: &str, wanted: bool) -> String {
    if wanted { crate::embedded::op::percent_encoded(text) } else { text.to_owned() }
}

//! What each role may do at AWS, written for the configuration at hand. Pure.
//!
//! `deploy/aws/policies/*.json` is the one source: what is printed here and what the stack of
//! `deploy/aws/identities.yaml` creates are those statements.
//!
//! What must stay true: no placeholder is left in what is printed, no text of the configuration can
//! widen it (`*` and `?` in a prefix stand for themselves), what cannot be known is an error or a
//! note and never a guess, and whoever may add proofs can add no manifest: a `*` of IAM spans `/`, so the
//! resources end as the kinds of proof do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{S3, Sse};

/// One job, and the identity that does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sends backups.
    Uploader,
    /// Brings them back.
    Restorer,
    /// Looks at them and proves them.
    Auditor,
    /// Removes what is no longer wanted.
    Pruner,
}

impl Role {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Uploader, Self::Restorer, Self::Auditor, Self::Pruner];

    /// The word on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uploader => "uploader",
            Self::Restorer => "restorer",
            Self::Auditor => "auditor",
            Self::Pruner => "pruner",
        }
    }

    /// What it does, for the help.
    #[must_use]
    pub const fn does(self) -> &'static str {
        match self {
            Self::Uploader => "adds backups; neither reads, lists, overwrites nor deletes",
            Self::Restorer => "lists and reads: list, show, restore",
            Self::Auditor => "lists, reads and adds proofs: verify, status, drill",
            Self::Pruner => "lists, reads the catalog and deletes; reads no backup",
        }
    }

    const fn template(self) -> &'static str {
        match self {
            Self::Uploader => include_str!("../deploy/aws/policies/uploader.json"),
            Self::Restorer => include_str!("../deploy/aws/policies/restorer.json"),
            Self::Auditor => include_str!("../deploy/aws/policies/auditor.json"),
            Self::Pruner => include_str!("../deploy/aws/policies/pruner.json"),
        }
    }
}

/// Whose backups are meant, where the prefix holds `{hostname}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// Those of the host that the configuration was read for.
    One,
    /// Those of every host.
    Any,
}

/// A policy, and what its reader has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The document, JSON, with a line feed at its end.
    pub text: String,
    /// What it leaves open, a sentence each.
    pub notes: Vec<String>,
}

/// Why no policy can be printed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// An alias hides the bucket's name and the access point's ARN.
    #[error(
        "write a policy for `{0}`: it is the alias of an access point, and policies name the bucket and the access \
         point themselves; run it with a configuration that names the bucket, and add the access point by hand"
    )]
    AccessPoint(String),
    /// A policy needs the key's ARN; an alias or an id alone does not say which key it is.
    #[error(
        "write a policy for the key `{0}`: policies name keys by ARN, arn:aws:kms:REGION:ACCOUNT:key/ID; give it with \
         --kms-key, or write it as kms_key_id in section [s3]"
    )]
    KeyArn(String),
    /// The shipped file is no policy: a fault of this program.
    #[error("read the built-in policy of the {role}: {source}")]
    Template {
        /// Whose.
        role: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// In the order in which people read policies.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    version: String,
    statement: Vec<Statement>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    sid: String,
    effect: String,
    action: Value,
    resource: Resource,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<String, BTreeMap<String, String>>,
}

/// Written as the policy's file has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Resource {
    One(String),
    Several(Vec<String>),
}

impl Resource {
    fn each(&mut self) -> &mut [String] {
        match self {
            Self::One(one) => std::slice::from_mut(one),
            Self::Several(several) => several,
        }
    }

    fn is_key(&self) -> bool {
        matches!(self, Self::One(one) if one == KEY)
    }
}

const KEY: &str = "${KmsKeyArn}";

/// The policy of `role` for the bucket of `s3`. `region` decides the partition; `key` stands in place
/// of the configuration's.
///
/// # Errors
/// [`PolicyError`] where the configuration does not tell what a policy must name.
pub fn render(
    role: Role,
    s3: &S3,
    region: Option<&str>,
    hosts: Hosts,
    key: Option<&str>,
) -> Result<Rendered, PolicyError> {
    if ["-s3alias", "--ol-s3"].iter().any(|ending| s3.bucket.ends_with(ending)) {
        return Err(PolicyError::AccessPoint(s3.bucket.clone()));
    }
    let configured = match &s3.sse {
        Some(Sse::Kms(key)) => key.as_deref(),
        Some(Sse::Aes256) | None => None,
    };
    let key = key.or(configured).map(key_arn).transpose()?;
    let partition = match (region, key) {
        (Some(region), _) => partition_of(region),
        // The field after `arn:`.
        (None, Some(key)) => key.split(':').nth(1).unwrap_or("aws"),
        (None, None) => "aws",
    };
    let prefix = match hosts {
        Hosts::One => literal(&s3.prefix),
        Hosts::Any => s3.prefix_as_written.split("{hostname}").map(literal).collect::<Vec<_>>().join("*"),
    };
    let prefix = if prefix.is_empty() { prefix } else { prefix + "/" };
    let fill = |text: &str| {
        // The prefix last: it alone may hold a `${`, of `literal`.
        text.replace("${Partition}", partition)
            .replace("${Bucket}", &s3.bucket)
            .replace(KEY, key.unwrap_or_default())
            .replace("${Prefix}", &prefix)
    };
    let mut document: Document = serde_json::from_str(role.template())
        .map_err(|source| PolicyError::Template { role: role.as_str(), source })?;
    document.statement.retain(|statement| key.is_some() || !statement.resource.is_key());
    for statement in &mut document.statement {
        let conditions = statement.condition.values_mut().flat_map(BTreeMap::values_mut);
        for value in statement.resource.each().iter_mut().chain(conditions) {
            *value = fill(value);
        }
    }
    let text = serde_json::to_string_pretty(&document)
        .map_err(|source| PolicyError::Template { role: role.as_str(), source })?;
    Ok(Rendered { text: text + "\n", notes: notes(s3, hosts, key) })
}

fn notes(s3: &S3, hosts: Hosts, key: Option<&str>) -> Vec<String> {
    let mut notes = Vec::new();
    if key.is_none() && s3.sse.is_none() {
        notes.push(
            "no rights to a KMS key are in it; if the bucket encrypts with one of your own, give its ARN with --kms-key"
                .to_owned(),
        );
    }
    if hosts == Hosts::Any && !s3.prefix_as_written.contains("{hostname}") {
        notes.push("--any-host changes nothing: the prefix holds no {hostname}".to_owned());
    }
    notes
}

/// `arn:PARTITION:kms:REGION:ACCOUNT:key/ID`, without a character that would widen it.
fn key_arn(text: &str) -> Result<&str, PolicyError> {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        ["arn", partition, "kms", region, account, resource]
            if [partition, region, account].into_iter().all(|part| plain(part))
                && resource.strip_prefix("key/").is_some_and(plain) =>
        {
            Ok(text)
        }
        _ => Err(PolicyError::KeyArn(text.escape_debug().to_string())),
    }
}

/// The partition of a region (AWS SDKs' `partitions.json`; European Sovereign Cloud: `aws-eusc`).
fn partition_of(region: &str) -> &'static str {
    const BY_START: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
        ("eusc-", "aws-eusc"),
    ];
    BY_START
        .into_iter()
        .find(|(start, _)| region.starts_with(start))
        .map_or("aws", |(_, partition)| partition)
}

/// Text that means itself in a policy (IAM user guide, "Policy variables": `${*}`, `${?}`, `${$}`).
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '*' | '?' | '$' => out.extend(['$', '{', character, '}']),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::bucket::Layout;
    use crate::catalog::Shown;
    use crate::config::Config;
    use crate::model::SetId;

    const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1a2b3c4d-0000-4000-8000-000000000001";

    fn s3(lines: &str) -> S3 {
        let text = format!("[mysql]\nsource = \"/srv\"\n[s3]\nbucket = \"example-backup\"\n{lines}\n");
        Config::parse(&text, Path::new("/etc/dbbackup/config.toml"), "db1").unwrap().s3
    }

    fn json(role: Role, s3: &S3, hosts: Hosts, key: Option<&str>) -> Value {
        let rendered = render(role, s3, s3.region.as_deref(), hosts, key).unwrap();
        serde_json::from_str(&rendered.text).unwrap()
    }

    fn statement<'a>(policy: &'a Value, sid: &str) -> Option<&'a Value> {
        policy["Statement"].as_array().unwrap().iter().find(|statement| statement["Sid"] == sid)
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for role in Role::ALL {
            for (lines, key) in [("", None), ("prefix = \"backup/{hostname}\"", Some(KEY))] {
                for hosts in [Hosts::One, Hosts::Any] {
                    let text = render(role, &s3(lines), None, hosts, key).unwrap().text;
                    assert!(!text.contains("${") && !text.contains("{hostname}"), "{text}");
                    assert!(text.contains("example-backup"), "{text}");
                }
            }
        }
    }

    #[test]
    fn the_prefix_is_this_hosts_or_every_hosts() {
        let s3 = s3("prefix = \"backup/{hostname}\"");
        let resource = |hosts| json(Role::Uploader, &s3, hosts, None)["Statement"][0]["Resource"].clone();
        assert_eq!(resource(Hosts::One), "arn:aws:s3:::example-backup/backup/db1/*");
        assert_eq!(resource(Hosts::Any), "arn:aws:s3:::example-backup/backup/*/*");
    }

    #[test]
    fn without_a_prefix_the_whole_bucket_is_meant() {
        let policy = json(Role::Restorer, &s3(""), Hosts::One, None);
        assert_eq!(policy["Statement"][0]["Condition"]["StringLike"]["s3:prefix"], "*");
        assert_eq!(policy["Statement"][1]["Resource"], "arn:aws:s3:::example-backup/*");
    }

    #[test]
    fn a_prefix_means_itself() {
        let policy = json(Role::Restorer, &s3("prefix = \"a*/b?/$c/{hostname}\""), Hosts::Any, None);
        assert_eq!(policy["Statement"][1]["Resource"], "arn:aws:s3:::example-backup/a${*}/b${?}/${$}c/*/*");
    }

    /// Whether a resource with IAM's `*`, which spans `/`, is for that object.
    fn covers(resource: &str, key: &str) -> bool {
        let Some((head, tail)) = resource.split_once('*') else { return resource == key };
        let Some(rest) = key.strip_prefix(head) else { return false };
        (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| covers(tail, rest)))
    }

    #[test]
    fn the_auditor_may_add_each_kind_of_proof_and_no_manifest_of_any_name() {
        for (lines, hosts) in [
            ("prefix = \"backup/{hostname}\"", Hosts::Any),
            ("prefix = \"backup/db1\"", Hosts::One),
            ("", Hosts::One),
        ] {
            let s3 = s3(lines);
            let policy = json(Role::Auditor, &s3, hosts, None);
            let may = |key: &str| {
                let arn = format!("arn:aws:s3:::example-backup/{key}");
                let resources = statement(&policy, "AddProofs").unwrap()["Resource"].as_array().unwrap();
                let covered = resources.iter().any(|resource| covers(resource.as_str().unwrap(), &arn));
                let denied = statement(&policy, "NoRunRecords").unwrap()["Resource"].as_str().unwrap();
                covered && !covers(denied, &arn)
            };
            let layout = Layout::new(&s3.prefix);
            for name in ["shop_20250818.sql", "proof-x_20250818.sql", "proof-20250819T010203Z-reread.json"] {
                let id = SetId::parse_key(&format!("mysql/shop/daily/{name}")).unwrap();
                for shown in Shown::ALL {
                    let proof = layout.proof(&id, "20250819T010203Z", shown.as_str()).unwrap();
                    assert!(may(proof.as_str()), "{proof}");
                }
                let manifest = layout.manifest(&id).unwrap();
                assert!(!may(manifest.as_str()), "{manifest}");
                let object = format!("{}{}", layout.prefix(), id.key());
                assert!(!may(&object), "{object}");
            }
            let record =
                format!("{}host=db1/date=2025-08-19/_catalog/x/proof-1-reread.json", layout.runs_prefix());
            assert!(!may(&record), "{record}");
        }
    }

    #[test]
    fn rights_to_a_key_are_there_only_where_there_is_a_key() {
        let configured = format!("sse = \"aws:kms\"\nkms_key_id = \"{KEY}\"");
        for role in Role::ALL {
            for (lines, key) in [(configured.as_str(), None), ("", Some(KEY))] {
                let policy = json(role, &s3(lines), Hosts::One, key);
                assert_eq!(statement(&policy, "UseTheBucketKey").unwrap()["Resource"], KEY);
            }
            for lines in ["", "sse = \"AES256\"", "sse = \"aws:kms\""] {
                assert!(statement(&json(role, &s3(lines), Hosts::One, None), "UseTheBucketKey").is_none());
            }
        }
    }

    #[test]
    fn a_key_that_is_unknown_is_told_and_never_guessed() {
        let rendered = render(Role::Uploader, &s3(""), None, Hosts::One, None).unwrap();
        assert!(rendered.notes[0].contains("--kms-key"), "{:?}", rendered.notes);
        let wide = "arn:aws:kms:eu-central-1:111122223333:key/*";
        for key in
            ["alias/backup", "1a2b3c4d", "arn:aws:kms:eu-central-1:111122223333:alias/backup", wide, ""]
        {
            let error = render(Role::Uploader, &s3(""), None, Hosts::One, Some(key)).unwrap_err();
            assert!(error.to_string().contains("--kms-key"), "{error}");
        }
    }

    #[test]
    fn the_partition_is_the_regions() {
        for (region, partition) in [
            ("eu-central-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-isob-east-1", "aws-iso-b"),
        ] {
            let policy = json(Role::Pruner, &s3(&format!("region = {region:?}")), Hosts::One, None);
            let expected = format!("arn:{partition}:s3:::example-backup");
            assert_eq!(statement(&policy, "ListBelowThePrefix").unwrap()["Resource"], expected);
        }
    }

    #[test]
    fn an_access_points_alias_is_refused() {
        let s3 = S3 { bucket: "my-ap-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias".to_owned(), ..s3("") };
        let error = render(Role::Uploader, &s3, None, Hosts::One, None).unwrap_err();
        assert!(error.to_string().contains("access point"), "{error}");
    }
}

//! What the bucket's lifecycle rules remove, and whether `[s3] expires` says the same of it.

use std::collections::BTreeSet;

use super::Line;
use super::bucket::{AREA, covers};
use crate::bucket::LifecycleRule;
use crate::model::{Category, Expires};

/// The tag by which the rules of `deploy/aws/bucket.yaml` know a category.
const TAG: &str = "dbbackup-category";

/// When a rule removes objects, if it does.
fn when(rule: &LifecycleRule) -> Option<String> {
    let after = rule.expire_days.map(|days| format!("after {days} days"));
    after.or_else(|| rule.expire_date.as_ref().map(|day| format!("on {day}")))
}

/// The line of what the rules remove.
pub(super) fn rules(
    rules: &[LifecycleRule],
    prefix: &str,
    categories: &[Category],
    expires: &Expires,
    what: &str,
) -> Line {
    let expiring: Vec<&LifecycleRule> =
        rules.iter().filter(|rule| rule.enabled && when(rule).is_some()).collect();
    let slash = if prefix.is_empty() { "" } else { "/" };
    let of_catalog = format!("{prefix}{slash}_catalog");
    if let Some(rule) = expiring.iter().find(|rule| rule.prefix.starts_with(&of_catalog)) {
        let when = when(rule).unwrap_or_default();
        return Line::warn(
            AREA,
            what,
            format!("rule `{}` removes what is under `{}` {when}", rule.id, rule.prefix),
            "manifests go and their backups stay, of which nothing is known then: give the rule the backups' own prefix",
        );
    }
    let above = expiring.iter().find(|rule| !rule.narrowed && covers(&rule.prefix, prefix));
    if let Some(rule) = above {
        let when = when(rule).unwrap_or_default();
        let seen = format!("rule `{}` removes everything under `{}` {when}", rule.id, rule.prefix);
        let meant = |category: &Category| {
            rule.expire_days.is_some()
                && expires.days(*category).map(i64::from) == rule.expire_days.map(i64::from)
        };
        if categories.iter().all(meant) {
            return Line::ok(AREA, what, format!("{seen}, as [s3] expires has it"));
        }
        return Line::warn(
            AREA,
            what,
            seen,
            "manifests and monthly backups go with the rest: give each category a rule of its own",
        );
    }
    let rule_text = |rule: &&LifecycleRule| {
        let tags: Vec<String> = rule.tags.iter().map(|(key, value)| format!(" {key}={value}")).collect();
        format!("`{}`{} {}", rule.prefix, tags.concat(), when(rule).unwrap_or_default())
    };
    let named = |category: &Category| expiring.iter().any(|rule| names(rule, *category));
    let kept: Vec<&str> = categories.iter().filter(|one| !named(one)).map(|one| one.as_str()).collect();
    let seen = match (expiring.is_empty(), kept.is_empty()) {
        (true, _) => "no lifecycle rule removes backups".to_owned(),
        (false, kept_none) => {
            let rules = expiring.iter().map(rule_text).collect::<Vec<_>>().join(", ");
            if kept_none { rules } else { format!("{rules}; without a rule: {}", kept.join(", ")) }
        }
    };
    Line::ok(AREA, what, seen)
}

/// Whether a rule is for one category: by a folder of its prefix, or by the tag.
fn names(rule: &LifecycleRule, category: Category) -> bool {
    let word = category.as_str();
    let tagged = rule.tags.iter().any(|(key, value)| key == TAG && value == word);
    tagged || rule.prefix.split('/').any(|part| part == word)
}

/// Days after which the rules remove objects.
#[derive(Default)]
struct Ruled {
    /// Those that are surely for the category.
    surely: BTreeSet<u32>,
    /// Those of rules for objects of some size or with tags of somebody else.
    perhaps: BTreeSet<u32>,
}

fn ruled(rules: &[LifecycleRule], prefix: &str, category: Category) -> Ruled {
    let slash = if prefix.is_empty() { "" } else { "/" };
    let own = format!("{prefix}{slash}");
    let mut found = Ruled::default();
    for rule in rules.iter().filter(|rule| rule.enabled) {
        let Some(days) = rule.expire_days.and_then(|days| u32::try_from(days).ok()) else { continue };
        let below = match rule.prefix.strip_prefix(&own) {
            // `_catalog` and the like: no backups.
            Some(inside) => !inside.starts_with('_'),
            None => covers(&rule.prefix, prefix),
        };
        let others = Category::ALL.into_iter().any(|other| other != category && names(rule, other));
        let by_tag = rule.tags.iter().any(|(key, _)| key == TAG);
        match (below && (names(rule, category) || !others), rule.narrowed && !by_tag) {
            (false, _) => {}
            (true, false) => _ = found.surely.insert(days),
            (true, true) => _ = found.perhaps.insert(days),
        }
    }
    found
}

/// The line of whether `[s3] expires` repeats what the rules do; none where neither says anything.
pub(super) fn repeated(
    rules: &[LifecycleRule],
    prefix: &str,
    categories: &[Category],
    expires: &Expires,
) -> Option<Line> {
    let what = "[s3] expires";
    let (mut same, mut apart, mut write) = (Vec::new(), Vec::new(), Vec::new());
    for category in categories {
        let Ruled { surely, perhaps } = ruled(rules, prefix, *category);
        let said = expires.days(*category);
        let texts: Vec<String> = surely.iter().map(u32::to_string).collect();
        let texts = texts.join(" and ");
        match said {
            None if surely.is_empty() => continue,
            None => apart.push(format!(
                "a rule removes {category} backups after {texts} days, of which it says nothing"
            )),
            Some(days) if surely.iter().all(|ruled| *ruled == days) && !surely.is_empty() => {
                same.push(format!("{category} after {days} days"));
            }
            Some(days) if surely.is_empty() && perhaps.contains(&days) => {
                same.push(format!("{category} after {days} days"));
            }
            Some(days) if surely.is_empty() => {
                apart.push(format!(
                    "no rule removes {category} backups, which expire after {days} days by it"
                ));
            }
            Some(days) => {
                apart.push(format!(
                    "a rule removes {category} backups after {texts} days, and it says {days}"
                ));
            }
        }
        // Of several the last: none is called expired before its own rule takes it.
        let days = surely.last().copied().or_else(|| said.filter(|days| perhaps.contains(days)));
        write.extend(days.map(|days| format!("{category} = \"{days}d\"")));
    }
    if apart.is_empty() {
        return (!same.is_empty())
            .then(|| Line::ok(AREA, what, format!("as the rules have it: {}", same.join(", "))));
    }
    let advice = if write.is_empty() {
        "remove it, or add the rules: with it, what is missing of older backups is not told as lost"
            .to_owned()
    } else {
        format!(
            "write expires = {{ {} }}: without it `status` and `verify` call lost what the bucket removed by its age",
            write.join(", ")
        )
    };
    Some(Line::warn(AREA, what, apart.join("; "), advice))
}

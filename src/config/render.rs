//! The effective configuration as text that can be read back, and what is legal in it but unwise.

use std::fmt::Write as _;

use toml::Value;

use super::backup::IO_CLASSES;
use super::parse::{CHECKSUMS, FORMATS, ON_CUT_SHORT};
use super::values::{WEEKDAYS, show_days, show_duration, show_size};
use super::{Config, Sse, names, secrets};
use crate::expect::Ages;
use crate::model::{Category, Engine};
use crate::printable::printable;

impl Config {
    /// Every setting with its value, defaults included, as TOML that parses to the same
    /// configuration; settings without a value stand in comments. Nothing in it is secret.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = Out(String::new());
        out.comment(&format!("effective configuration of {}", self.path.display()));
        for (engine, source) in &self.sources {
            out.section(engine.as_str());
            out.set("source", &source.dir.display().to_string());
            out.raw("exclude", &list(source.exclude.texts()));
            match engine {
                Engine::Oracle => out.raw("include_level1", &source.include_level1),
                Engine::Mysql => {}
                Engine::Mssql => {
                    out.raw("include_differential", &source.include_differential);
                    out.raw("include_log", &source.include_log);
                }
            }
            out.raw("priority", &source.priority);
            out.set("min_size", &show_size(source.min_size));
            if source.check.command.is_empty() {
                out.comment("check_command: none");
            } else {
                out.raw("check_command", &list(&secrets::masked(&source.check.command)));
            }
            out.set("check_timeout", &show_duration(source.check.timeout));
            let recipe = &source.recipe;
            match engine {
                Engine::Oracle | Engine::Mysql => {
                    out.set("pack", if recipe.pack.is_some() { "tar" } else { "none" });
                }
                Engine::Mssql => {}
            }
            let compress = recipe.compression.map_or_else(|| "none".to_owned(), |form| form.to_string());
            out.set("compress", &compress);
            if recipe.encrypts() {
                let keys: Vec<String> = recipe.recipients.iter().map(ToString::to_string).collect();
                out.raw("encrypt", &list(&keys));
            } else {
                out.comment("encrypt: nobody");
            }
        }
        self.render_s3(&mut out);
        out.section("network");
        out.raw("require_private", &self.network.require_private);
        out.raw("allowed_cidrs", &list(&self.network.allowed.texts()));
        out.section("log");
        out.set("dir", &self.log.dir.display().to_string());
        out.raw("keep_days", &self.log.keep_days);
        out.set("format", name(&FORMATS, &self.log.format));
        out.section("state");
        out.set("dir", &self.state.dir.display().to_string());
        self.render_backup(&mut out);
        self.render_proof(&mut out);
        out.0
    }

    fn render_s3(&self, out: &mut Out) {
        let s3 = &self.s3;
        out.section("s3");
        out.set("bucket", &s3.bucket);
        out.set("prefix", &s3.prefix);
        out.set_or("region", s3.region.as_deref(), "the AWS chain's");
        let endpoint = s3.endpoint_url.as_deref().map(mask);
        out.set_or("endpoint_url", endpoint.as_deref(), "AWS's own for the region");
        out.raw("path_style", &s3.path_style);
        out.set_or("profile", s3.profile.as_deref(), "the AWS chain's");
        if s3.storage_class.is_empty() {
            out.comment("storage_class: the bucket's default");
        } else {
            let classes: Vec<String> = s3
                .storage_class
                .iter()
                .map(|(category, class)| format!("{category} = {}", quote(class)))
                .collect();
            out.raw("storage_class", &format!("{{ {} }}", classes.join(", ")));
        }
        let ages: Vec<String> = s3
            .expires
            .iter()
            .map(|(category, days)| format!("{category} = {}", quote(&show_days(days))))
            .collect();
        if ages.is_empty() {
            out.comment("expires: never");
        } else {
            out.raw("expires", &format!("{{ {} }}", ages.join(", ")));
        }
        match &s3.sse {
            None => out.comment("sse: the bucket's default"),
            Some(Sse::Aes256) => out.set("sse", "AES256"),
            Some(Sse::Kms(key)) => {
                out.set("sse", "aws:kms");
                out.set_or("kms_key_id", key.as_deref(), "AWS's own key for S3");
            }
        }
        out.set("checksum", name(&CHECKSUMS, &s3.checksum));
        out.set_or("expected_bucket_owner", s3.expected_bucket_owner.as_deref(), "any account");
        let bundle = s3.ca_bundle.as_ref().map(|path| path.display().to_string());
        out.set_or("ca_bundle", bundle.as_deref(), "the system's authorities alone");
        out.set("connect_timeout", &show_duration(s3.connect_timeout));
        out.set("attempt_timeout", &show_duration(s3.attempt_timeout));
        out.set("stall_timeout", &show_duration(s3.stall_timeout));
        out.set("min_rate", &s3.min_rate.to_string());
    }

    fn render_backup(&self, out: &mut Out) {
        let backup = &self.backup;
        out.section("backup");
        out.raw("attempts", &backup.attempts);
        let pauses: Vec<String> = backup.pauses.iter().map(|pause| show_duration(*pause)).collect();
        out.raw("pauses", &list(&pauses));
        out.raw("concurrency", &backup.concurrency);
        out.set("outage_patience", &show_duration(backup.outage_patience));
        out.set("abort_after", &show_duration(backup.abort_after));
        out.set("bandwidth", &backup.bandwidth.to_string());
        out.set("max_memory", &show_size(backup.max_memory));
        out.set("part_size", &show_size(backup.part_size));
        out.set("settle_time", &show_duration(backup.settle_time));
        out.set("settle_wait", &show_duration(backup.settle_wait));
        out.set("on_cut_short", name(&ON_CUT_SHORT, &backup.on_cut_short));
        out.raw("strict", &backup.strict);
        out.raw("catch_up_days", &backup.catch_up_days);
        out.raw("nice", &backup.nice);
        let io_class = backup.io_class.map(|class| name(&IO_CLASSES, &class));
        out.set_or("io_class", io_class, "as it was started");
        let deadline = backup.deadline.map(|time| time.format("%H:%M").to_string());
        out.set_or("deadline", deadline.as_deref(), "none");
        out.raw("daily", &backup.categories.daily);
        let day = WEEKDAYS.iter().find(|(day, ..)| *day == backup.categories.weekly_day);
        out.set("weekly_day", day.map_or("", |(_, short, _)| short));
        out.raw("monthly_week", &backup.categories.monthly_week);
    }

    fn render_proof(&self, out: &mut Out) {
        out.section("drill");
        let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
        out.set_or("scratch", path(&self.drill.scratch).as_deref(), "[state] dir");
        out.set_or("server", path(&self.drill.server).as_deref(), "mariadbd or mysqld of the usual paths");
        out.set("rto", &show_duration(self.drill.rto));
        out.set("timeout", &show_duration(self.drill.timeout));
        for expect in &self.expect {
            out.section("[expect]");
            out.set("engine", expect.engine.as_str());
            out.set("app", expect.app.as_ref().map_or("*", |app| app.as_str()));
            out.set("schedule", &expect.schedule.to_string());
            if let Some(Ages { newest, full }) = expect.ages() {
                out.set("rpo", &show_duration(newest));
                out.set("full_rpo", &show_duration(full));
            }
        }
    }

    /// What is allowed and probably not meant, one sentence each, with what to do.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.overlaps();
        if self.sources.is_empty() {
            warnings.push(
                "none of [oracle], [mysql], [mssql] is there: enough to look and to restore, nothing to back up".into(),
            );
        }
        let unexpected = self.unexpected();
        if !unexpected.is_empty() && unexpected.len() == self.sources.len() {
            warnings.push(
                "nothing is expected ([[expect]]): a backup that stops is not missed; say what must exist"
                    .into(),
            );
        } else {
            warnings.extend(unexpected.iter().map(|engine| {
                format!(
                    "nothing is expected of {engine} ([[expect]]): a backup of it that stops is not missed"
                )
            }));
        }
        let without = |engine: &&Engine| {
            !self.sources.is_empty()
                && !self.sources.contains_key(engine)
                && self.expect.iter().any(|expect| expect.engine == **engine)
        };
        warnings.extend(Engine::ALL.iter().filter(without).map(|engine| {
            format!("[[expect]] engine {engine}: there is no [{engine}] section, so every run on this host misses it")
        }));
        let s3 = &self.s3;
        if let Some(endpoint) = s3.endpoint_url.as_deref().filter(|endpoint| names::is_plain_http(endpoint)) {
            warnings.push(format!(
                "[s3] endpoint_url {}: backups cross the network unencrypted; use https unless the line itself is a \
                 tunnel",
                mask(endpoint)
            ));
        }
        if s3.bucket.contains('.') && !s3.path_style {
            warnings.push(format!(
                "[s3] bucket {}: a name with dots fits no TLS certificate as a host name; set path_style = true",
                s3.bucket
            ));
        }
        for (category, class) in &s3.storage_class {
            let risk = match class.as_str() {
                "GLACIER" | "DEEP_ARCHIVE" => "has to be thawed for hours before a restore can begin",
                "ONEZONE_IA" | "REDUCED_REDUNDANCY" | "EXPRESS_ONEZONE" => {
                    "keeps fewer copies than STANDARD_IA; an outage of one zone can lose a backup"
                }
                _ => continue,
            };
            warnings.push(format!("[s3.storage_class] {category}: {class} {risk}"));
        }
        if s3.storage_class.contains_key(&Category::Daily) && !self.backup.categories.daily {
            warnings.push(
                "[s3.storage_class] daily: no backup is daily; set [backup] daily = true or remove it".into(),
            );
        }
        let looked_at = self.backup.catch_up_days;
        let early = s3.expires.iter().filter(|(_, days)| *days < looked_at);
        warnings.extend(early.map(|(category, days)| {
            format!(
                "[s3.expires] {category}: after {} the bucket has no longer what [backup] catch_up_days = {looked_at} looks for, \
                 which is sent again or refused each night; set catch_up_days to {days} at most",
                show_days(days)
            )
        }));
        if s3.checksum == super::ChecksumChoice::None {
            warnings.push("[s3] checksum none: no upload can be proven whole; use \"auto\"".into());
        }
        if s3.prefix.split('/').any(|part| part.starts_with("localhost")) {
            warnings.push(
                "[s3] prefix: this host is called localhost; hosts with one name share one folder, so give it a name"
                    .into(),
            );
        }
        warnings
    }

    /// Engines with a section of which no `[[expect]]` says that there must be a backup.
    #[must_use]
    pub fn unexpected(&self) -> Vec<Engine> {
        let is_expected = |engine: &&Engine| self.expect.iter().any(|expect| expect.engine == **engine);
        self.sources.keys().filter(|engine| !is_expected(engine)).copied().collect()
    }

    fn overlaps(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (outer, a) in &self.sources {
            for (inner, b) in &self.sources {
                let nested = b.dir.starts_with(&a.dir) && outer != inner;
                // Equal directories are said once.
                if nested && (a.dir != b.dir || outer < inner) {
                    warnings.push(format!(
                        "[{inner}] source {} lies in [{outer}] source {}: a file that both take is sent twice; give \
                         each engine its own directory or exclude it from [{outer}]",
                        b.dir.display(),
                        a.dir.display()
                    ));
                }
            }
        }
        warnings
    }
}

struct Out(String);

impl Out {
    // Writing to a String cannot fail.
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.0, "{text}");
    }

    fn comment(&mut self, text: &str) {
        self.line(&format!("# {}", printable(text)));
    }

    fn section(&mut self, name: &str) {
        self.line(&format!("\n[{name}]"));
    }

    fn raw(&mut self, key: &str, value: &dyn std::fmt::Display) {
        self.line(&format!("{key} = {value}"));
    }

    fn set(&mut self, key: &str, value: &str) {
        self.raw(key, &quote(value));
    }

    fn set_or(&mut self, key: &str, value: Option<&str>, otherwise: &str) {
        match value {
            Some(value) => self.set(key, value),
            None => self.comment(&format!("{key}: {otherwise}")),
        }
    }
}

fn quote(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quote(text)).collect();
    format!("[{}]", quoted.join(", "))
}

fn name<T: PartialEq>(choices: &[(&'static str, T)], value: &T) -> &'static str {
    choices.iter().find(|(_, choice)| choice == value).map_or("", |(name, _)| name)
}

/// The parser refuses a URL with a user; this is for a `Config` that did not come from it.
fn mask(url: &str) -> String {
    if !secrets::has_userinfo(url) {
        return url.to_owned();
    }
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://***@{host}"),
        _ => "***".to_owned(),
    }
}

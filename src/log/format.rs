//! One event as one line of text: `2025-08-19T01:00:02.123+02:00 INFO message key=value`.
//!
//! Spans are not shown: an event says all there is to say in its own fields.

use std::fmt::{self, Write as _};

use chrono::Local;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::printable::printable;

/// The format of text logs.
pub(super) struct Text;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line::default();
        event.record(&mut line);
        let time = Local::now().format(super::TIME);
        writeln!(writer, "{time} {}{}{}", event.metadata().level(), line.message, line.fields)
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, &value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

impl Line {
    fn add(&mut self, field: &Field, value: &str) {
        let name = field.name();
        if name == "message" {
            self.message.push(' ');
            self.message.push_str(&printable(value));
        } else if !name.starts_with("log.") {
            // Writing to a String cannot fail.
            let _ = write!(self.fields, " {name}=");
            let plain = !value.is_empty()
                && !value.chars().any(|c| c.is_whitespace() || c.is_control() || c == '"' || c == '=');
            if plain {
                self.fields.push_str(value);
            } else if value.len() >= 2 && value.starts_with('"') && value.ends_with('"') {
                // Quoted by its own `Debug` already.
                self.fields.push_str(&printable(value));
            } else {
                let _ = write!(self.fields, "{value:?}");
            }
        }
    }
}

//! What `-p` prints: `name=value` of all fields of Java's four objects, in their order.
//!
//! Settings are printed as they were read, before anything is checked or worked out: a missing peer
//! list prints as an empty value, as in Java. Secrets are not printed.
//!
//! Source: upstream `ControllerStartup#createControllerManager`, `MixAll#printObjectProperties`.

use super::field::{FIELDS, Field, JRAFT_CONFIG_LINE, Kind, Owner};
use super::settings::Settings;
use super::store::jraft_config_text;

/// What stands in the place of a secret that is set.
pub const SECRET: &str = "******";

/// The listing, one field a line.
#[must_use]
pub fn items(settings: &Settings) -> String {
    let mut out = String::new();
    for owner in [Owner::Controller, Owner::Jraft, Owner::Server, Owner::Client] {
        for field in FIELDS.iter().filter(|field| field.owner == owner) {
            push(field.shown, shown_value(settings, field).unwrap_or_default(), &mut out);
            if field.key == "configStorePath" {
                push(JRAFT_CONFIG_LINE, &jraft_config_text(settings), &mut out);
            }
        }
    }
    out
}

/// Every key that matters here, with its origin: `key=value  # origin`.
#[must_use]
pub fn resolved(settings: &Settings) -> String {
    let mut out = String::new();
    for (field, setting) in settings.iter() {
        let value = shown_value(settings, field).unwrap_or_default();
        out.push_str(&format!("{}={value}  # {}\n", field.key, setting.origin));
    }
    out
}

/// The value as it may be shown; `None` for Java's `null`.
pub(super) fn shown_value<'a>(settings: &'a Settings, field: &Field) -> Option<&'a str> {
    let value = settings.get(field.key).value.as_deref()?;
    let is_secret = field.kind == Kind::Secret && !value.is_empty();
    Some(if is_secret { SECRET } else { value })
}

fn push(name: &str, value: &str, out: &mut String) {
    out.push_str(name);
    out.push('=');
    out.push_str(value);
    out.push('\n');
}

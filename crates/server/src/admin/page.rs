//! The status as HTML, made from the same JSON that tools read.
//!
//! The page knows no field by name, so it cannot fall behind the status: an object of plain values is
//! a table of two columns, a list of objects is a table with their keys as columns, and what is
//! nested stands below under its key. It reloads itself. Everything is escaped: names of brokers and
//! clusters come from whoever reaches the port.

use serde_json::{Map, Value};

use super::Verdict;

/// Depth below which a value is shown as plain JSON.
const DEPTH_MAX: usize = 4;

const HEAD: &str = "<!doctype html><html lang=en><head><meta charset=utf-8>\
<meta http-equiv=refresh content=2><meta name=viewport content=\"width=device-width\">\
<title>Pitchover</title><style>\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}\
h1 small{font-size:1rem;font-weight:400;margin-left:1rem}\
.ok{color:#186a3b}.no{color:#a93226}\
table{border-collapse:collapse;margin:.5rem 0 1.5rem}\
th,td{border-bottom:1px solid #ddd;padding:.25rem .9rem .25rem 0;text-align:left;vertical-align:top}\
thead th{border-bottom:2px solid #888}footer{color:#666}\
@media(prefers-color-scheme:dark){body{background:#1b1b1b;color:#ddd}a{color:#8ab4f8}\
.ok{color:#7dcea0}.no{color:#f1948a}th,td{border-color:#444}}\
</style></head><body>";

const FOOT: &str = "<footer><a href=/api/v1/status>JSON</a> · <a href=/metrics>metrics</a> · \
<a href=/livez>livez</a> · <a href=/startupz>startupz</a> · <a href=/readyz>readyz</a>\
</footer></body></html>\n";

/// The whole page.
pub(super) fn render(status: &Value, ready: &Verdict) -> String {
    let mut out = HEAD.to_owned();
    out.push_str("<h1>Pitchover<small class=");
    match ready {
        Ok(()) => out.push_str("ok>ready"),
        Err(reason) => {
            out.push_str("no>not ready: ");
            escape(reason, &mut out);
        }
    }
    out.push_str("</small></h1>");
    section(status, 0, &mut out);
    out.push_str(FOOT);
    out
}

fn section(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(members) if depth < DEPTH_MAX => object(members, depth, out),
        Value::Array(items) if items.iter().any(Value::is_object) => rows(items, out),
        plain => {
            out.push_str("<p>");
            cell(plain, out);
            out.push_str("</p>");
        }
    }
}

fn object(members: &Map<String, Value>, depth: usize, out: &mut String) {
    let is_nested = |value: &Value| match value {
        Value::Object(_) => true,
        Value::Array(items) => items.iter().any(Value::is_object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    let (nested, plain): (Vec<_>, Vec<_>) = members.iter().partition(|(_, value)| is_nested(value));
    if !plain.is_empty() {
        out.push_str("<table>");
        for (key, value) in plain {
            out.push_str("<tr><th>");
            escape(key, out);
            out.push_str("</th><td>");
            cell(value, out);
            out.push_str("</td></tr>");
        }
        out.push_str("</table>");
    }
    for (key, value) in nested {
        out.push_str("<h2>");
        escape(key, out);
        out.push_str("</h2>");
        section(value, depth + 1, out);
    }
}

/// One row for each item; the first object names the columns.
fn rows(items: &[Value], out: &mut String) {
    let first = items.iter().find_map(Value::as_object);
    let columns: Vec<&String> = first.map(|members| members.keys().collect()).unwrap_or_default();
    out.push_str("<table><thead><tr>");
    for column in &columns {
        out.push_str("<th>");
        escape(column, out);
        out.push_str("</th>");
    }
    out.push_str("</tr></thead>");
    for item in items {
        out.push_str("<tr>");
        for column in &columns {
            out.push_str("<td>");
            cell(item.get(column.as_str()).unwrap_or(&Value::Null), out);
            out.push_str("</td>");
        }
        out.push_str("</tr>");
    }
    out.push_str("</table>");
}

fn cell(value: &Value, out: &mut String) {
    match value {
        Value::Null => {}
        Value::String(text) => escape(text, out),
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                escape(item.as_str().unwrap_or(&item.to_string()), out);
            }
        }
        other @ (Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            escape(&other.to_string(), out);
        }
    }
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use serde_json::json;

    #[test]
    fn names_from_outside_cannot_break_out() {
        let evil = "<script>alert('1')</script>";
        let status = json!({ "group": evil, "sets": [{ "name": evil }], evil: { "a": [evil] } });
        let page = render(&status, &Err(evil.to_owned()));
        assert!(!page.contains("<script"));
        assert_eq!(page.matches("&lt;script&gt;alert(&#39;1&#39;)").count(), 5);
    }

    #[test]
    fn objects_lists_and_nesting_become_tables() {
        let status = json!({ "term": 7, "peers": [{ "id": 1, "up": true }, { "id": 2 }] });
        let page = render(&status, &Ok(()));
        assert!(page.contains("<tr><th>term</th><td>7</td></tr>"));
        assert!(
            page.contains("<h2>peers</h2><table><thead><tr><th>id</th><th>up</th></tr></thead>")
        );
        assert!(page.contains("<tr><td>1</td><td>true</td></tr><tr><td>2</td><td></td></tr>"));
    }
}

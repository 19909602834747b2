//! The frame of every page: one file that needs nothing from elsewhere and can be read without its script.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Colours, sizes, light, dark and print.
const STYLE: &str = include_str!("page.css");

/// Tips at the pointer and the switch between light and dark.
const SCRIPT: &str = include_str!("page.js");

/// A page is at most this large, so that it can be attached to a merge request or a mail.
pub const PAGE_BYTES_MAX: usize = 1_500_000;

/// The script is at most this large.
pub const SCRIPT_BYTES_MAX: usize = 15_000;

const _: () = assert!(SCRIPT.len() <= SCRIPT_BYTES_MAX);

/// The page around its body. `subtitle` stands beside the title, `data` is JSON that is embedded for programs.
pub fn page(title: &str, subtitle: &str, body: &Markup, data: Option<&str>) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                // No request leaves a page: what is shown is in the file.
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none';style-src 'unsafe-inline';script-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                div.wrap {
                    header {
                        h1 { (title) }
                        p { (subtitle) }
                        button.theme type="button" hidden { "light / dark" }
                    }
                    (body)
                }
                (hatch())
                @if let Some(data) = data {
                    script type="application/json" id="data" { (PreEscaped(in_script(data))) }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string() + "\n"
}

/// A section with its question, and the anchor that leads to it.
pub fn section(id: &str, title: &str, question: &str, body: &Markup) -> Markup {
    html! {
        section {
            h2 id=(id) { (title) }
            p.ask { (question) }
            (body)
        }
    }
}

/// A picture with its words above it; wide pictures scroll on a phone.
pub fn figure(caption: &Markup, picture: &Markup, below: &Markup) -> Markup {
    html! { figure.card { figcaption { (caption) } (picture) (below) } }
}

/// The table behind a picture, folded.
pub fn behind(summary: &str, table: &Markup) -> Markup {
    html! { details { summary { (summary) } div.scroll { (table) } } }
}

/// The pattern of cells without a value: hatched, so that nobody takes it for zero.
fn hatch() -> Markup {
    PreEscaped(
        "<svg width=\"0\" height=\"0\" style=\"position:absolute;width:0\" aria-hidden=\"true\">\
         <pattern id=\"none\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><line x1=\"1\" y1=\"0\" x2=\"1\" y2=\"5\" class=\"hatch\" \
         style=\"stroke:var(--line);stroke-width:1.6\"/></pattern></svg>"
            .to_owned(),
    )
}

/// JSON that no text inside it can end: `<` only occurs in strings, where it may be written as an escape.
fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::page;
    use maud::html;

    #[test]
    fn embedded_data_cannot_end_its_element() {
        let page = page("t", "s", &html! { p { "b" } }, Some("{\"a\":\"</script><b>\"}"));
        assert!(page.contains("\\u003c/script>\\u003cb>"));
        assert_eq!(page.matches("</script>").count(), 2);
    }
}

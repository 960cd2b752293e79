//! What every page has around its content: head, heading, foot.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A page to be.
pub(super) struct Page<'a> {
    /// What the window is called, after the program's name.
    pub title: &'a str,
    pub style: &'a str,
    /// Runs when the content is there.
    pub script: Option<&'a str>,
    /// What the page is about, in a line.
    pub lead: Markup,
    pub content: Markup,
    /// Version of patchdex.
    pub version: &'a str,
    /// The command that made the page.
    pub command: &'a str,
}

impl Page<'_> {
    /// The page as one file.
    pub fn into_html(self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { "patchdex: " (self.title) }
                    style { (PreEscaped(self.style)) }
                }
                body {
                    header {
                        h1 { "patchdex" }
                        p { (self.lead) }
                    }
                    (self.content)
                    footer { p { "patchdex " (self.version) } pre { (self.command) } }
                    @if let Some(script) = self.script { script { (PreEscaped(script)) } }
                }
            }
        };
        page.into_string()
    }
}

//! Extracts the prose of an HTML page, as paragraphs.

use std::borrow::Cow;

use scraper::{Html, Node};

/// Elements whose text is not prose: code, navigation, controls and hidden content.
const DROPPED: [&str; 18] = [
    "pre", "script", "style", "nav", "header", "footer", "aside", "svg", "template", "noscript", "button", "form",
    "select", "textarea", "head", "math", "iframe", "object",
];

/// Classes of links that show a symbol instead of words.
const DROPPED_CLASSES: [&str; 3] = ["anchor", "doc-anchor", "footnote-backref"];

/// Elements that start and end a paragraph.
const BLOCKS: [&str; 31] = [
    "address",
    "article",
    "blockquote",
    "body",
    "caption",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "html",
    "li",
    "main",
    "ol",
    "p",
    "section",
    "summary",
    "table",
    "tr",
    "ul",
    "center",
];

/// The paragraphs of a page's main part that read as prose, in order, with whitespace collapsed.
pub(super) fn paragraphs(page: &str) -> Vec<String> {
    let content = main_part(page);
    let html = Html::parse_fragment(&content);
    // An explicit stack, because a page's author decides how deeply it nests and must not be able to overflow ours.
    let mut pending = vec![Visit::Enter(html.tree.root())];
    let mut collected = Collector::default();
    while let Some(visit) = pending.pop() {
        let node = match visit {
            Visit::Enter(node) => node,
            Visit::EndBlock => {
                collected.end_paragraph();
                continue;
            }
        };
        match node.value() {
            Node::Text(text) => collected.push(text),
            Node::Element(element) => {
                let name = element.name();
                if DROPPED.contains(&name) || element.classes().any(|class| DROPPED_CLASSES.contains(&class)) {
                    continue;
                }
                if BLOCKS.contains(&name) {
                    collected.end_paragraph();
                    pending.push(Visit::EndBlock);
                } else if matches!(name, "td" | "th" | "br") {
                    collected.push(" ");
                }
                pending.extend(node.children().rev().map(Visit::Enter));
            }
            Node::Document | Node::Fragment => pending.extend(node.children().rev().map(Visit::Enter)),
            Node::Doctype(_) | Node::Comment(_) | Node::ProcessingInstruction(_) => {}
        }
    }
    collected.end_paragraph();
    collected.paragraphs
}

enum Visit<N> {
    Enter(N),
    EndBlock,
}

/// Collects words into paragraphs.
#[derive(Default)]
struct Collector {
    paragraphs: Vec<String>,
    current: String,
    /// Whether whitespace followed the last word.
    space: bool,
}

impl Collector {
    fn push(&mut self, text: &str) {
        for part in text.split_inclusive(char::is_whitespace) {
            let word = part.trim_end();
            if !word.is_empty() {
                if self.space && !self.current.is_empty() {
                    self.current.push(' ');
                }
                self.space = false;
                self.current.push_str(word);
            }
            self.space |= word.len() < part.len();
        }
    }

    fn end_paragraph(&mut self) {
        self.space = false;
        let paragraph = std::mem::take(&mut self.current);
        if is_prose(&paragraph) {
            self.paragraphs.push(paragraph);
        }
    }
}

/// Whether a paragraph is mostly words, unlike signatures, tables of numbers and lists of symbols.
fn is_prose(paragraph: &str) -> bool {
    let (mut letters, mut spaces, mut others) = (0_usize, 0_usize, 0_usize);
    for character in paragraph.chars() {
        match character {
            _ if character.is_alphabetic() => letters += 1,
            ' ' => spaces += 1,
            _ => others += 1,
        }
    }
    // Passes a heading of one word, and a sentence with some `Vec<T>` in it. 70% was chosen by reading what it drops.
    letters >= 3 && 10 * (letters + spaces) >= 7 * (letters + spaces + others)
}

/// The part of a page worth parsing, found by text search: nine tenths of a generated page are navigation and
/// signatures, and building a tree of them would take nearly all of the extraction's time.
fn main_part(page: &str) -> Cow<'_, str> {
    // rustdoc: the written documentation is in blocks, between generated signatures.
    if page.contains("id=\"main-content\"") {
        let blocks = documentation_blocks(page);
        if !blocks.is_empty() {
            return Cow::Owned(blocks.concat());
        }
    }
    // mdBook, and any page that marks its main part.
    if let Some(start) = page.find("<main") {
        let end = page[start..].rfind("</main>").map_or(page.len(), |end| start + end);
        return Cow::Borrowed(&page[start..end]);
    }
    Cow::Borrowed(page)
}

/// The `<div class="docblock">`s of a rustdoc page, each up to its closing `</div>`.
fn documentation_blocks(page: &str) -> Vec<&str> {
    const START: &str = "<div class=\"docblock";
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find(START) {
        let block = &rest[start..];
        let end = end_of_div(block).unwrap_or(block.len());
        blocks.push(&block[..end]);
        rest = &block[end..];
    }
    blocks
}

/// Length of the `<div>` that a text starts with, including its end tag.
fn end_of_div(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        at += text[at..].find('<')?;
        let tag = &text[at..];
        if tag.starts_with("</div>") {
            depth = depth.checked_sub(1)?;
            at += "</div>".len();
            if depth == 0 {
                return Some(at);
            }
        } else {
            depth += usize::from(tag.starts_with("<div>") || tag.starts_with("<div "));
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_end_paragraphs_and_inline_elements_do_not() {
        let page = "<h1>A title</h1><p>Some <em>words</em>,\n  and\tmore<br>of them.</p><ul><li>First<li>Second</ul>";
        assert_eq!(paragraphs(page), ["A title", "Some words, and more of them.", "First", "Second"]);
    }

    #[test]
    fn code_navigation_and_symbols_are_left_out() {
        let page = "<html><head><title>No</title></head><body><nav>Menu of things</nav><p>Kept.</p>\
                    <pre>let x = dropped;</pre><script>dropped()</script><p>1 + 2 = 3 (4)</p>\
                    <p>Use <code>x</code> &amp; <a class=\"anchor\" href=\"#\">section</a>go.</p></body></html>";
        assert_eq!(paragraphs(page), ["Kept.", "Use x & go."]);
    }

    #[test]
    fn of_a_book_the_main_part_is_read() {
        let page = "<body><div>Side bar words</div><main><p>Chapter text</p></main><div>Next page</div></body>";
        assert_eq!(paragraphs(page), ["Chapter text"]);
    }

    #[test]
    fn of_generated_documentation_the_written_blocks_are_read() {
        let page = "<main><section id=\"main-content\"><h1>Struct Vec</h1><div class=\"docblock\"><p>One <b>two</b></p>\
                    <div class=\"example-wrap\"><div>inner words</div><pre>code()</pre></div></div><h2>fn signature</h2>\
                    <div class=\"docblock item-decl\"><p>Three</p></div>";
        assert_eq!(paragraphs(page), ["One two", "inner words", "Three"]);
    }

    #[test]
    fn damaged_pages_give_what_they_can() {
        for page in ["", "<", "<div class=\"docblock", "id=\"main-content\"<div class=\"docblock\"></p></div", "<main"]
        {
            paragraphs(page);
        }
        let deep = format!("{}<p>At the bottom</p>", "<div>".repeat(20_000));
        assert_eq!(paragraphs(&deep), ["At the bottom"]);
    }
}

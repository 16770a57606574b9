//! Extracts the code from a source page made by rustdoc.

/// Opens the code of such a page.
const START: &str = "<pre class=\"rust\"><code>";
/// End of the tag of a line-number link.
const LINE_NUMBER: &str = " data-nosnippet>";

/// The code without line numbers and highlighting; empty if the page has none.
pub(super) fn code(page: &str) -> String {
    let Some((_, rest)) = page.split_once(START) else { return String::new() };
    let mut rest = rest.split_once("</code></pre>").map_or(rest, |(code, _)| code);
    let mut code = String::with_capacity(rest.len() / 2);
    while let Some((text, markup)) = rest.split_once('<') {
        push_unescaped(text, &mut code);
        // The page writes a literal `<` as an entity, so every `<` opens a tag.
        rest = match markup.split_once(LINE_NUMBER) {
            Some((tag, after)) if tag.starts_with("a ") && !tag.contains('>') => {
                after.split_once("</a>").map_or("", |(_, after)| after)
            }
            _ => markup.split_once('>').map_or("", |(_, after)| after),
        };
    }
    push_unescaped(rest, &mut code);
    code
}

fn push_unescaped(text: &str, into: &mut String) {
    const ENTITIES: [(&str, char); 6] =
        [("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"'), ("&#39;", '\''), ("&#x27;", '\''), ("&amp;", '&')];
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        into.push_str(&rest[..at]);
        rest = &rest[at..];
        let (length, character) = ENTITIES
            .iter()
            .find(|(entity, _)| rest.starts_with(entity))
            .map_or((1, '&'), |(entity, character)| (entity.len(), *character));
        into.push(character);
        rest = &rest[length..];
    }
    into.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_was_written() {
        let page = "<h1>x.rs</h1><pre class=\"rust\"><code><a href=#1 id=1 data-nosnippet>1</a><span class=\"kw\">fn \
                    </span>f() -&gt; Option&lt;<span class=\"self\">u8</span>&gt; {\n\
                    <a href=#2 id=2 data-nosnippet>2</a>    <span class=\"string\">&quot;&amp;amp;&quot;</span>\n\
                    <a href=#3 id=3 data-nosnippet>3</a>}</code></pre><p>after";
        assert_eq!(code(page), "fn f() -> Option<u8> {\n    \"&amp;\"\n}");
        assert_eq!(code("<p>no code"), "");
        assert_eq!(code("<pre class=\"rust\"><code>a <broken"), "a ");
    }
}

//! Where the prose of a file is: comments and strings of code, the text of a page.

/// A stretch of text that is read as one: a paragraph, a string, a block of comments.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// Its words in lower case, each with its line, counted from 1.
    pub words: Vec<Word>,
    /// For a doc comment, the first line of what it documents.
    pub documents: Option<String>,
}

/// A word and where it is. Code and placeholders within prose are words that match nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    pub line: usize,
}

/// Stands for code, a placeholder or punctuation that separates sentences.
const BREAK: &str = ".";

/// How the prose of a file is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Rust,
    /// `//` comments and double quotes.
    Proto,
    /// `--` comments.
    Sql,
    /// `#` comments and both kinds of quotes: TOML, Python, shell.
    Hash,
    Markdown,
}

impl Language {
    /// The language of a file, by its name; `None` for files without prose to check.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("rs") => Some(Self::Rust),
            Some("proto") => Some(Self::Proto),
            Some("sql") => Some(Self::Sql),
            Some("toml" | "py" | "sh" | "service" | "conf" | "env") => Some(Self::Hash),
            Some("md") => Some(Self::Markdown),
            None if matches!(name, "run" | "Containerfile") => Some(Self::Hash),
            _ => None,
        }
    }
}

/// The prose of a file.
#[must_use]
pub fn passages(language: Language, text: &str) -> Vec<Passage> {
    match language {
        Language::Markdown => markdown(text),
        _ => code(language, text),
    }
}

/// Paragraphs, without fenced blocks.
fn markdown(text: &str) -> Vec<Passage> {
    let mut found = Vec::new();
    let mut passage = Passage::default();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        if fence || fenced || line.trim().is_empty() {
            found.push(std::mem::take(&mut passage));
        } else {
            add_words(&mut passage, line, index + 1);
        }
    }
    found.push(passage);
    found.retain(|passage| !passage.words.is_empty());
    found
}

/// What a scan of code is inside of.
enum Inside {
    Code,
    /// Until the end of the line.
    Comment,
    /// `/* */`, with how many are open.
    Block(usize),
    /// Until these characters; whether a backslash escapes.
    Text {
        end: String,
        escapes: bool,
    },
}

/// Comments and strings. Comments on adjacent lines are one passage; so is a string, however many lines it has.
fn code(language: Language, text: &str) -> Vec<Passage> {
    let mut found: Vec<Passage> = Vec::new();
    let mut comment = Passage::default();
    let mut is_doc = false;
    let mut string = Passage::default();
    let mut inside = Inside::Code;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if matches!(inside, Inside::Code) {
            let content = comment_of_line(language, line);
            if let Some((content, doc)) = content {
                if doc != is_doc || content.trim().is_empty() {
                    found.push(std::mem::take(&mut comment));
                }
                is_doc = doc;
                add_words(&mut comment, content, number);
                continue;
            }
            if !comment.words.is_empty() {
                let mut done = std::mem::take(&mut comment);
                done.documents = is_doc.then(|| line.trim().to_owned());
                found.push(done);
            }
        }
        let mut prose = String::new();
        let mut rest = line;
        while let Some(letter) = rest.chars().next() {
            let mut step = letter.len_utf8();
            match &mut inside {
                Inside::Code => {
                    if let Some((opened, length)) = opening(language, rest) {
                        inside = opened;
                        step = length;
                    } else {
                        step = code_step(language, rest);
                    }
                }
                Inside::Comment => prose.push(letter),
                Inside::Block(depth) => {
                    if rest.starts_with("*/") {
                        *depth -= 1;
                        step = 2;
                    } else if rest.starts_with("/*") {
                        *depth += 1;
                        step = 2;
                    } else {
                        prose.push(letter);
                    }
                    if *depth == 0 {
                        add_words(&mut string, &std::mem::take(&mut prose), number);
                        found.push(std::mem::take(&mut string));
                        inside = Inside::Code;
                    }
                }
                Inside::Text { end, escapes } => {
                    if *escapes && letter == '\\' {
                        step += rest[step..].chars().next().map_or(0, char::len_utf8);
                        prose.push(' ');
                    } else if rest.starts_with(end.as_str()) {
                        step = end.len();
                        add_words(&mut string, &std::mem::take(&mut prose), number);
                        found.push(std::mem::take(&mut string));
                        inside = Inside::Code;
                    } else {
                        prose.push(letter);
                    }
                }
            }
            rest = &rest[step..];
        }
        add_words(&mut string, &prose, number);
        // Plain quotes of TOML, Python and shell end with their line at the latest.
        let is_plain = matches!(&inside, Inside::Text { end, .. } if end.len() == 1) && language == Language::Hash;
        if matches!(inside, Inside::Comment) || is_plain {
            found.push(std::mem::take(&mut string));
            inside = Inside::Code;
        }
    }
    found.extend([comment, string]);
    found.retain(|passage| !passage.words.is_empty());
    found
}

/// A word or a character of Rust code, and its line, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// The tokens of Rust code without comments and strings. Characters that are not part of a word stand alone.
#[must_use]
pub fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut inside = Inside::Code;
    for (index, line) in text.lines().enumerate() {
        let mut rest = line;
        while let Some(letter) = rest.chars().next() {
            let mut step = letter.len_utf8();
            match &mut inside {
                Inside::Code => {
                    if let Some((opened, length)) = opening(Language::Rust, rest) {
                        (inside, step) = (opened, length);
                    } else {
                        step = code_step(Language::Rust, rest);
                        if !letter.is_whitespace() {
                            found.push(Token { text: rest[..step].to_owned(), line: index + 1 });
                        }
                    }
                }
                Inside::Comment => {}
                Inside::Block(depth) => {
                    if rest.starts_with("*/") {
                        *depth -= 1;
                        step = 2;
                    } else if rest.starts_with("/*") {
                        *depth += 1;
                        step = 2;
                    }
                    if *depth == 0 {
                        inside = Inside::Code;
                    }
                }
                Inside::Text { end, escapes } => {
                    if *escapes && letter == '\\' {
                        step += rest[step..].chars().next().map_or(0, char::len_utf8);
                    } else if rest.starts_with(end.as_str()) {
                        step = end.len();
                        inside = Inside::Code;
                    }
                }
            }
            rest = &rest[step..];
        }
        if matches!(inside, Inside::Comment) {
            inside = Inside::Code;
        }
    }
    found
}

/// The text of a line that is a comment and nothing else, and whether it documents what follows.
fn comment_of_line(language: Language, line: &str) -> Option<(&str, bool)> {
    let line = line.trim_start();
    match language {
        Language::Rust => {
            let text = line.strip_prefix("//")?;
            let doc = text.strip_prefix('/').filter(|rest| !rest.starts_with('/'));
            Some((doc.unwrap_or(text).trim_start_matches(['!', '/']), doc.is_some()))
        }
        Language::Proto => Some((line.strip_prefix("//")?, false)),
        Language::Sql => Some((line.strip_prefix("--")?, false)),
        Language::Hash => Some((line.strip_prefix('#')?, false)),
        Language::Markdown => None,
    }
}

/// What opens here, and how many bytes that takes.
fn opening(language: Language, rest: &str) -> Option<(Inside, usize)> {
    let text = |end: &str, escapes| Inside::Text { end: end.to_owned(), escapes };
    let comment = match language {
        Language::Rust | Language::Proto => "//",
        Language::Sql => "--",
        Language::Hash => "#",
        Language::Markdown => return None,
    };
    if rest.starts_with(comment) {
        return Some((Inside::Comment, comment.len()));
    }
    if rest.starts_with("/*") && language == Language::Rust {
        return Some((Inside::Block(1), 2));
    }
    if language == Language::Rust && rest.starts_with('r') {
        let hashes = rest[1..].bytes().take_while(|&byte| byte == b'#').count();
        if rest[1 + hashes..].starts_with('"') {
            return Some((text(&format!("\"{}", "#".repeat(hashes)), false), hashes + 2));
        }
    }
    if language == Language::Hash {
        let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| rest.starts_with(quote))?;
        return Some((text(quote, quote.starts_with('"')), quote.len()));
    }
    rest.starts_with('"').then(|| (text("\"", true), 1))
}

/// How many bytes of code to step over: a character, a character literal, or a whole word, so that the end of a name is
/// not taken for the beginning of a raw string.
fn code_step(language: Language, rest: &str) -> usize {
    let word = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    if word > 0 {
        return word;
    }
    if language == Language::Rust && rest.starts_with('\'') {
        // `'"'` and `'\''` are literals; `'a` is a lifetime.
        let mut letters = rest.char_indices().skip(1);
        let (_, first) = letters.next().unwrap_or((0, ' '));
        if first == '\\' {
            letters.next();
            return rest[3.min(rest.len())..].find('\'').map_or(1, |end| end + 4);
        }
        return letters.next().filter(|&(_, letter)| letter == '\'').map_or(1, |(end, _)| end + 1);
    }
    rest.chars().next().map_or(1, char::len_utf8)
}

/// Adds the words of a line. Code in backticks and placeholders in braces become a break, as does the end of a sentence.
fn add_words(passage: &mut Passage, line: &str, number: usize) {
    let mut word = String::new();
    let mut until = None;
    let mut push = |text: String| passage.words.push(Word { text, line: number });
    for letter in line.chars().chain([' ']) {
        if let Some(end) = until {
            if letter == end {
                until = None;
                push(BREAK.to_owned());
            }
            continue;
        }
        if letter.is_alphanumeric() || (letter == '\'' && !word.is_empty()) || letter == '_' {
            word.push(letter);
            continue;
        }
        if !word.is_empty() {
            // `None` is code, of Rust or of Python.
            push(if word == "None" { BREAK.to_owned() } else { word.to_lowercase() });
            word.clear();
        }
        match letter {
            '`' => until = Some('`'),
            '{' => until = Some('}'),
            '.' | ':' | ';' | '?' | '!' | ',' | '(' | ')' | '"' => push(BREAK.to_owned()),
            _ => {}
        }
    }
    if until.is_some() {
        push(BREAK.to_owned());
    }
}

impl Word {
    /// Whether it stands for code or punctuation.
    #[must_use]
    pub fn is_break(&self) -> bool {
        self.text == BREAK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(language: Language, text: &str) -> Vec<String> {
        let joined = |passage: Passage| {
            let words: Vec<String> =
                passage.words.into_iter().map(|word| format!("{}{}", word.text, word.line)).collect();
            words.join(" ")
        };
        passages(language, text).into_iter().map(joined).collect()
    }

    #[test]
    fn comments_of_adjacent_lines_are_one_passage() {
        let text = "/// One goes\n/// on.\n///\n/// Two.\nfn three() {} // four\n";
        assert_eq!(words(Language::Rust, text), ["one1 goes1 on2 .2", "two4 .4", "four5"]);
    }

    #[test]
    fn strings_are_found_and_code_is_not() {
        let text =
            "let a = \"is {b} so\"; let c = 'd'; let e: &'static str = r#\"f \"g\" \"#; '\"'; '\\''; \"h\\\n  i\"";
        assert_eq!(words(Language::Rust, text), ["is1 .1 so1", "f1 .1 g1 .1", "h1 i2"]);
    }

    #[test]
    fn a_doc_comment_knows_what_it_documents() {
        let found = passages(Language::Rust, "    /// Which.\n    pub stage: u64,\n");
        assert_eq!(found[0].documents.as_deref(), Some("pub stage: u64,"));
    }

    #[test]
    fn fenced_blocks_of_a_page_are_code() {
        assert_eq!(words(Language::Markdown, "a\n```\nb\n```\n\nc `d` e"), ["a1", "c6 .6 e6"]);
    }

    #[test]
    fn hash_comments_and_both_quotes() {
        assert_eq!(words(Language::Hash, "it's # a\nb = 'c'"), ["s1 a1", "c2"]);
        assert_eq!(words(Language::Hash, "a = 'b' # c\n# d\ne = \"\"\"f\ng\"\"\""), ["b1", "c1", "d2", "f3 g4"]);
    }
}

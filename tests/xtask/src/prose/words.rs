//! The words: turns of phrase that stop a reader, what to write instead, and doc comments that say nothing.

/// A turn of phrase to avoid.
#[derive(Debug)]
pub struct Turn {
    /// Its words, in lower case.
    pub phrase: &'static [&'static str],
    /// Words before it that make it plain English, as in "there is no worker".
    pub unless_after: &'static [&'static str],
    /// Words behind it that make it plain English, as in "is no longer".
    pub unless_before: &'static [&'static str],
    /// What to write instead.
    pub instead: &'static str,
}

const THERE: &[&str] = &["there"];
const COMPARED: &[&str] = &["longer", "more", "less", "fewer"];

const fn turn(phrase: &'static [&'static str], instead: &'static str) -> Turn {
    Turn { phrase, unless_after: &[], unless_before: &[], instead }
}

const fn negation(phrase: &'static [&'static str], instead: &'static str) -> Turn {
    Turn { phrase, unless_after: THERE, unless_before: COMPARED, instead }
}

/// Where two of them begin at the same word, the first one that matches is reported.
pub const TURNS: &[Turn] = &[
    turn(&["is", "no", "number"], "call it NaN, or \"not finite\""),
    turn(&["are", "no", "numbers"], "call them NaN, or \"not finite\""),
    negation(&["is", "no"], "\"is not a\", or say what it is"),
    negation(&["are", "no"], "\"are not\", or say what they are"),
    negation(&["was", "no"], "\"was not a\", or say what it was"),
    negation(&["were", "no"], "\"were not\", or say what they were"),
    negation(&["is", "none"], "\"is not one\", \"is unset\", or name the missing thing"),
    negation(&["are", "none"], "\"are not\", or name the missing things"),
    negation(&["was", "none"], "\"was not one\", or name the missing thing"),
    turn(&["what", "is", "no"], "name the thing that is meant"),
    turn(&["goes", "on", "the", "heap"], "\"is allocated on the heap\""),
    Turn {
        phrase: &["goes", "on"],
        unless_after: &["what"],
        unless_before: &["the", "a", "top", "its", "each"],
        instead: "\"continues\" or \"resumes\"",
    },
    Turn {
        phrase: &["went", "on"],
        unless_after: &["what"],
        unless_before: &["the", "a", "top", "its", "each"],
        instead: "\"continued\" or \"resumed\"",
    },
    Turn {
        phrase: &["go", "on"],
        unless_after: &["what"],
        unless_before: &["the", "a", "top", "its", "each"],
        instead: "\"continue\" or \"resume\"",
    },
    turn(&["comes", "to"], "\"amounts to\", \"reaches\", or \"ends with\""),
    turn(&["came", "to"], "\"amounted to\", \"reached\", or \"ended with\""),
    turn(&["in", "hand"], "\"holds\", \"is running\", or \"current\""),
    turn(&["nor", "will"], "split the sentence: \"and none will\""),
    turn(&["nor", "does", "it"], "split the sentence: \"and it does not\""),
    turn(&["mend"], "\"fix\""),
    turn(&["mended"], "\"fixed\""),
    turn(&["seldom"], "\"rarely\""),
    turn(&["for", "ever"], "\"forever\", or say until when"),
];

/// Words that carry no information in a doc comment by themselves. A comment of nothing else, but for words that the
/// documented name already says, is reported.
pub const EMPTY: &[&str] = &[
    "a",
    "all",
    "an",
    "and",
    "are",
    "as",
    "at",
    "by",
    "everything",
    "for",
    "from",
    "has",
    "holds",
    "how",
    "in",
    "is",
    "it",
    "its",
    "itself",
    "many",
    "much",
    "of",
    "on",
    "one",
    "said",
    "says",
    "that",
    "the",
    "their",
    "them",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "under",
    "was",
    "what",
    "when",
    "where",
    "which",
    "who",
    "whom",
    "whose",
    "why",
    "with",
];

//! What a loss is measured on.

use corpus::Sample;
use vocabulary::Tokens;
use vocabulary::text::wrapped;

/// A line for each held-out text, and one for each of its sources if it has several.
pub(crate) fn lines(samples: &[Sample]) -> String {
    let mut text = String::new();
    for sample in samples {
        let Sample { domain, documents, of_documents, tokens, of_tokens, sources } = sample;
        let domain = domain.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let measured = format!(
            "{domain}losses are measured on {documents} of {of_documents} held-out documents, {} of {} tokens",
            Tokens(*tokens),
            Tokens(*of_tokens)
        );
        text.push_str(&wrapped(&measured, 2));
        for share in sources.iter().filter(|_| sources.len() > 1) {
            let percent = 100.0 * share.tokens as f64 / (*tokens).max(1) as f64;
            let measured = format!(
                "- {}: {} of {} tokens, {percent:.0}% of the measurement",
                share.source,
                Tokens(share.tokens),
                Tokens(share.of_tokens)
            );
            text.push_str(&wrapped(&measured, 4));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use corpus::SourceShare;

    use super::*;

    #[test]
    fn sources_are_named_where_there_are_several() {
        let share = |source: &str, tokens| SourceShare { source: source.to_owned(), tokens, of_tokens: 2 * tokens };
        let sample = Sample {
            domain: None,
            documents: 9,
            of_documents: 20,
            tokens: 4000,
            of_tokens: 8000,
            sources: vec![share("books", 3000), share("notes", 1000)],
        };
        assert_eq!(
            lines(std::slice::from_ref(&sample)),
            "losses are measured on 9 of 20 held-out documents, 4.00k of 8.00k tokens\n\
             - books: 3.00k of 6.00k tokens, 75% of the measurement\n- notes: 1.00k of 2.00k tokens, 25% of the measurement\n"
        );
        let one = Sample { domain: Some("web".to_owned()), sources: vec![share("books", 4000)], ..sample };
        assert_eq!(lines(&[one]), "web: losses are measured on 9 of 20 held-out documents, 4.00k of 8.00k tokens\n");
    }
}

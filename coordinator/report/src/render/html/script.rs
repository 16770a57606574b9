//! The plotting library and the figures it draws.

use super::plotly;
use crate::figures::Figure;

/// plotly.js once, then all figures.
pub(super) fn render(figures: &[Figure]) -> String {
    let all: Vec<_> = figures.iter().map(plotly::figure).collect();
    // Only `<` could end the script element, and JSON can escape it.
    let all = serde_json::to_string(&all).expect("figures always have a JSON form").replace('<', "\\u003c");
    format!(
        "<script>{}</script>\n<script>\nfor (const figure of {all}) {{\n  \
         Plotly.newPlot(figure.id, figure.data, figure.layout, {{ responsive: true, displaylogo: false, \
         modeBarButtonsToRemove: [\"select2d\", \"lasso2d\"] }});\n}}\n</script>\n",
        plotly_js()
    )
}

/// The crate returns plotly.js together with MathJax (2 MB), each in a script element. The page needs only the first.
fn plotly_js() -> String {
    let both = ::plotly::Plot::offline_js_sources();
    let (_, rest) = both.split_once('>').expect("it begins with a script element");
    let (script, _) = rest.split_once("</script>").expect("the element ends");
    script.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_plotly_alone() {
        let library = plotly_js();
        assert!(library.trim_start().starts_with("/**\n* plotly.js"), "{}", &library[..80]);
        assert!(library.len() < 5_000_000 && !library.contains("<script"));
    }
}

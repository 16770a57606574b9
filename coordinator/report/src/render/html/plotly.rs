//! Renders a figure as JSON for plotly.js, whose documentation describes each key. Numbers are rounded to what a screen shows.

use serde_json::{Value, json};

use crate::escape::escape;
use crate::figures::{
    Axis, Band, Bars, Dash, Digits, Figure, Fill, Hover, Line, Mark, Marker, Numbers, Panel, Part, Scale, Series,
    Shades, Sizes, Surface, Symbol, Ticks, Value as Told,
};

/// `data` and `layout` for the element `id`.
pub(super) fn figure(figure: &Figure) -> Value {
    let data: Vec<Value> = figure.marks.iter().map(|mark| self::mark(figure, mark)).collect();
    json!({ "id": figure.id, "data": data, "layout": layout(figure) })
}

fn mark(figure: &Figure, mark: &Mark) -> Value {
    match mark {
        Mark::Series(series) => self::series(figure, series),
        Mark::Bars(Bars { bars, colour, hover }) => json!({
            "type": "bar", "orientation": "h",
            "x": shorts(bars.iter().map(|(_, length)| *length)),
            "y": bars.iter().map(|(name, _)| escape(name)).collect::<Value>(),
            "marker": { "color": colour },
            "hovertemplate": template(hover),
        }),
        Mark::Surface(Surface { x, y, heights, shades, title, hover }) => json!({
            "type": "contour", "x": shorts(x.iter().copied()), "y": shorts(y.iter().copied()),
            "z": heights.iter().map(|row| shorts(row.iter().copied())).collect::<Value>(),
            "zmin": short(shades.low), "zmax": short(shades.high), "ncontours": 22, "colorscale": colours(shades),
            "contours": { "showlabels": true, "labelfont": { "size": 11, "color": "#ffffff" } },
            "line": { "width": 0.7, "color": "rgba(255,255,255,0.7)" },
            "colorbar": { "title": { "text": escape(title), "side": "right" }, "thickness": 14, "outlinewidth": 0 },
            "hovertemplate": template(hover),
        }),
    }
}

fn series(figure: &Figure, series: &Series) -> Value {
    let mode = match (&series.line, &series.marker) {
        (Some(_), Some(_)) => "lines+markers",
        (None, Some(_)) => "markers",
        _ => "lines",
    };
    let mut drawn = json!({
        "type": "scatter", "mode": mode, "showlegend": series.in_legend, "connectgaps": false,
        "x": shorts(series.points.iter().map(|(x, _)| *x)), "y": shorts(series.points.iter().map(|(_, y)| *y)),
    });
    if !series.name.is_empty() {
        drawn["name"] = json!(escape(&series.name));
    }
    if let Some(group) = &series.group {
        drawn["legendgroup"] = json!(escape(group));
    }
    if series.panel > 0 {
        drawn["xaxis"] = json!(nth("x", across(figure, series.panel)));
        drawn["yaxis"] = json!(nth("y", series.panel));
    }
    if let Some(Line { colour, width, dash }) = &series.line {
        drawn["line"] = json!({ "color": colour, "width": width, "dash": dashes(*dash) });
    }
    if let Some(marker) = &series.marker {
        drawn["marker"] = self::marker(marker);
    }
    if let Some(fill) = &series.fill {
        drawn["fill"] = json!("toself");
        drawn["fillcolor"] = json!(fill);
        drawn["line"] = json!({ "width": 0 });
    }
    if series.hover.0.is_empty() {
        drawn["hoverinfo"] = json!("skip");
    } else {
        drawn["hovertemplate"] = json!(template(&series.hover));
    }
    if !series.values.is_empty() {
        drawn["customdata"] = series.values.iter().map(|values| values.iter().map(told).collect::<Value>()).collect();
    }
    drawn
}

fn marker(marker: &Marker) -> Value {
    let Marker { symbol, sizes, fill, edge } = marker;
    let mut drawn = json!({ "symbol": shape(*symbol), "opacity": 1 });
    drawn["size"] = match sizes {
        Sizes::All(size) => json!(size),
        Sizes::Each(sizes) => json!(sizes),
    };
    match fill {
        Fill::All(colour) => drawn["color"] = json!(colour),
        Fill::Each(each) => drawn["color"] = json!(each),
        Fill::Shaded(values, shades) => {
            drawn["color"] = shorts(values.iter().copied());
            drawn["colorscale"] = colours(shades);
            drawn["cmin"] = short(shades.low);
            drawn["cmax"] = short(shades.high);
        }
    }
    if let Some((colour, width)) = edge {
        drawn["line"] = json!({ "color": colour, "width": width });
    }
    drawn
}

fn told(value: &Told) -> Value {
    match value {
        Told::Number(number) => short(*number),
        Told::Words(words) => json!(lines(words)),
    }
}

/// The template of a tooltip; `<extra>` suppresses the trace name that plotly would add.
fn template(hover: &Hover) -> String {
    let part = |part: &Part| match part {
        Part::Words(words) => lines(words),
        Part::X(digits) => format!("%{{x{}}}", format_of(*digits)),
        Part::Y(digits) => format!("%{{y{}}}", format_of(*digits)),
        Part::Z(digits) => format!("%{{z{}}}", format_of(*digits)),
        Part::Value(number, digits) => format!("%{{customdata[{number}]{}}}", format_of(*digits)),
    };
    let lines: Vec<String> = hover.0.iter().map(|line| line.iter().map(part).collect()).collect();
    format!("{}<extra></extra>", lines.join("<br>"))
}

/// The d3 format.
fn format_of(digits: Digits) -> String {
    match digits {
        Digits::All => String::new(),
        Digits::Suffix => ":.3s".to_owned(),
        Digits::Three => ":.3~g".to_owned(),
        Digits::Power => ":.3~e".to_owned(),
        Digits::Fixed(count) => format!(":.{count}f"),
        Digits::Signed => ":+.1f".to_owned(),
        Digits::Percent => ":.0%".to_owned(),
    }
}

/// The parts of a layout that all figures have, and the axes.
fn layout(figure: &Figure) -> Value {
    let mut layout = json!({
        "font": { "family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": "#2f3a46" },
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "#ffffff",
        "margin": { "l": 64, "r": 16, "t": 34, "b": 56 },
        "modebar": { "bgcolor": "rgba(0,0,0,0)", "color": "#b6bec8", "activecolor": "#2a5f92" },
        "hovermode": "closest",
        "hoverlabel": { "bgcolor": "#ffffff", "bordercolor": "#aeb6c0", "font": { "color": "#1d2630" }, "align": "left" },
        "legend": { "tracegroupgap": 2, "itemwidth": 30 },
    });
    for (index, Panel { x, y }) in figure.panels.iter().enumerate() {
        let (mut up, number) = (axis(y), across(figure, index));
        let is_alone = figure.panels.len() == 1;
        if !is_alone {
            up["anchor"] = json!(nth("x", number));
        }
        layout[nth("yaxis", index)] = up;
        if let Some(x) = x {
            let mut across = axis(x);
            if !is_alone {
                across["anchor"] = json!(nth("y", index));
            }
            layout[nth("xaxis", number)] = across;
        }
    }
    let shapes: Vec<Value> = figure.bands.iter().map(shape_of).collect();
    if !shapes.is_empty() {
        layout["shapes"] = json!(shapes);
    }
    let notes: Vec<Value> = figure.bands.iter().filter_map(note).collect();
    if !notes.is_empty() {
        layout["annotations"] = json!(notes);
    }
    layout
}

/// The index of a panel's horizontal axis: its own, or that of the next panel below that has one.
fn across(figure: &Figure, panel: usize) -> usize {
    let of_panel = figure.panels.iter().skip(panel).position(|panel| panel.x.is_some()).unwrap_or_default();
    figure.panels.iter().take(panel + of_panel).filter(|panel| panel.x.is_some()).count()
}

fn axis(axis: &Axis) -> Value {
    let Axis { title, scale, numbers, range, ticks, grid, from_zero, place } = axis;
    let mut drawn = json!({
        "title": { "text": lines(title), "standoff": 10 },
        "gridcolor": "#e8ebef",
        "zeroline": false,
        "linecolor": "#aeb6c0",
        "ticks": "outside",
        "tickcolor": "#aeb6c0",
        "ticklen": 4,
        "automargin": true,
        "exponentformat": if *numbers == Numbers::Power { "power" } else { "SI" },
    });
    if *scale == Scale::Log {
        drawn["type"] = json!("log");
    }
    if *numbers == Numbers::Percent {
        drawn["tickformat"] = json!(".0%");
    }
    if let Some(range) = range {
        drawn["range"] = match scale {
            Scale::Linear => json!(range.map(short)),
            Scale::Log => json!(range.map(|end| short(end.log10()))),
        };
    }
    match ticks {
        Ticks::Fitting => {}
        Ticks::AtMost(count) => drawn["nticks"] = json!(count),
        Ticks::Powers => drawn["dtick"] = json!(1),
        Ticks::At(ticks) => {
            drawn["tickvals"] = shorts(ticks.iter().map(|(tick, _)| *tick));
            drawn["ticktext"] = ticks.iter().map(|(_, words)| Value::from(escape(words))).collect();
        }
    }
    if !grid {
        drawn["showgrid"] = json!(false);
    }
    if *from_zero {
        drawn["rangemode"] = json!("tozero");
    }
    if let Some(place) = place {
        drawn["domain"] = json!(place);
    }
    drawn
}

fn shape_of(band: &Band) -> Value {
    let filled = |ends: Value| {
        let mut shape = json!({ "type": "rect", "layer": "below", "fillcolor": "#eef1f4", "line": { "width": 0 } });
        for (key, value) in ends.as_object().into_iter().flatten() {
            shape[key] = value.clone();
        }
        shape
    };
    match band {
        Band::Between([low, high], _) => {
            filled(json!({ "yref": "paper", "y0": 0, "y1": 1, "x0": short(*low), "x1": short(*high) }))
        }
        Band::Heights([low, high]) => filled(json!({ "xref": "paper", "x0": 0, "x1": 1, "y0": low, "y1": high })),
        Band::Level(height) => json!({
            "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": height, "y1": height,
            "line": { "color": "#5b6673", "width": 1 },
        }),
    }
}

/// The label of a band, at its centre; such bands are on logarithmic axes.
fn note(band: &Band) -> Option<Value> {
    let Band::Between([low, high], words) = band else { return None };
    Some(json!({
        "xref": "x", "yref": "paper", "x": short((low * high).sqrt().log10()), "y": 1, "yanchor": "top",
        "text": escape(words), "showarrow": false, "font": { "size": 12, "color": "#5b6673" },
    }))
}

fn colours(shades: &Shades) -> Value {
    let last = (shades.stops.len() - 1) as f64;
    shades.stops.iter().enumerate().map(|(stop, colour)| json!([stop as f64 / last, colour])).collect()
}

fn dashes(dash: Dash) -> &'static str {
    match dash {
        Dash::Solid => "solid",
        Dash::Dashed => "dash",
        Dash::Dotted => "dot",
        Dash::DashDotted => "dashdot",
    }
}

fn shape(symbol: Symbol) -> &'static str {
    match symbol {
        Symbol::Circle => "circle",
        Symbol::Ring => "circle-open",
        Symbol::Square => "square",
        Symbol::Diamond => "diamond",
        Symbol::TriangleUp => "triangle-up",
        Symbol::TriangleDown => "triangle-down",
        Symbol::Star => "star",
    }
}

/// plotly counts axes from one and omits the one.
fn nth(axis: &str, index: usize) -> String {
    if index == 0 { axis.to_owned() } else { format!("{axis}{}", index + 1) }
}

/// Text for plotly, which understands a subset of HTML.
fn lines(text: &str) -> String {
    escape(text).replace('\n', "<br>")
}

/// Six significant digits: more than a screen shows, in half the bytes.
fn short(value: f64) -> Value {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    if rounded.is_finite() { json!(rounded) } else { Value::Null }
}

fn shorts(values: impl IntoIterator<Item = f64>) -> Value {
    values.into_iter().map(short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{End, Palette, Run, Runs, Stage, curves, tracks};

    #[test]
    fn a_line_has_gaps_and_its_words_close_nothing() {
        let runs = Runs {
            runs: vec![Run { label: "<b>".to_owned(), n: 1e4 }],
            stages: vec![Stage {
                run: 0,
                parent: None,
                is_decay: false,
                size: "<b>".to_owned(),
                key: "stage_1".to_owned(),
                steps: 0..2,
                tokens_per_step: 10,
                flops: 1.0,
            }],
            ..Runs::default()
        };
        let palette = Palette::of(&runs);
        let ends: [End; 0] = [];
        let curve = vec![vec![(0, 3.0), (1, 2.5)]];
        let drawn = figure(&curves(&runs, &curve, &ends, 0, &palette).expect("has a curve"));
        assert_eq!(drawn["data"][0]["x"], json!([10.0, 20.0]));
        assert_eq!(drawn["data"][0]["name"], "&lt;b&gt;");
        assert!(
            drawn["data"][0]["hovertemplate"].as_str().expect("text").starts_with("&lt;b&gt;, run<br>%{x:.3s} tokens")
        );
        assert_eq!(short(f64::NAN), Value::Null);
        assert_eq!(tracks(&runs, &[], &palette), None);
    }
}

//! The model of a figure, independent of the library that draws it: panels with axes, marks in them, bands behind the marks.
//!
//! Text is unescaped: the renderer escapes it. `\n` breaks a line.

/// A figure with its caption.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name, unique within a page.
    pub id: &'static str,
    pub title: &'static str,
    /// The caption: what it shows and how to read it.
    pub explanation: String,
    /// Height in pixels.
    pub height: usize,
    /// At least one.
    pub panels: Vec<Panel>,
    /// In drawing order.
    pub marks: Vec<Mark>,
    /// Bands behind the marks of the first panel.
    pub bands: Vec<Band>,
}

/// A pair of axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// The horizontal axis; `None` if the panel shares that of the next panel below.
    pub x: Option<Axis>,
    /// The vertical axis.
    pub y: Axis,
}

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// The quantity and its unit.
    pub title: String,
    /// How values are spaced.
    pub scale: Scale,
    /// How numbers are written at ticks.
    pub numbers: Numbers,
    /// The ends, in units of the axis; `None` fits all marks. The first end may be the larger one.
    pub range: Option<[f64; 2]>,
    /// The positions and labels of ticks.
    pub ticks: Ticks,
    /// Whether grid lines are drawn at ticks.
    pub grid: bool,
    /// Whether zero is always in range.
    pub from_zero: bool,
    /// The fraction of the figure it occupies, left or lower end first; `None` is all of it.
    pub place: Option<[f64; 2]>,
}

/// How values are spaced on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    /// Logarithmic.
    Log,
}

/// How numbers are written at ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// With an SI suffix: 4M.
    Suffix,
    /// As a power of ten.
    Power,
    /// As whole percentages.
    Percent,
}

/// The ticks of an axis.
#[derive(Debug, Clone, PartialEq)]
pub enum Ticks {
    /// Chosen by the renderer.
    Fitting,
    /// Chosen by the renderer, at most this many.
    AtMost(u32),
    /// One per power of ten.
    Powers,
    /// At these values, with these labels.
    At(Vec<(f64, String)>),
}

/// Something drawn in a panel.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// Points, a line through them, or both.
    Series(Series),
    /// Horizontal bars, stacked vertically.
    Bars(Bars),
    /// A surface seen from above.
    Surface(Surface),
}

/// Points, a line through them, or both.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend; may be empty.
    pub name: String,
    /// Marks of one group are toggled together.
    pub group: Option<String>,
    /// Whether the legend lists it.
    pub in_legend: bool,
    /// The index of its panel.
    pub panel: usize,
    /// Its points; a point that is not finite breaks the line.
    pub points: Vec<(f64, f64)>,
    /// The line through them.
    pub line: Option<Line>,
    /// The marker at each point.
    pub marker: Option<Marker>,
    /// The fill colour of the enclosed area.
    pub fill: Option<String>,
    /// The tooltip of a point.
    pub hover: Hover,
    /// Extra values per point, referenced by `hover`.
    pub values: Vec<Vec<Value>>,
}

/// An extra value of a point.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    /// Text, possibly of several lines.
    Words(String),
}

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// A CSS colour.
    pub colour: String,
    /// Width in pixels.
    pub width: f64,
    /// Its pattern.
    pub dash: Dash,
}

/// The pattern of a line.
#[expect(clippy::enum_variant_names, reason = "the names that drawing programs use")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Dash {
    Solid,
    Dashed,
    Dotted,
    DashDotted,
}

/// A marker.
#[derive(Debug, Clone, PartialEq)]
pub struct Marker {
    /// Its shape.
    pub symbol: Symbol,
    /// Size in pixels.
    pub sizes: Sizes,
    pub fill: Fill,
    /// Its outline: colour and width in pixels.
    pub edge: Option<(String, f64)>,
}

/// The shape of a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Symbol {
    Circle,
    Ring,
    Square,
    Diamond,
    TriangleUp,
    TriangleDown,
    Star,
}

/// Marker sizes in pixels.
#[derive(Debug, Clone, PartialEq)]
pub enum Sizes {
    /// The same for all points.
    All(f64),
    /// One per point.
    Each(Vec<f64>),
}

/// The fill of markers.
#[derive(Debug, Clone, PartialEq)]
pub enum Fill {
    /// One colour.
    All(String),
    /// One colour per point.
    Each(Vec<String>),
    /// By one value per point.
    Shaded(Vec<f64>, Shades),
}

/// A colour scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Shades {
    /// The value of the first colour.
    pub low: f64,
    /// The value of the last colour.
    pub high: f64,
    /// Evenly spaced colours.
    pub stops: Vec<String>,
}

/// Horizontal bars, stacked vertically.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// Names and lengths, bottom first.
    pub bars: Vec<(String, f64)>,
    /// A CSS colour.
    pub colour: String,
    /// The tooltip of a bar.
    pub hover: Hover,
}

/// A contour plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Surface {
    /// Horizontal grid.
    pub x: Vec<f64>,
    /// Vertical grid.
    pub y: Vec<f64>,
    /// The height by row (`y`) and column (`x`).
    pub heights: Vec<Vec<f64>>,
    /// The colour scale of heights.
    pub shades: Shades,
    /// The title of the colour scale.
    pub title: &'static str,
    /// The tooltip of a position.
    pub hover: Hover,
}

/// A band behind the marks.
#[derive(Debug, Clone, PartialEq)]
pub enum Band {
    /// A vertical band between two values of the horizontal axis, labelled at its top.
    Between([f64; 2], &'static str),
    /// A horizontal band between two values of the vertical axis.
    Heights([f64; 2]),
    /// A horizontal line.
    Level(f64),
}

/// A tooltip, line by line; empty for none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hover(pub Vec<Vec<Part>>);

/// Part of a tooltip line.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Text.
    Words(String),
    /// The horizontal value.
    X(Digits),
    /// The vertical value.
    Y(Digits),
    /// The height of a surface.
    Z(Digits),
    /// One of the point's extra values, by index.
    Value(usize, Digits),
}

/// How a number is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digits {
    /// In full.
    All,
    /// Three significant digits and an SI suffix: 4.00M.
    Suffix,
    /// Three significant digits, decimal or exponent, whichever is shorter.
    Three,
    /// Up to three decimals and a power of ten.
    Power,
    /// A fixed number of decimals.
    Fixed(u8),
    /// One decimal, with a sign.
    Signed,
    /// A whole percentage.
    Percent,
}

impl Hover {
    /// A tooltip with a first line of text.
    pub(super) fn titled(words: impl Into<String>) -> Self {
        Self(vec![vec![Part::Words(words.into())]])
    }

    /// Adds a line.
    pub(super) fn line(mut self, parts: impl Into<Vec<Part>>) -> Self {
        self.0.push(parts.into());
        self
    }
}

/// Text in a tooltip line.
pub(super) fn words(words: impl Into<String>) -> Part {
    Part::Words(words.into())
}

impl Axis {
    /// A linear axis.
    pub(super) fn linear(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            scale: Scale::Linear,
            numbers: Numbers::Suffix,
            range: None,
            ticks: Ticks::Fitting,
            grid: true,
            from_zero: false,
            place: None,
        }
    }
}

impl Series {
    /// Points without line or marker.
    pub(super) fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self {
            name: name.into(),
            group: None,
            in_legend: false,
            panel: 0,
            points: points.into_iter().collect(),
            line: None,
            marker: None,
            fill: None,
            hover: Hover::default(),
            values: Vec::new(),
        }
    }
}

impl Line {
    /// A solid line.
    pub(super) fn solid(colour: impl Into<String>, width: f64) -> Self {
        Self { colour: colour.into(), width, dash: Dash::Solid }
    }
}

impl Marker {
    /// A disc of a single colour.
    pub(super) fn disc(colour: impl Into<String>, size: f64) -> Self {
        Self { symbol: Symbol::Circle, sizes: Sizes::All(size), fill: Fill::All(colour.into()), edge: None }
    }
}

//! What a figure consists of, whatever draws it: panels with axes, marks in them, and what stands behind the marks.
//!
//! Text is text: whoever draws a figure escapes it. A line break in a title is `\n`.

/// A figure with the sentence that says how to read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name among the figures of a page.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it shows and how to read it.
    pub explanation: String,
    /// Pixels.
    pub height: usize,
    /// At least one.
    pub panels: Vec<Panel>,
    /// In the order in which they are drawn.
    pub marks: Vec<Mark>,
    /// Stretches behind the marks of the first panel.
    pub bands: Vec<Band>,
}

/// A pair of axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Across; `None` where the panel stands above the last one and has its axis.
    pub x: Option<Axis>,
    /// Up.
    pub y: Axis,
}

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it counts, and in which unit.
    pub title: String,
    /// How values lie on it.
    pub scale: Scale,
    /// How numbers are written at its ticks.
    pub numbers: Numbers,
    /// Its ends, in units of the axis; from all marks where `None`. The first may be the larger one.
    pub range: Option<[f64; 2]>,
    /// Where its ticks are, and what stands at each.
    pub ticks: Ticks,
    /// Whether lines cross the panel at its ticks.
    pub grid: bool,
    /// Whether zero is on it, whatever the marks are.
    pub from_zero: bool,
    /// The part of the figure it takes, from 0 to 1, the left and the lower end first; all where `None`.
    pub place: Option<[f64; 2]>,
}

/// How values lie on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps are equally long.
    Linear,
    /// Equal factors are equally long.
    Log,
}

/// How numbers are written at ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// With a suffix: 4M.
    Suffix,
    /// With a power of ten.
    Power,
    /// As whole percentages.
    Percent,
}

/// Where an axis has its ticks.
#[derive(Debug, Clone, PartialEq)]
pub enum Ticks {
    /// Where they fit.
    Fitting,
    /// At most so many.
    AtMost(u32),
    /// At each power of ten.
    Powers,
    /// Here, with these words.
    At(Vec<(f64, String)>),
}

/// Something drawn in a panel.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// Points, a line through them, or both.
    Series(Series),
    /// Bars from the left, one below the other.
    Bars(Bars),
    /// A surface seen from above.
    Surface(Surface),
}

/// Points, a line through them, or both.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What the legend calls it; empty where nothing does.
    pub name: String,
    /// Marks of one group appear and disappear together.
    pub group: Option<String>,
    /// Whether it stands in the legend.
    pub in_legend: bool,
    /// The number of its panel.
    pub panel: usize,
    /// Its points; the line has a gap where one is not finite.
    pub points: Vec<(f64, f64)>,
    /// The line through them.
    pub line: Option<Line>,
    /// What marks each of them.
    pub marker: Option<Marker>,
    /// The colour of what the line encloses.
    pub fill: Option<String>,
    /// What is said of a point.
    pub hover: Hover,
    /// Values of each point that `hover` names beside its place.
    pub values: Vec<Vec<Value>>,
}

/// A value of a point, to be told.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// Words, which may be of several lines.
    Words(String),
}

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its colour, as CSS writes it.
    pub colour: String,
    /// Pixels.
    pub width: f64,
    /// Its pattern.
    pub dash: Dash,
}

/// The pattern of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Dash {
    Solid,
    Dashed,
    Dotted,
    DashDotted,
}

/// What marks points.
#[derive(Debug, Clone, PartialEq)]
pub struct Marker {
    /// Its shape.
    pub symbol: Symbol,
    /// Pixels: of all points, or of each.
    pub sizes: Sizes,
    /// What it is filled with.
    pub fill: Fill,
    /// The line around it: colour and pixels.
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

/// How large markers are, pixels.
#[derive(Debug, Clone, PartialEq)]
pub enum Sizes {
    /// All alike.
    All(f64),
    /// One by one.
    Each(Vec<f64>),
}

/// What markers are filled with.
#[derive(Debug, Clone, PartialEq)]
pub enum Fill {
    /// One colour.
    All(String),
    /// A colour for each point.
    Each(Vec<String>),
    /// By a value of each point.
    Shaded(Vec<f64>, Shades),
}

/// Colours of a range of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Shades {
    /// The value of the first colour.
    pub low: f64,
    /// The value of the last colour.
    pub high: f64,
    /// Colours equally far apart.
    pub stops: Vec<String>,
}

/// Bars from the left, one below the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// Names and lengths, the lowest first.
    pub bars: Vec<(String, f64)>,
    /// Their colour.
    pub colour: String,
    /// What is said of a bar.
    pub hover: Hover,
}

/// A surface seen from above, with lines of equal height.
#[derive(Debug, Clone, PartialEq)]
pub struct Surface {
    /// Places across.
    pub x: Vec<f64>,
    /// Places up.
    pub y: Vec<f64>,
    /// The height at each place up, and there at each place across.
    pub heights: Vec<Vec<f64>>,
    /// Their colours.
    pub shades: Shades,
    /// What the heights are.
    pub title: &'static str,
    /// What is said of a place.
    pub hover: Hover,
}

/// A stretch behind the marks.
#[derive(Debug, Clone, PartialEq)]
pub enum Band {
    /// All heights between two places across, in units of the axis, with words at its top.
    Between([f64; 2], &'static str),
    /// All places across between two heights.
    Heights([f64; 2]),
    /// A line at a height.
    Level(f64),
}

/// What is said of a mark under the pointer, line by line. Empty where it says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hover(pub Vec<Vec<Part>>);

/// Part of a line.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Words.
    Words(String),
    /// The place across.
    X(Digits),
    /// The place up.
    Y(Digits),
    /// The height of a surface.
    Z(Digits),
    /// One of the point's values, by its number.
    Value(usize, Digits),
}

/// How a number is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digits {
    /// As it is.
    All,
    /// Three, with a suffix: 4.00M.
    Suffix,
    /// Three, in the shorter of two ways.
    Three,
    /// Three behind a point, times a power of ten.
    Power,
    /// So many behind the point.
    Fixed(u8),
    /// One behind the point, with its sign.
    Signed,
    /// A whole percentage.
    Percent,
}

impl Hover {
    /// A first line of words.
    pub(super) fn titled(words: impl Into<String>) -> Self {
        Self(vec![vec![Part::Words(words.into())]])
    }

    /// One line more.
    pub(super) fn line(mut self, parts: impl Into<Vec<Part>>) -> Self {
        self.0.push(parts.into());
        self
    }
}

/// Words in a line.
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
    /// Points with nothing to show them yet.
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
    /// A line without gaps of its own.
    pub(super) fn solid(colour: impl Into<String>, width: f64) -> Self {
        Self { colour: colour.into(), width, dash: Dash::Solid }
    }
}

impl Marker {
    /// A disc of one colour.
    pub(super) fn disc(colour: impl Into<String>, size: f64) -> Self {
        Self { symbol: Symbol::Circle, sizes: Sizes::All(size), fill: Fill::All(colour.into()), edge: None }
    }
}

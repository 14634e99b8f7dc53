//! The table of results, each with its limit.

use std::fmt;

/// The limit of a result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bar {
    AtLeast(f64),
    AtMost(f64),
    /// No limit; the figure is for information.
    None,
}

/// One line of the table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) work: String,
    pub(crate) ours: String,
    pub(crate) original: String,
    /// The figure that is compared with the limit, and its unit (`x` for a ratio).
    pub(crate) figure: Option<(f64, &'static str)>,
    pub(crate) bar: Option<Bar>,
}

/// The rows of the table, in the order of the measurements.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(crate) fn add(&mut self, row: Row) {
        println!("  {}: {} (original: {})", row.work, row.ours, row.original);
        self.0.push(row);
    }

    pub(crate) fn add_all(&mut self, rows: Vec<Row>) {
        for row in rows {
            self.add(row);
        }
    }

    /// Returns true if every figure is within its limit.
    pub(crate) fn all_reached(&self) -> bool {
        self.0.iter().all(|row| row.verdict() != Some(false))
    }
}

impl Row {
    fn verdict(&self) -> Option<bool> {
        match (self.figure?.0, self.bar?) {
            (figure, Bar::AtLeast(bar)) => Some(figure >= bar),
            (figure, Bar::AtMost(bar)) => Some(figure <= bar),
            (_, Bar::None) => None,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.figure.map_or("", |(_, unit)| unit);
        let figure = self.figure.map_or_else(String::new, |(figure, _)| number(figure, unit));
        let bar = match self.bar {
            Some(Bar::AtLeast(bar)) => format!("≥ {}", number(bar, unit)),
            Some(Bar::AtMost(bar)) => format!("≤ {}", number(bar, unit)),
            Some(Bar::None) | None => String::new(),
        };
        let verdict = match self.verdict() {
            Some(true) => "reached",
            Some(false) => "**missed**",
            None => "",
        };
        let Self { work, ours, original, .. } = self;
        write!(formatter, "| {work} | {ours} | {original} | {figure} | {bar} | {verdict} |")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "| work | sealed-secrets-rs | original | compared | bar | |")?;
        writeln!(formatter, "|---|---|---|---|---|---|")?;
        self.0.iter().try_for_each(|row| writeln!(formatter, "{row}"))
    }
}

/// Formats a figure, with two decimals where they are significant.
fn number(figure: f64, unit: &str) -> String {
    let space = if unit.is_empty() || unit == "x" { "" } else { " " };
    let digits = if figure.abs() >= 10.0 || figure.fract() == 0.0 { 0 } else { 2 };
    format!("{figure:.digits$}{space}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(figure: f64, bar: Bar) -> Row {
        Row { work: "w".into(), figure: Some((figure, "x")), bar: Some(bar), ..Row::default() }
    }

    #[test]
    fn the_verdict_follows_from_figure_and_bar() {
        assert_eq!(row(6.0, Bar::AtLeast(6.0)).verdict(), Some(true));
        assert_eq!(row(5.9, Bar::AtLeast(6.0)).verdict(), Some(false));
        assert_eq!(row(1.1, Bar::AtMost(1.1)).verdict(), Some(true));
        assert_eq!(row(1.11, Bar::AtMost(1.1)).verdict(), Some(false));
        assert_eq!(row(f64::NAN, Bar::AtMost(1.1)).verdict(), Some(false));
        assert_eq!(row(1.0, Bar::None).verdict(), None);
        assert!(!Table(vec![row(1.0, Bar::None), row(2.0, Bar::AtMost(1.0))]).all_reached());
    }

    #[test]
    fn a_row_is_a_line_of_markdown() {
        assert_eq!(row(6.25, Bar::AtLeast(8.0)).to_string(), "| w |  |  | 6.25x | ≥ 8x | **missed** |");
    }
}

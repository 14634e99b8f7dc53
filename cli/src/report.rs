//! Reports of subcommands on stdout: a text for people, JSON or YAML for programs.

use clap::ValueEnum;
use jiff::SignedDuration;
use sealed_secrets_core::manifest::{Format, object_text};
use serde_json::Value;

use crate::error::Error;
use crate::{escape, io};

/// The format of a report, `-o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// One YAML document.
    Yaml,
}

/// Writes the report to stdout, the text escaped. `value` is a mapping, `text` ends with a newline.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn write(format: ReportFormat, value: &Value, text: &str) -> Result<(), Error> {
    match format {
        ReportFormat::Text => io::write(None, escape::lines(text).as_bytes()),
        ReportFormat::Json => io::write(None, object_text(value, Format::Json).as_bytes()),
        ReportFormat::Yaml => io::write(None, object_text(value, Format::Yaml).as_bytes()),
    }
}

/// Formats a table: escaped cells in aligned columns, two spaces apart. Every row has the same number of cells.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| escape::line(cell)).collect()).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(row.len().max(widths.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut output = String::new();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        output.extend([cells.join("  ").trim_end(), "\n"]);
    }
    output
}

/// Formats a duration in its largest unit, as kubectl does with ages.
pub(crate) fn age(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_line_ends_with_blanks() {
        let rows = [["NAME", "AGE"], ["a-long-name", "1d"], ["b", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "NAME         AGE\na-long-name  1d\nb\n");
    }

    #[test]
    fn ages_are_in_their_largest_unit() {
        let seen = [-5, 59, 60, 7_199, 7_200, 172_799, 172_800, 2_592_000]
            .map(|seconds| age(SignedDuration::from_secs(seconds)));
        assert_eq!(seen, ["0s", "59s", "1m", "119m", "2h", "47h", "2d", "30d"]);
    }
}

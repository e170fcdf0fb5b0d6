//! Records of a gateway as results. In: JSON rows, and which of their values people want to see. Out: a table, an
//! array, or a line of JSON each. What strangers wrote never reaches a terminal as more than text.

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use super::output::{Failure, clean, one_line, print_line, print_text};

/// How records are printed.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Listing {
    /// `table` for people, `json` for one value, `ndjson` for a line of JSON each
    #[arg(short, long, value_enum, default_value = "table")]
    output: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Way {
    Table,
    Json,
    Ndjson,
}

impl Listing {
    /// Prints rows; `cells` are the values of one row under `head`.
    pub(super) fn rows(
        self,
        rows: &[Value],
        head: &[&str],
        cells: impl Fn(&Value) -> Vec<String>,
    ) -> Result<(), Failure> {
        match self.output {
            Way::Table => {
                let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
                print_text(&table(head, &rows))
            }
            Way::Json => print_line(&Value::from(rows).to_string()),
            Way::Ndjson => rows.iter().try_for_each(|row| print_line(&row.to_string())),
        }
    }

    /// Prints one record; `lines` are what people see of it.
    pub(super) fn record(self, record: &Value, lines: &[(&str, String)]) -> Result<(), Failure> {
        if self.output != Way::Table {
            return print_line(&record.to_string());
        }
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let line = |(name, text): &(&str, String)| {
            let under = format!("\n{:width$}  ", "");
            clean(&format!("{name:width$}  {}", text.trim_end().replace('\n', &under))) + "\n"
        };
        print_text(&lines.iter().map(line).collect::<String>())
    }

    /// Whether people read it.
    pub(super) fn is_table(self) -> bool {
        self.output == Way::Table
    }

    /// Whether it is one value, however many records it has.
    pub(super) fn is_json(self) -> bool {
        self.output == Way::Json
    }
}

/// Columns as wide as they must be; the last is not filled up.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head = head.iter().map(|name| (*name).to_owned()).collect();
    let line =
        |row: &Vec<String>| -> Vec<String> { row.iter().map(|cell| one_line(cell)).collect() };
    let lines: Vec<Vec<String>> = [&head].into_iter().chain(rows).map(line).collect();
    let wide = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.width()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(wide).collect();
    let text = |line: &Vec<String>| {
        let fill = |(cell, width): (&String, &usize)| {
            format!("{cell}{:1$}", "", width.saturating_sub(cell.width()))
        };
        let cells = line.iter().zip(&widths).map(fill);
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(text).collect()
}

/// A text of a record, or nothing.
pub(super) fn text(record: &Value, key: &str) -> String {
    record[key].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_one_another() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [
            row(["ü", "on", "x"]),
            row(["a\x1b[31m\nb", "", "long"]),
            row(["日本語", "off", "wide"]),
        ];
        let expected = "\
NAME           STATE  ID
ü              on     x
a\\u{1b}[31m b         long
日本語         off    wide
";
        assert_eq!(table(&["NAME", "STATE", "ID"], &rows), expected);
        assert_eq!(table(&["NAME"], &[]), "NAME\n");
    }
}

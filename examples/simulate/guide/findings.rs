use std::fmt::Write;

use super::Measured;
use super::row::Row;

/// Less than this is not worth a word.
const WORTH_A_WORD: f64 = 0.01;

/// Where the adaptive picker is not the best, in words.
pub(super) fn of(measured: &[(&str, Vec<Measured>)]) -> String {
    let columns: Vec<&Measured> = measured.iter().flat_map(|(_, table)| table).collect();
    let mut text = format!(
        "\nWhere `adaptive` is not the lowest of those that need no more of the servers than it has, by \
         {:.0} % or more of its p99 (of {} columns):\n\n",
        WORTH_A_WORD * 100.0,
        columns.len(),
    );
    for ours in Row::ALL.into_iter().filter(|row| row.is_adaptive()) {
        let lost = columns.iter().filter_map(|column| better(column, ours));
        let lost: Vec<String> = lost.collect();
        let lost = match lost.len() {
            0 => "nowhere".to_owned(),
            _ => lost.join("; "),
        };
        let _ = writeln!(text, "* {}: {lost}.", ours.name());
    }
    text
}

/// Who is, and by how much.
fn better(measured: &Measured, ours: Row) -> Option<String> {
    let mine = measured.mean(ours);
    let others = Row::ALL
        .into_iter()
        .filter(|row| !row.is_adaptive() && !row.is_central_queue() && row.level() <= ours.level());
    let means = others.map(|row| (measured.mean(row), row));
    let (mean, row) = means.min_by(|one, other| one.0.total_cmp(&other.0))?;
    let less = 1.0 - mean / mine;
    (less >= WORTH_A_WORD).then(|| {
        let name = &measured.column.name;
        format!("{name}: `{}` {:.0} % lower", row.name(), less * 100.0)
    })
}

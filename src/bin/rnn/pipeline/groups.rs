//! Rows of a table as sequences: those with the same text in one column, which may stand between other rows.

use std::collections::HashMap;

use anyhow::Result;
use elman::PackedSequence;
use elman::files::KeptCells;
use ndarray::{Array1, ArrayD, Axis};

use super::rows::packed_of;

/// The sequences of a table, in the order of their first rows.
pub(crate) struct Groups {
    /// The text of each sequence, under the name of the column.
    pub(crate) names: KeptCells,
    /// The row of the table at each place in packed order.
    pub(crate) rows: PackedSequence<usize>,
}

impl Groups {
    /// Groups rows by the cells of a column.
    pub(crate) fn of(cells: &KeptCells, column: usize) -> Result<Self> {
        let (mut numbers, mut names) = (HashMap::new(), Vec::new());
        let mut rows: Vec<Vec<usize>> = Vec::new();
        for row in 0..cells.rows() {
            let cell = cells.row(row).nth(column).unwrap_or_default();
            let number = *numbers.entry(cell).or_insert_with(|| {
                names.push(cell);
                rows.push(Vec::new());
                rows.len() - 1
            });
            rows[number].push(row);
        }
        let rows: Vec<ArrayD<usize>> =
            rows.into_iter().map(|rows| Array1::from(rows).into_dyn()).collect();
        let names = KeptCells::column(&cells.names[column], names);
        Ok(Groups { names, rows: packed_of(&rows, &[])? })
    }
}

/// The rows of a table in packed order.
pub(super) fn packed<U: Clone>(
    table: &ArrayD<U>,
    rows: &PackedSequence<usize>,
) -> Result<PackedSequence<U>> {
    let order: Vec<_> = rows.data.iter().copied().collect();
    Ok(rows.with_data(table.select(Axis(0), &order))?)
}

/// The place of each row of the table in packed order.
pub(super) fn places(rows: &PackedSequence<usize>) -> Vec<usize> {
    let mut places = vec![0; rows.data.len()];
    rows.data.iter().enumerate().for_each(|(place, &row)| places[row] = place);
    places
}

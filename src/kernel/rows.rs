//! A mutable view of some columns of a matrix.

use std::marker::PhantomData;
use std::ops::Range;

/// (rows, columns); row r starts `r * stride` elements behind the first.
///
/// The view borrows these columns alone; the columns between them may belong to another view.
pub(crate) struct RowsMut<'a, T> {
    pub(super) first: *mut T,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) stride: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: the view borrows its elements exclusively, as a mutable slice does, which is `Send` for the same `T`.
unsafe impl<T: Send> Send for RowsMut<'_, T> {}

impl<'a, T> RowsMut<'a, T> {
    /// Rows of a slice.
    pub(crate) fn new(data: &'a mut [T], rows: usize, columns: usize, stride: usize) -> Self {
        let last = rows.saturating_sub(1).checked_mul(stride);
        let end = last.and_then(|last| last.checked_add(columns));
        assert!(rows == 0 || end.is_some_and(|end| end <= data.len()));
        // SAFETY: the rows lie in the slice, which is borrowed for as long as the view lives.
        unsafe { RowsMut::from_raw(data.as_mut_ptr(), rows, columns, stride) }
    }

    /// Rows at a pointer.
    ///
    /// # Safety
    /// For `'a`, all columns of all rows are valid for reading and writing, and no other code accesses them.
    pub(super) unsafe fn from_raw(
        first: *mut T,
        rows: usize,
        columns: usize,
        stride: usize,
    ) -> Self {
        assert!(rows <= 1 || columns <= stride);
        RowsMut { first, rows, columns, stride, owner: PhantomData }
    }

    /// Some of the rows.
    pub(crate) fn range(&mut self, rows: Range<usize>) -> RowsMut<'_, T> {
        assert!(rows.start <= rows.end && rows.end <= self.rows);
        let first = self.first.wrapping_add(rows.start * self.stride);
        RowsMut { first, rows: rows.len(), owner: PhantomData, ..*self }
    }

    /// The columns before `column`, and the others.
    pub(crate) fn split_at_column(self, column: usize) -> (RowsMut<'a, T>, RowsMut<'a, T>) {
        assert!(column <= self.columns);
        let right = self.first.wrapping_add(column);
        let columns = self.columns - column;
        (RowsMut { columns: column, ..self }, RowsMut { first: right, columns, ..self })
    }

    /// The columns of a row.
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows);
        let first = self.first.wrapping_add(row * self.stride);
        // SAFETY: the row belongs to this view, which owns its columns and is borrowed meanwhile.
        unsafe { std::slice::from_raw_parts_mut(first, self.columns) }
    }
}

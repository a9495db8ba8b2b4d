//! Tensors on their way from one file to another: parts of their axes, in another order, as another type.

use crate::files::error::FileError;

/// The changes to a tensor: first its parts are taken, then their axes are moved, then the numbers are converted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversion {
    /// What is taken of the first axes, one for each; the other axes are taken whole.
    pub slices: Vec<AxisSlice>,
    /// Two axes that are swapped, or all of them in a new order; empty for their own order. A negative axis counts
    /// from the last one.
    pub axes: Vec<isize>,
}

/// What is taken of an axis, as in Python: a negative index counts from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisSlice {
    /// One index, without the axis.
    Index(isize),
    /// `start:end:step`, with ends that may lie outside of the axis.
    Range {
        /// The first index; the first one of the axis by default.
        start: Option<isize>,
        /// The index behind the last one; that of the axis by default.
        end: Option<isize>,
        /// The distance of two indices, at least 1.
        step: usize,
    },
}

/// A conversion of tensors of one shape.
#[derive(Debug)]
pub(super) struct Plan {
    /// For each axis of the source, the indices that are taken.
    pub(super) taken: Vec<Taken>,
    /// Sizes of the axes that stay.
    pub(super) kept: Vec<usize>,
    /// For each axis of the result, the one of `kept` that it is.
    pub(super) order: Vec<usize>,
}

/// Indices of an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    start: usize,
    step: usize,
    count: usize,
}

impl Taken {
    pub(super) fn contains(self, index: usize) -> bool {
        index >= self.start
            && (index - self.start).is_multiple_of(self.step)
            && (index - self.start) / self.step < self.count
    }
}

impl AxisSlice {
    /// The indices of an axis of this size; `None` for an index outside of it.
    fn of(self, size: usize) -> Option<Taken> {
        let at = |index: isize| match usize::try_from(index) {
            Ok(index) => index.min(size),
            Err(_) => size.saturating_sub(index.unsigned_abs()),
        };
        match self {
            AxisSlice::Index(index) => {
                let inside = index.unsigned_abs() < size + usize::from(index < 0);
                inside.then(|| Taken { start: at(index), step: 1, count: 1 })
            }
            AxisSlice::Range { start, end, step } => {
                let (start, end) = (start.map_or(0, at), end.map_or(size, at));
                Some(Taken { start, step, count: end.saturating_sub(start).div_ceil(step) })
            }
        }
    }
}

impl Conversion {
    /// The conversion of a tensor of this shape.
    pub(super) fn plan(&self, place: &str, shape: &[usize]) -> Result<Plan, FileError> {
        let malformed = |what: String| FileError::malformed(place, what);
        let (slices, axes) = (self.slices.len(), shape.len());
        if slices > axes {
            let what = format!("expected at most {axes} slices for shape {shape:?}, got {slices}");
            return Err(malformed(what));
        }
        let whole = AxisSlice::Range { start: None, end: None, step: 1 };
        let (mut taken, mut kept) = (Vec::new(), Vec::new());
        for (axis, &size) in shape.iter().enumerate() {
            let slice = self.slices.get(axis).copied().unwrap_or(whole);
            let own = slice.of(size).ok_or_else(|| {
                malformed(format!(
                    "expected an index of axis {axis} in shape {shape:?}, got {slice}"
                ))
            })?;
            taken.push(own);
            kept.extend(matches!(slice, AxisSlice::Range { .. }).then_some(own.count));
        }
        let order = self.order(kept.len()).ok_or_else(|| {
            let axes = self.axes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            malformed(format!(
                "expected two axes, or all in another order, of shape {kept:?}, got {axes}"
            ))
        })?;
        Ok(Plan { taken, kept, order })
    }

    /// The axes of the result; `None` if they are not those of a tensor of this rank.
    fn order(&self, rank: usize) -> Option<Vec<usize>> {
        let own = |&axis: &isize| match usize::try_from(axis) {
            Ok(axis) => Some(axis),
            Err(_) => rank.checked_sub(axis.unsigned_abs()),
        };
        let typed: Vec<_> = self.axes.iter().map(own).collect::<Option<_>>()?;
        let mut order: Vec<_> = (0..rank).collect();
        match typed[..] {
            [] => {}
            [first, second] if first < rank && second < rank => order.swap(first, second),
            _ => {
                let mut sorted = typed.clone();
                sorted.sort_unstable();
                return (sorted == order).then_some(typed);
            }
        }
        Some(order)
    }
}

impl Plan {
    /// The shape of the result.
    pub(super) fn shape(&self) -> Vec<usize> {
        self.order.iter().map(|&axis| self.kept[axis]).collect()
    }

    /// Whether the numbers of the result are in the order of the source.
    pub(super) fn is_in_order(&self) -> bool {
        self.order.is_sorted()
    }

    /// The place among the numbers that are taken of each number of the result.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> + use<'_> {
        let stride = |&axis: &usize| self.kept[axis + 1..].iter().product();
        let strides: Vec<usize> = self.order.iter().map(stride).collect();
        let shape = self.shape();
        let (mut index, mut place) = (vec![0; shape.len()], 0);
        (0..shape.iter().product()).map(move |_| {
            let own = place;
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                place += strides[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                place -= strides[axis] * shape[axis];
                index[axis] = 0;
            }
            own
        })
    }
}

impl std::fmt::Display for AxisSlice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |end: Option<isize>| end.map_or(String::new(), |end| end.to_string());
        match *self {
            AxisSlice::Index(index) => write!(f, "{index}"),
            AxisSlice::Range { start, end, step: 1 } => write!(f, "{}:{}", text(start), text(end)),
            AxisSlice::Range { start, end, step } => {
                write!(f, "{}:{}:{step}", text(start), text(end))
            }
        }
    }
}

impl std::str::FromStr for AxisSlice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("expected an index or a slice of Python such as 0:10, got '{text}'");
        let parts: Vec<_> = text.split(':').map(str::trim).collect();
        let number = |text: &str| text.parse::<isize>().map_err(|_| expected());
        let end = |text: &str| if text.is_empty() { Ok(None) } else { number(text).map(Some) };
        match parts[..] {
            [index] => number(index).map(AxisSlice::Index),
            [start, last] => Ok(AxisSlice::Range { start: end(start)?, end: end(last)?, step: 1 }),
            [start, last, step] => {
                let step = if step.is_empty() { Some(1) } else { step.parse().ok() };
                let step = step.filter(|&step| step > 0).ok_or_else(expected)?;
                Ok(AxisSlice::Range { start: end(start)?, end: end(last)?, step })
            }
            _ => Err(expected()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(slices: &str, axes: &[isize], shape: &[usize]) -> Result<Plan, String> {
        let slices = slices.split(',').filter(|slice| !slice.is_empty());
        let slices = slices.map(|slice| slice.parse().unwrap()).collect();
        let conversion = Conversion { slices, axes: axes.to_vec() };
        conversion.plan("x", shape).map_err(|error| error.to_string())
    }

    #[test]
    fn slices_are_those_of_python() {
        let taken = |slice: &str| {
            let own = plan(slice, &[], &[5]).unwrap().taken[0];
            (0..5).filter(|&index| own.contains(index)).collect::<Vec<_>>()
        };
        for (slice, expected) in [
            (":", &[0, 1, 2, 3, 4][..]),
            ("1:3", &[1, 2]),
            ("-2:", &[3, 4]),
            (":-3", &[0, 1]),
            ("::2", &[0, 2, 4]),
            ("1:9:3", &[1, 4]),
            ("3:1", &[]),
            ("-9:1", &[0]),
            ("-1", &[4]),
            ("0", &[0]),
        ] {
            assert_eq!(taken(slice), expected, "{slice}");
        }
        assert_eq!(plan("1,:,0:2", &[], &[3, 4, 5]).unwrap().shape(), [4, 2]);
        let error = |slices: &str| plan(slices, &[], &[5]).unwrap_err();
        for outside in ["5", "-6"] {
            let expected = format!("x: expected an index of axis 0 in shape [5], got {outside}");
            assert_eq!(error(outside), expected);
        }
        assert_eq!(error(":,:"), "x: expected at most 1 slices for shape [5], got 2");
        for wrong in ["", "a", "1:2:0", "1:2:-1", "1:2:3:4", "1.5"] {
            assert!(wrong.parse::<AxisSlice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn axes_are_swapped_or_all_moved() {
        let shape = |axes: &[isize]| plan("", axes, &[2, 3, 4]).map(|plan| plan.shape());
        assert_eq!(shape(&[]).unwrap(), [2, 3, 4]);
        assert_eq!(shape(&[0, 1]).unwrap(), [3, 2, 4]);
        assert_eq!(shape(&[-1, 0]).unwrap(), [4, 3, 2]);
        assert_eq!(shape(&[2, 0, 1]).unwrap(), [4, 2, 3]);
        for wrong in [&[0, 3][..], &[0], &[0, 0, 1], &[-4, 0], &[0, 1, 2, 3]] {
            let typed: Vec<_> = wrong.iter().map(ToString::to_string).collect();
            let expected = format!(
                "x: expected two axes, or all in another order, of shape [2, 3, 4], got {}",
                typed.join(",")
            );
            assert_eq!(shape(wrong).unwrap_err(), expected);
        }
        // The place of [i, j, k] is 12 i + 4 j + k; the result's axes are k, i, j.
        let plan = plan("", &[2, 0, 1], &[2, 3, 4]).unwrap();
        let expected =
            (0..4).flat_map(|k| (0..2).flat_map(move |i| (0..3).map(move |j| 12 * i + 4 * j + k)));
        assert!(plan.places().eq(expected));
    }
}

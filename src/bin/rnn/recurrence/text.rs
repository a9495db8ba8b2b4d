//! The numbers of a step for people, in lines of 80 characters.

use ndarray::ArrayView1;

use super::origin::Origin;
use super::{Moment, Recurrence, Unit};
use crate::report::layer_line;

/// The width of a page.
const WIDTH: usize = 80;
/// Most units that are shown without `--units`.
const MAX_UNITS: usize = 8;
/// Most numbers of a vector, and most terms of a sum.
const MAX_NUMBERS: usize = 16;

impl Recurrence<'_> {
    /// The report. The terms of `units` are shown, or those of unit 0 if there are none.
    pub(crate) fn text(&self, units: &[usize], precision: usize, origin: &Origin) -> String {
        let mut lines = self.head();
        lines.push(String::new());
        lines.extend(self.diagram());
        lines.push(String::new());
        lines.push(self.formula());
        lines.extend(self.operands(precision));
        lines.push(String::new());
        let hidden_size = self.config.hidden_size;
        let first: Vec<_> = (0..hidden_size.min(MAX_UNITS)).collect();
        let (listed, terms) =
            if units.is_empty() { (&first[..], &first[..1]) } else { (units, units) };
        lines.extend(self.table(listed, precision));
        if units.is_empty() && first.len() < hidden_size {
            let last = first.len() - 1;
            lines.push(format!("units 0 to {last} of {hidden_size}; --units shows others"));
        }
        for &unit in terms {
            lines.push(String::new());
            lines.extend(self.terms(unit, precision));
        }
        lines.extend([String::new(), "The same in Python:".to_owned(), String::new()]);
        lines.extend(self.python(origin));
        lines.join("\n") + "\n"
    }

    /// The layer and the place of the step.
    fn head(&self) -> Vec<String> {
        let Moment { step, row, layer, direction } = self.moment;
        let (steps, layers) = (self.steps, self.config.num_layers);
        let batch = self.count;
        let (reverse, direction) =
            (self.about.is_reverse(direction), self.about.direction(direction));
        let name = self.about.names.get(row).map_or(String::new(), |name| format!(" ({name})"));
        let zeros = || "zeros".to_owned();
        let weights = self.about.weights.as_deref().unwrap_or("fresh");
        let h_0 = self.about.h_0.clone().unwrap_or_else(zeros);
        let mut lines = vec![
            layer_line(self.config, self.about.dtype),
            format!("weights {weights}, input {}, h_0 {h_0}", self.about.input),
            format!(
                "step {step} of {steps}, row {row} of {batch}{name}, layer {layer} of {layers}, {direction} (all from 0)"
            ),
        ];
        if reverse {
            lines.push("this direction runs from the last step to the first".to_owned());
        }
        lines
    }

    /// The vectors that go in.
    fn operands(&self, precision: usize) -> Vec<String> {
        let Moment { step, layer, .. } = self.moment;
        let from = match layer.checked_sub(1) {
            None => "the input".to_owned(),
            Some(below) if self.config.bidirectional => {
                format!("the output of layer {below}, both directions side by side")
            }
            Some(below) => format!("the output of layer {below}"),
        };
        let before = match self.step_before {
            None => "the first state of this layer and direction".to_owned(),
            Some(before) => format!("the hidden state after step {before}"),
        };
        let mut lines = vec![format!("x[{step}], ({}), {from}:", self.x.len())];
        lines.extend(vector(&self.x, precision));
        lines.push(format!("{}, ({}), {before}:", self.name_before(), self.before.len()));
        lines.extend(vector(&self.before, precision));
        lines
    }

    /// A line for each unit: the summands, the sum, the result.
    fn table(&self, units: &[usize], precision: usize) -> Vec<String> {
        let [input, hidden] = self.sums();
        let result = format!("h[{}]", self.moment.step);
        let head = ["unit".to_owned(), input, hidden, "sum".to_owned(), result];
        let row = |&unit: &usize| {
            let Unit { index, summands: [input, hidden], sum, h } = self.unit(unit);
            let [a, b, c, d] = [input, hidden, sum, h].map(|value| digits(value, precision));
            [index.to_string(), a, b, c, d]
        };
        let rows: Vec<_> = std::iter::once(head).chain(units.iter().map(row)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: [usize; 5] = std::array::from_fn(width);
        let line = |row: &[String; 5]| {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}"));
            cells.collect::<Vec<_>>().join("   ")
        };
        rows.iter().map(line).collect()
    }

    /// The sums of a unit, term by term.
    fn terms(&self, unit: usize, precision: usize) -> Vec<String> {
        let word = |value| digits(value, precision);
        let mut rows: Vec<(String, String)> = Vec::new();
        let cell = &self.cell;
        let step = self.moment.step;
        for (name, weights, values, which) in [
            (format!("W_ih[{unit}] x[{step}]"), cell.weight_ih.row(unit), &self.x, 0),
            (
                format!("W_hh[{unit}] {}", self.name_before()),
                cell.weight_hh.row(unit),
                &self.before,
                1,
            ),
        ] {
            rows.push((name, self.sum_of(&weights, values, precision)));
            if let Some(biases) = &cell.biases {
                let name = format!("b_{}[{unit}]", ["ih", "hh"][which]);
                rows.push((name, word(biases[which][unit])));
            }
        }
        let Unit { sum, h, .. } = self.unit(unit);
        rows.push(("sum".to_owned(), word(sum)));
        rows.push((format!("{}(sum)", self.config.nonlinearity), word(h)));
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut lines = vec![format!("unit {unit}, term by term:")];
        for (name, words) in rows {
            let start = format!("{name:<width$} = ");
            lines.extend(wrapped(&start, words.split(SEPARATOR)));
        }
        lines
    }

    /// The products of a sum, and the sum.
    fn sum_of(&self, weights: &ArrayView1<'_, f64>, values: &[f64], precision: usize) -> String {
        let pairs = || weights.iter().zip(values);
        let mut words: Vec<_> = pairs()
            .take(MAX_NUMBERS)
            .enumerate()
            .map(|(k, (&w, &v))| {
                let plus = if k == 0 { "" } else { "+ " };
                format!("{plus}{}*{}", digits(w, precision), digits(v, precision))
            })
            .collect();
        let more = values.len().saturating_sub(MAX_NUMBERS);
        if more > 0 {
            words.push(format!("+ {more} more terms"));
        }
        let sum: f64 = pairs().map(|(w, v)| w * v).sum();
        words.push(format!("= {}", digits(self.rounded(sum), precision)));
        words.join(&SEPARATOR.to_string())
    }
}

/// Separates words; a line may break only here.
const SEPARATOR: char = '\n';

/// The numbers of a vector, the first ones of a long one.
fn vector(values: &[f64], precision: usize) -> Vec<String> {
    let mut words: Vec<_> =
        values.iter().take(MAX_NUMBERS).map(|&value| digits(value, precision)).collect();
    let width = words.iter().map(String::len).max().unwrap_or(0);
    for word in &mut words {
        *word = format!("{word:>width$}");
    }
    let more = values.len().saturating_sub(MAX_NUMBERS);
    if more > 0 {
        words.push(format!("... {more} more"));
    }
    wrapped("    ", words.iter().map(String::as_str))
}

/// Words in lines of the page; the lines after the first begin below the first word.
pub(super) fn wrapped<'a>(start: &str, words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = start.to_owned();
    let mut empty = true;
    for word in words {
        if !empty && line.len() + 1 + word.len() > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(start.len())));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line);
    lines
}

/// A number with some digits behind the point, correctly rounded; with an exponent if it is very large or very small.
fn digits(value: f64, precision: usize) -> String {
    let size = value.abs();
    // Without digits behind the point, 0.6 is 1, and 0.05 has an exponent.
    let small = 10.0_f64.powi(-i32::try_from(precision.max(1)).unwrap_or(i32::MAX));
    if !value.is_finite() {
        value.to_string().to_lowercase()
    } else if size >= 1e6 || size != 0.0 && size < small {
        format!("{value:.precision$e}")
    } else {
        format!("{value:.precision$}")
    }
}

#[cfg(test)]
mod tests {
    use super::{digits, wrapped};

    #[test]
    fn numbers_are_rounded_to_the_last_digit() {
        for (value, text) in [
            (0.123_45, "0.1235"),
            (-1.0, "-1.0000"),
            (0.0, "0.0000"),
            (1e-5, "1.0000e-5"),
            (123_456_789.0, "1.2346e8"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(digits(value, 4), text);
        }
        assert_eq!([2.5, 0.6, 0.05].map(|value| digits(value, 0)), ["2", "1", "5e-2"]);
    }

    #[test]
    fn lines_end_before_the_margin() {
        let words = vec!["0.12345"; 30];
        let lines = wrapped("sum = ", words.iter().copied());
        assert!(lines.iter().all(|line| line.len() <= 80) && lines.len() == 4, "{lines:?}");
        assert!(lines[1].starts_with("      0"));
    }
}

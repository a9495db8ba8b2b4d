//! The counts of a check, its first difference, and the report on both.

use std::fmt::Display;
use std::io::Write;

use anyhow::Result;
use elman::check::{ByteDifferences, Case};
use elman::{Element, Kernel};
use serde_json::{Value, json};

use crate::args::BenchForm;
use crate::failure::Bug;

/// What has been compared, and the results.
pub(super) struct Tally {
    pub(super) kernels: Vec<Kernel>,
    threads: Vec<usize>,
    /// Layers that have been drawn.
    pub(super) layers: usize,
    comparisons: usize,
    bytes_differ: u64,
    /// The first difference, as a line and as an object.
    first: Option<(String, Value)>,
}

impl Tally {
    pub(super) fn new(kernels: Vec<Kernel>, threads: Vec<usize>) -> Self {
        Tally { kernels, threads, layers: 0, comparisons: 0, bytes_differ: 0, first: None }
    }

    /// Adds a comparison of two variants of a case.
    pub(super) fn add<T: Element>(
        &mut self,
        case: &Case<T>,
        reference: &impl Display,
        variant: &impl Display,
        differences: &ByteDifferences,
    ) {
        self.comparisons += 1;
        self.bytes_differ += differences.bytes;
        let (None, Some(place)) = (&self.first, &differences.first) else { return };
        let (number, layer, [first, row, unit]) = (self.layers, described(case), place.index);
        let text = format!(
            "layer {number}, {layer}: {}: {} {first}, row {row}, unit {unit}: \
             expected {} ({reference}), got {} ({variant})",
            place.tensor, place.axis, place.expected, place.found,
        );
        let object = json!({
            "number": number,
            "layer": layer,
            "tensor": place.tensor,
            "index": place.index,
            "expected": { "run": reference.to_string(), "value": place.expected },
            "got": { "run": variant.to_string(), "value": place.found },
        });
        self.first = Some((text, object));
    }

    /// Prints the counts; a difference is an error, reported as a bug.
    pub(super) fn print(&self, form: BenchForm) -> Result<()> {
        let text = match form {
            BenchForm::None => String::new(),
            BenchForm::Json => format!("{}\n", self.json()),
            BenchForm::Text | BenchForm::Markdown => self.text(),
        };
        std::io::stdout().lock().write_all(text.as_bytes())?;
        self.first.as_ref().map_or(Ok(()), |(text, _)| Err(Bug(text.clone()).into()))
    }

    fn kernel_names(&self) -> Vec<&'static str> {
        self.kernels.iter().map(|kernel| kernel.name()).collect()
    }

    fn text(&self) -> String {
        let threads: Vec<_> = self.threads.iter().map(ToString::to_string).collect();
        format!(
            "{} layers, kernels {}, threads {}\n{} comparisons, {} bytes differ\n",
            self.layers,
            self.kernel_names().join(", "),
            threads.join(", "),
            self.comparisons,
            self.bytes_differ,
        )
    }

    fn json(&self) -> Value {
        json!({
            "comparisons": self.comparisons,
            "bytes_differ": self.bytes_differ,
            "layers": self.layers,
            "kernels": self.kernel_names(),
            "threads": self.threads,
            "first_difference": self.first.as_ref().map(|(_, object)| object),
        })
    }
}

/// The layer and the sizes of its input.
fn described<T: Element>(case: &Case<T>) -> String {
    let config = case.rnn.config();
    let (steps, batch, _) = case.input.dim();
    let (nonlinearity, dtype) = (config.nonlinearity, T::DTYPE);
    let layer = format!("{config}, {nonlinearity}, {dtype}, seq_len {steps}, batch {batch}");
    if case.lengths.iter().all(|&length| length == steps) {
        return layer;
    }
    format!("{layer}, lengths {:?}", case.lengths)
}

#[cfg(test)]
mod tests {
    use elman::{Config, Generator, Nonlinearity, Output, Rnn};
    use ndarray::Array3;

    use super::*;

    /// A check of one layer with the last bit of one number flipped.
    fn flipped() -> Tally {
        let config = Config { nonlinearity: Nonlinearity::Relu, ..Config::new(5, 2) };
        let case = Case {
            rnn: Rnn::<f32>::new(config, &mut Generator::new(0)).unwrap(),
            input: Array3::zeros((4, 3, 5)),
            h_0: Array3::zeros((1, 3, 2)),
            lengths: vec![4, 4, 2],
        };
        let output = || Output {
            output: Array3::<f32>::ones((4, 3, 2)).into_dyn(),
            h_n: Array3::<f32>::ones((1, 3, 2)).into_dyn(),
            lower_layers: Vec::new(),
        };
        let mut other = output();
        other.output[[3, 2, 1]] = 1.0_f32.next_up();
        let mut tally = Tally::new(vec![Kernel::best()], vec![1, 2]);
        tally.layers = 1;
        let equal = ByteDifferences::between(&output(), &output());
        let differ = ByteDifferences::between(&output(), &other);
        tally.add(&case, &"plain", &"equal", &equal);
        tally.add(&case, &"plain", &"flipped", &differ);
        // A second difference is counted, and not reported.
        tally.add(&case, &"plain", &"again", &differ);
        tally
    }

    #[test]
    fn a_difference_is_counted_and_reported_as_a_bug() {
        let tally = flipped();
        let kernel = Kernel::best().name();
        let expected =
            format!("1 layers, kernels {kernel}, threads 1, 2\n3 comparisons, 2 bytes differ\n");
        assert_eq!(tally.text(), expected);
        let error = tally.print(BenchForm::None).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Bug(_))));
        assert_eq!(
            error.to_string(),
            "layer 1, RNN(5, 2), relu, f32, seq_len 4, batch 3, lengths [4, 4, 2]: \
             output: step 3, row 2, unit 1: expected 1.0 (plain), got 1.0000001 (flipped)"
        );
    }

    #[test]
    fn scripts_read_the_first_difference() {
        let expected = json!({
            "comparisons": 3,
            "bytes_differ": 2,
            "layers": 1,
            "kernels": [Kernel::best().name()],
            "threads": [1, 2],
            "first_difference": {
                "number": 1,
                "layer": "RNN(5, 2), relu, f32, seq_len 4, batch 3, lengths [4, 4, 2]",
                "tensor": "output",
                "index": [3, 2, 1],
                "expected": { "run": "plain", "value": "1.0" },
                "got": { "run": "flipped", "value": "1.0000001" },
            },
        });
        assert_eq!(flipped().json().to_string(), expected.to_string());
    }
}

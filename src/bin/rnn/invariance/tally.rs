//! What a check has come to: counts, the first difference, and how they are said.

use std::io::Write;

use anyhow::Result;
use elman::Kernel;
use serde_json::{Value, json};

use super::compare::{Differences, Place};
use crate::args::BenchForm;
use crate::failure::Bug;

/// What has been compared, and what came out.
pub(super) struct Tally {
    kernels: Vec<Kernel>,
    threads: Vec<usize>,
    pub(super) layers: usize,
    comparisons: usize,
    bytes_differ: u64,
    first: Option<First>,
}

/// The first difference: the layer, and the runs whose results differ.
struct First {
    /// Of the layer, in the order in which they are drawn, counted from 1.
    number: usize,
    layer: String,
    expected: String,
    found: String,
    place: Place,
}

impl Tally {
    pub(super) fn new(kernels: Vec<Kernel>, threads: Vec<usize>) -> Self {
        Tally { kernels, threads, layers: 0, comparisons: 0, bytes_differ: 0, first: None }
    }

    /// Adds a comparison. `names` are those of the layer, of the reference, and of the run.
    pub(super) fn add(
        &mut self,
        differences: &Differences,
        names: impl FnOnce() -> (String, String, String),
    ) {
        self.comparisons += 1;
        self.bytes_differ += differences.bytes;
        if let (None, Some(place)) = (&self.first, &differences.first) {
            let (layer, expected, found) = names();
            let (number, place) = (self.layers, place.clone());
            self.first = Some(First { number, layer, expected, found, place });
        }
    }

    /// Prints the counts; a difference is an error, which is told to be a bug.
    pub(super) fn print(&self, form: BenchForm) -> Result<()> {
        let text = match form {
            BenchForm::None => String::new(),
            BenchForm::Json => format!("{}\n", self.json()),
            BenchForm::Text | BenchForm::Markdown => self.text(),
        };
        std::io::stdout().lock().write_all(text.as_bytes())?;
        match &self.first {
            None => Ok(()),
            Some(first) => Err(Bug(first.text()).into()),
        }
    }

    fn text(&self) -> String {
        let list = |words: Vec<String>| words.join(", ");
        format!(
            "{} layers, kernels {}, threads {}\n{} comparisons, {} bytes differ\n",
            self.layers,
            list(self.kernels.iter().map(|kernel| kernel.name().to_owned()).collect()),
            list(self.threads.iter().map(ToString::to_string).collect()),
            self.comparisons,
            self.bytes_differ,
        )
    }

    fn json(&self) -> Value {
        json!({
            "comparisons": self.comparisons,
            "bytes_differ": self.bytes_differ,
            "layers": self.layers,
            "kernels": self.kernels.iter().map(|kernel| kernel.name()).collect::<Vec<_>>(),
            "threads": self.threads,
            "first_difference": self.first.as_ref().map(First::json),
        })
    }
}

impl First {
    fn text(&self) -> String {
        let First { number, layer, expected, found, place } = self;
        let [first, row, unit] = place.index;
        format!(
            "layer {number}, {layer}: {}: {} {first}, row {row}, unit {unit}: expected {} ({expected}), got {} ({found})",
            place.tensor, place.axis, place.expected, place.found,
        )
    }

    fn json(&self) -> Value {
        let First { number, layer, expected, found, place } = self;
        json!({
            "number": number,
            "layer": layer,
            "tensor": place.tensor,
            "index": place.index,
            "expected": { "run": expected, "value": place.expected },
            "got": { "run": found, "value": place.found },
        })
    }
}

#[cfg(test)]
mod tests {
    use elman::Output;
    use ndarray::Array3;

    use super::super::compare::differences;
    use super::*;

    /// A check of one layer, where the last bit of one number was flipped.
    fn flipped() -> Tally {
        let output = || Output {
            output: Array3::<f32>::ones((4, 3, 2)).into_dyn(),
            h_n: Array3::<f32>::ones((1, 3, 2)).into_dyn(),
            lower_layers: Vec::new(),
        };
        let mut other = output();
        other.output[[3, 2, 1]] = 1.0_f32.next_up();
        let mut tally = Tally::new(vec![Kernel::best()], vec![1, 2]);
        tally.layers = 1;
        let names =
            |run: &str| ("RNN(5, 2), relu, f32".to_owned(), "plain".to_owned(), run.to_owned());
        tally.add(&differences(&output(), &output()), || names("equal"));
        tally.add(&differences(&output(), &other), || names("flipped"));
        // A second difference is counted, and not told.
        tally.add(&differences(&output(), &other), || names("again"));
        tally
    }

    #[test]
    fn a_difference_is_counted_and_told_and_is_a_bug() {
        let tally = flipped();
        let kernel = Kernel::best().name();
        let expected =
            format!("1 layers, kernels {kernel}, threads 1, 2\n3 comparisons, 2 bytes differ\n");
        assert_eq!(tally.text(), expected);
        let error = tally.print(BenchForm::None).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Bug(_))));
        assert_eq!(
            error.to_string(),
            "layer 1, RNN(5, 2), relu, f32: output: step 3, row 2, unit 1: \
             expected 1.0 (plain), got 1.0000001 (flipped)"
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
                "layer": "RNN(5, 2), relu, f32",
                "tensor": "output",
                "index": [3, 2, 1],
                "expected": { "run": "plain", "value": "1.0" },
                "got": { "run": "flipped", "value": "1.0000001" },
            },
        });
        assert_eq!(flipped().json().to_string(), expected.to_string());
    }
}
